"""How well a foreground model finds what is salient in single pictures: mean IoU on those that a training held out.

    python benchmarks/score_pictures.py DATA/stills/ecssd [-m 3dc-seg-mobile] [--hold-out 16] [--teacher u2netp.onnx]

Every picture is a video of one frame. The teacher, where one is given, sees the same pictures; it needs onnxruntime.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import rotoscope
from rotoscope.data.folder import LabelledPictures


def iou(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    either = int((found | truth).sum())
    return int((found & truth).sum()) / either if either else 1.0


def model_mask(model: rotoscope.Model, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return model.segment([picture]).label_map(0) > 0


class Teacher:
    """U2-Net's public networks: the first output, stretched to [0, 1], cut at a half."""

    def __init__(self, path: Path) -> None:
        import onnxruntime

        self._session = onnxruntime.InferenceSession(path)
        self._input = self._session.get_inputs()[0].name

    def mask(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """(H, W, 3) RGB -> (H, W)."""
        small = np.asarray(Image.fromarray(picture).resize((320, 320), Image.Resampling.BILINEAR), np.float32)
        small = (small / max(float(small.max()), 1.0) - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
        given = small.transpose(2, 0, 1)[None].astype(np.float32)
        found = self._session.run(None, {self._input: given})[0][0, 0]
        found = (found - found.min()) / max(float(found.max() - found.min()), 1e-6)
        size = (picture.shape[1], picture.shape[0])
        return np.asarray(Image.fromarray(found).resize(size, Image.Resampling.BILINEAR)) > 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pictures", type=Path)
    parser.add_argument("-m", "--model", default="3dc-seg-mobile")
    parser.add_argument("--hold-out", type=int, default=16)
    parser.add_argument("--teacher", type=Path)
    arguments = parser.parse_args()
    pictures = LabelledPictures(arguments.pictures)
    model = rotoscope.load(arguments.model)
    teacher = Teacher(arguments.teacher) if arguments.teacher else None
    scores: list[tuple[float, ...]] = []
    for place in range(0, len(pictures), arguments.hold_out):
        picture, labels = pictures.read(place)
        truth = (labels > 0) & (labels != 255)
        found = [model_mask(model, picture), *([teacher.mask(picture)] if teacher else [])]
        scores.append(tuple(iou(one & (labels != 255), truth) for one in found))
    for name, values in zip((arguments.model, arguments.teacher), zip(*scores, strict=True), strict=False):
        print(f"{name}: mean IoU {np.mean(values):.3f} on {len(values)} pictures")


if __name__ == "__main__":
    main()
