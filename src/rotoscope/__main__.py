"""`python -m rotoscope` is the command line."""

from rotoscope.cli.app import main

main()
