"""Turn a training's weights into a model of the package.

They are kept in float16, with a card that says where they come from and what they score:

    rotoscope segment davis16-dev/JPEGImages/480p -m runs/stage2/last.safetensors -o results
    rotoscope evaluate davis16 --annotations davis16-dev --predictions results --json scores.json
    python scripts/bundle_weights.py 3dc-seg-mobile runs/stage2/last.safetensors \
        --scores "davis16-dev, 854x480" scores.json \
        --source "DeepLabv3-MobileNetV2 (Apache-2.0), then davis16-half; recipes/3dc-seg-mobile, docs/bundled-models.md"

Of several weights files the mean is taken. `--scores` may be given several times, with what `rotoscope evaluate` wrote
for DAVIS or YouTube-VIS's format. `--set` changes inference options that the card keeps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from rotoscope.files import write_whole
from rotoscope.inference.checkpoint import Card, read_weights, save_weights
from rotoscope.inference.loading import WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description="Put a training's weights into the package.")
    parser.add_argument("name", help="of the model")
    parser.add_argument("weights", type=Path, nargs="+", help="last.safetensors or best.safetensors of a training")
    parser.add_argument("--scores", nargs=2, action="append", required=True, metavar=("ON", "JSON"))
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("OPTION", "JSON_VALUE"))
    parser.add_argument("--source", required=True, help="data and recipe")
    parser.add_argument("--licence", default="Apache-2.0")
    given = parser.parse_args()
    state, card = mean([read_weights(path) for path in given.weights])
    half = {key: value.to(torch.float16) if value.is_floating_point() else value for key, value in state.items()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    card = replace(
        card,
        name=given.name,
        source=f"{given.source}; commit {commit.strip()}",
        licence=given.licence,
        options={**card.options, **{name: json.loads(value) for name, value in given.set}},
        scores={on: scores(json.loads(Path(file).read_text("utf-8"))) for on, file in given.scores},
    )
    card = save_weights(WEIGHTS / f"{given.name}.safetensors", half, card)
    write_whole(WEIGHTS / f"{given.name}.json", (json.dumps(asdict(card), indent=1) + "\n").encode())
    print(f"{WEIGHTS / given.name}.safetensors: {card.parameters} parameters, {card.scores}")


def mean(read: list[tuple[dict[str, Tensor], Card]]) -> tuple[dict[str, Tensor], Card]:
    """The mean of the weights of several trainings, with the last one's card."""
    states = [state for state, _ in read]
    return {
        key: sum(state[key] for state in states) / len(states) if value.is_floating_point() else value
        for key, value in states[-1].items()
    }, read[-1][1]


def scores(report: dict) -> dict[str, float]:
    """J, F and J&F of the set, with J of each sequence where those have one object; or AP, AP50 and AR10 of tracks."""
    total = report["global"]
    if "AP50" in total:
        return {name: round(total[name], 3) for name in ("AP", "AP50", "AR10")}
    found = {name: round(total[f"{name}-Mean"], 3) for name in ("J", "F", "J&F")}
    of_one = [item for item in report["sequences"] if len(item.get("objects", [item])) == 1]
    return found | {f"J {item['sequence']}": round(item["J-Mean"], 3) for item in of_one}


if __name__ == "__main__":
    main()
