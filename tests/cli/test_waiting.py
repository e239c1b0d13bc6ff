"""Threads of torch do not spin beside other programs."""

import os
import subprocess
import sys

import pytest

SHOW = """
import atexit, os
atexit.register(lambda: print("spins", os.environ.get("GOMP_SPINCOUNT")))
from rotoscope.cli.app import main
main(["models"])
"""


@pytest.mark.parametrize(
    ("own", "spins"), [({}, "1000"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "None"), ({"GOMP_SPINCOUNT": "7"}, "7")]
)
def test_the_command_line_says_how_long_threads_spin_unless_its_user_did(own, spins):
    clean = {name: value for name, value in os.environ.items() if name not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    shown = subprocess.run([sys.executable, "-c", SHOW], env=clean | own, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == f"spins {spins}"
