"""`python -m rotoscope` and `rotoscope`: the command line; it answers signals before it imports anything heavy."""

from rotoscope import interrupts


def main() -> None:
    """Run the command line; leaves by `SystemExit`, see `rotoscope.cli.app.main`."""
    interrupts.end_at_once()
    from rotoscope.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
