"""J and F as anyone would write them with numpy and OpenCV: whole frames, object by object, pair by pair.

The same exact numbers as `rotoscope evaluate`, to measure it against (bench_scores.py). As in the official tool, every
pair is compared with both boundaries drawn and grown anew, pairs with an empty side too. Run as
`python plain_scores.py davis16|davis17|davis17-unsupervised ANNOTATIONS PREDICTIONS`, folders with a folder of PNG a
sequence.
"""

import math
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment


def boundary(mask):
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, corner = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask ^ right) | (mask ^ below) | (mask ^ corner)


def score(truth, prediction):
    """J and F of two bool masks."""
    union = np.count_nonzero(truth | prediction)
    region = np.count_nonzero(truth & prediction) / union if union else 1.0
    radius = math.ceil(0.008 * math.hypot(*truth.shape))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (x * x + y * y <= radius * radius).astype(np.uint8)
    edges, others = boundary(truth), boundary(prediction)
    count, other_count = np.count_nonzero(edges), np.count_nonzero(others)
    near = cv2.dilate(edges.astype(np.uint8), disk) != 0
    other_near = cv2.dilate(others.astype(np.uint8), disk) != 0
    if count == 0 or other_count == 0:
        return region, float(count == other_count)
    precision = np.count_nonzero(others & near) / other_count
    recall = np.count_nonzero(edges & other_near) / count
    return region, 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def load(path):
    return np.asarray(Image.open(path))


def single(files, folder):
    scores = [score(load(path) != 0, load(folder / path.name) != 0) for path in files[1:-1]]
    return [np.mean(scores, axis=0)]


def given(files, folder):
    count = int(load(files[0]).max())
    scores = np.zeros((len(files) - 2, count, 2))
    for index, path in enumerate(files[1:-1]):
        truth, prediction = load(path), load(folder / path.name)
        for number in range(count):
            scores[index, number] = score(truth == number + 1, prediction == number + 1)
    return list(scores.mean(axis=0))


def found(files, folder):
    first = load(files[0])
    count = int(first[first != 255].max())
    proposals = max(count, max(int(load(folder / path.name).max()) for path in files))
    scores = np.zeros((len(files), count, proposals, 2))
    for index, path in enumerate(files):
        truth, prediction = load(path), load(folder / path.name)
        counted = truth != 255
        for number in range(count):
            for proposal in range(proposals):
                pair = (truth == number + 1), (prediction == proposal + 1) & counted
                scores[index, number, proposal] = score(*pair)
    means = scores.mean(axis=0)
    rows, columns = linear_sum_assignment(-means.mean(axis=-1))
    return list(means[rows, columns])


def main():
    protocol = {"davis16": single, "davis17": given, "davis17-unsupervised": found}[sys.argv[1]]
    annotations, predictions = Path(sys.argv[2]), Path(sys.argv[3])
    scores = []
    for folder in sorted(path for path in annotations.iterdir() if path.is_dir()):
        scores += protocol(sorted(folder.glob("*.png")), predictions / folder.name)
    region, edge = np.mean(scores, axis=0)
    print(f"{region:.12f} {edge:.12f}")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()
