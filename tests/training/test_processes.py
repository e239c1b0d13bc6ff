"""Two processes with half the batch each take the steps of one process with the whole."""

import json
import os
import subprocess
import sys

import pytest
import torch

RECIPE = """
system = "3dc-seg"
network = "mobile"
clips = { length = 2, size = [32, 48] }
data = [{ kind = "rendered", clips = 4 }]
model = { form = "two_class" }
optimiser = { kind = "sgd", rate = 1e-2, clip_norm = 1.0 }
run = { steps = 3, batch = 4, workers = 0, log_every = 1 }
"""

# The names of the threads that are left when a network was wrapped and the group was taken leave of.
LEAVING = """
from pathlib import Path
from torch import nn
from rotoscope.training.group import joined

with joined("cpu") as group:
    group.wrapped(nn.Linear(3, 3))
print(*(path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")))
"""
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def trained(folder, recipe, *launcher):
    command = [sys.executable, *launcher, "-m", "rotoscope", "train", str(recipe), "-o", str(folder), "--device", "cpu"]
    if launcher:
        command += ["--set", "run.batch=2"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    state = torch.load(folder / "last.pt", weights_only=True)["network"]
    return [line["loss"] for line in lines], state


def test_two_processes_train_as_one(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    losses, alone = trained(tmp_path / "one", recipe)
    shared, together = trained(tmp_path / "two", recipe, *LAUNCHER)
    assert len(losses) == 3
    assert losses[0] > losses[-1]
    assert all(abs(a - b) < 1e-5 for a, b in zip(losses, shared, strict=True))
    for key, value in alone.items():
        assert torch.allclose(value, together[key], atol=1e-5), key


@pytest.mark.skipif(sys.platform != "linux", reason="threads are looked up where Linux lists them")
def test_no_thread_of_the_group_lives_on_to_be_cut_off_at_exit(tmp_path):
    script = tmp_path / "leaving.py"
    script.write_text(LEAVING)
    done = subprocess.run([sys.executable, *LAUNCHER, str(script)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 2
    assert "gloo" not in done.stdout
