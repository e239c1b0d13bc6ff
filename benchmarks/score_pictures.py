"""How well a foreground model finds what is salient in single pictures: mean IoU on those that a training held out.

    python benchmarks/score_pictures.py DATA/stills/ecssd [-m 3dc-seg-mobile] [--hold-out 16] [--teacher u2netp.onnx]

Every picture is a video of one frame. The teacher, where one is given, sees the same pictures; it needs onnxruntime.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import rotoscope
from rotoscope.data.folder import LabelledPictures
from rotoscope.training.teacher import Teacher


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    either = int((found | truth).sum())
    return int((found & truth).sum()) / either if either else 1.0


def model_mask(model: rotoscope.Model, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return model.segment([picture]).label_map(0) > 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("-m", "--model", default="3dc-seg-mobile")
    parser.add_argument("--hold-out", type=int, default=16)
    parser.add_argument("--teacher", type=Path)
    arguments = parser.parse_args()
    pictures = LabelledPictures(arguments.pictures)
    model = rotoscope.load(arguments.model)
    teacher = Teacher.load(arguments.teacher) if arguments.teacher else None
    scores: list[tuple[float, ...]] = []
    for place in range(0, len(pictures), arguments.hold_out):
        picture, labels = pictures.read(place)
        truth = (labels > 0) & (labels != 255)
        found = [model_mask(model, picture), *([teacher.look(picture) > 127] if teacher else [])]
        scores.append(tuple(iou(one & (labels != 255), truth) for one in found))
    for name, values in zip((arguments.model, arguments.teacher), zip(*scores, strict=True), strict=False):
        print(f"{name}: mean IoU {np.mean(values):.3f} on {len(values)} pictures")


if __name__ == "__main__":
    main()
