"""Ctrl-C while several processes score."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("when", ["ready", "0"], ids=["as they begin", "at work"])
@pytest.mark.parametrize("delay", [0.02, 0.1, 0.3])
def test_workers_end_without_a_word(tmp_path, when, delay):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.metrics.waiting", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    limit = time.monotonic() + 60
    while not (tmp_path / when).exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.005)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "stopped\n", "")
