"""Small pictures and sequences for the tests of clips."""

import numpy as np
from PIL import Image

from rotoscope.data.sequences import VideoSequence


class Squares:
    """Stills: noise in grey with one coloured square an object, ids from 1 on."""

    def __init__(self, count=3, size=(40, 60), objects=2, side=10):
        self.count, self.size, self.objects, self.side = count, size, objects, side

    def __len__(self):
        return self.count

    def read(self, index):
        generator = np.random.default_rng(index)
        picture = np.repeat(generator.integers(60, 120, (*self.size, 1), dtype=np.uint8), 3, axis=2)
        labels = np.zeros(self.size, np.uint8)
        for number in range(1, self.objects + 1):
            left = 4 + (number - 1) * (self.side + 6)
            window = slice(8, 8 + self.side), slice(left, left + self.side)
            picture[window], labels[window] = [250, 20 * number, 10], number
        return picture, labels


def write_sequence(root, name, frames, annotated=None, size=(40, 60), label=1):
    """A square that moves two pixels a frame; each frame's red tells its number."""
    folder = root / name
    folder.mkdir(parents=True)
    paths, masks = [], []
    for number in range(frames):
        picture = np.full((*size, 3), [number, 90, 90], np.uint8)
        labels = np.zeros(size, np.uint8)
        window = slice(10, 25), slice(5 + 2 * number, 20 + 2 * number)
        picture[(*window, slice(1, 3))] = 240
        labels[window] = label
        paths.append(folder / f"{number:03d}.png")
        Image.fromarray(picture).save(paths[-1])
        if annotated is None or number in annotated:
            masks.append(folder / f"mask{number:03d}.png")
            Image.fromarray(labels).save(masks[-1])
        else:
            masks.append(None)
    return VideoSequence(name, paths, masks)
