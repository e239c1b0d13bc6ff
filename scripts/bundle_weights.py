"""Turn a training's weights into a model of the package.

They are kept in float16, with a card that says where they come from and what they score:

    rotoscope segment davis16-dev/JPEGImages/480p -m runs/stage2/last.safetensors -o results
    rotoscope evaluate davis16 --annotations davis16-dev --predictions results --json scores.json
    python scripts/bundle_weights.py runs/stage2/last.safetensors 3dc-seg-mobile --scores scores.json \
        --source "DeepLabv3-MobileNetV2 (Apache-2.0), then davis16-half; recipes/3dc-seg-mobile, docs/bundled-models.md"
"""

from __future__ import annotations

import argparse
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path

import torch

from rotoscope.files import write_whole
from rotoscope.inference.checkpoint import read_weights, save_weights
from rotoscope.inference.loading import WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description="Put a training's weights into the package.")
    parser.add_argument("weights", type=Path, help="last.safetensors or best.safetensors of a training")
    parser.add_argument("name", help="of the model")
    parser.add_argument("--scores", type=Path, required=True, help="JSON that `rotoscope evaluate davis16` wrote")
    parser.add_argument("--on", default="davis16-dev, 854x480", help="what the scores were measured on")
    parser.add_argument("--source", required=True, help="data and recipe")
    parser.add_argument("--licence", default="Apache-2.0")
    given = parser.parse_args()
    state, card = read_weights(given.weights)
    half = {key: value.to(torch.float16) if value.is_floating_point() else value for key, value in state.items()}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    card = replace(
        card,
        name=given.name,
        source=f"{given.source}; commit {commit.strip()}",
        licence=given.licence,
        scores={given.on: scores(json.loads(given.scores.read_text("utf-8")))},
    )
    card = save_weights(WEIGHTS / f"{given.name}.safetensors", half, card)
    write_whole(WEIGHTS / f"{given.name}.json", (json.dumps(asdict(card), indent=1) + "\n").encode())
    print(f"{WEIGHTS / given.name}.safetensors: {card.parameters} parameters, {card.scores}")


def scores(report: dict) -> dict[str, float]:
    """J, F and J&F of the whole set and J of each sequence."""
    total = report["global"]
    found = {name: round(total[f"{name}-Mean"], 3) for name in ("J", "F", "J&F")}
    return found | {f"J {item['sequence']}": round(item["J-Mean"], 3) for item in report["sequences"]}


if __name__ == "__main__":
    main()
