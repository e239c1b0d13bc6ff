"""Ctrl-C while several processes score, at several moments: the outcome is the same at each."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rotoscope.metrics.workers import _begin_worker
from tests import children

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("when", ["ready", "0"], ids=["as they begin", "at work"])
@pytest.mark.parametrize("delay", [0.02, 0.1, 0.3])
def test_workers_end_without_a_word(tmp_path, when, delay):
    process = children.start(
        [sys.executable, "-m", "tests.metrics.waiting", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    limit = time.monotonic() + children.LIMIT
    while not (tmp_path / when).exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < limit
        time.sleep(0.005)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
    out, err = process.communicate(timeout=children.LIMIT)
    assert (process.returncode, out, err) == (0, "stopped\n", "")


@pytest.mark.parametrize("before", [signal.SIG_IGN, signal.default_int_handler], ids=["ignored", "not ignored"])
def test_a_worker_leaves_ctrl_c_ignored(before):
    """What begins it ignores Ctrl-C then, too, and would miss it."""
    own = signal.signal(signal.SIGINT, before)
    try:
        _begin_worker()
        assert signal.getsignal(signal.SIGINT) == (signal.SIG_IGN if before is signal.SIG_IGN else signal.SIG_DFL)
    finally:
        signal.signal(signal.SIGINT, own)
