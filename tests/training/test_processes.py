"""Two processes with half the batch each take the steps of one process with the whole."""

import json
import os
import subprocess
import sys

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
    shared, together = trained(
        tmp_path / "two", recipe, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"
    )
    assert len(losses) == 3
    assert losses[0] > losses[-1]
    assert all(abs(a - b) < 1e-5 for a, b in zip(losses, shared, strict=True))
    for key, value in alone.items():
        assert torch.allclose(value, together[key], atol=1e-5), key
