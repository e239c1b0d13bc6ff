"""Times clusters and the chain of clips of STEm-Seg against the same rules in plain loops; labels must be equal.

python benchmarks/bench_clustering.py [--size 480x856] [--instances 10] [--clip 8] [--overlap 4] [--repeat 3] [--full]

The frames are those of a video of the size in the network, maps a quarter of it (all of it with --full). Two forms are
timed besides: "plain" goes from place to place in Python, on a part of the rows where there are many, its time scaled
to all of them; "whole" computes every round for all places, taken or not, on rows of places, with the distances of all
instances kept. Times are those of the processor.
"""

import argparse
import math
import statistics
import time

import numpy as np
import torch

from rotoscope.models.stem_seg.chaining import Chainer, associate
from rotoscope.models.stem_seg.clustering import Rules

FREE = torch.tensor([1 / 0.09, 1 / 0.09])
RULES = Rules()
NOISE = 0.03
TAKEN = 1e8


def video(frames, size, instances, seed=0):
    """Maps of discs that drift: foreground (T, h, w), embeddings (4, T, h, w), bandwidths, seediness (T, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-width / height, width / height, width), indexing="ij"
    )
    owner = torch.full((frames, height, width), -1)
    edge = torch.zeros(frames, height, width)
    columns = math.ceil(math.sqrt(instances))
    for number in range(instances):
        row, column = divmod(number, columns)
        centre_y = -1 + (2 * row + 1) / columns
        for frame in range(frames):
            centre_x = width / height * (-1 + (2 * column + 1) / columns) + 0.01 * frame
            distance = ((y - centre_y) ** 2 + (x - centre_x) ** 2).sqrt() * columns / 0.9
            inside = distance < 1
            owner[frame][inside] = number
            edge[frame][inside] = distance[inside]
    own = torch.rand(instances + 1, 4, generator=generator) * 2 - 1
    grid = torch.tensor([[*divmod(number, columns)] for number in range(instances + 1)]) * 2.0 / columns - 1
    own[:, :2] = grid
    embeddings = own[owner].permute(3, 0, 1, 2) + NOISE * torch.randn(4, frames, height, width, generator=generator)
    bandwidths = 20 + torch.rand(2, frames, height, width, generator=generator)
    seediness = (1 - 0.4 * edge - 0.02 * torch.rand(frames, height, width, generator=generator)).clamp(0, 1)
    return owner >= 0, embeddings.contiguous(), bandwidths, seediness


def plain_cluster(embeddings, bandwidths, seediness, start):
    """From place to place, in float32, added up in the same order."""
    count = embeddings.shape[1]
    points, inverse, seeds = embeddings.T.numpy(), bandwidths.T.numpy(), seediness.numpy()
    free = FREE.numpy()
    labels = [-1] * count
    seen, last = [], list(range(count))
    for number in range(RULES.most):
        last = [place for place in range(count) if labels[place] == -1]
        if not last:
            break
        best = last[0]
        for place in last:
            if seeds[place] > seeds[best]:
                best = place
        if seeds[best] < RULES.least_seediness:
            break
        weights, distances = [*inverse[best], *free], {}
        for place in last:
            total = np.float32(0)
            for one, middle, weight in zip(points[place], points[best], weights, strict=True):
                total = total + (one - middle) ** 2 * weight
            distances[place] = math.sqrt(total)
            if math.exp(-0.5 * distances[place]) > RULES.primary:
                labels[place] = start + number
        seen.append(distances)
    for place in last:
        if seen:
            far = max(range(len(seen)), key=lambda number: seen[number].get(place, TAKEN))
            if math.exp(-0.5 * seen[far].get(place, TAKEN)) > RULES.secondary:
                labels[place] = start + far
    return labels


def whole_cluster(embeddings, bandwidths, seediness, start):
    """All places in every round, with rows of places as the published code has them."""
    points, inverse = embeddings.T.contiguous(), bandwidths.T.contiguous()
    labels = torch.full((len(points),), -1)
    open_places = torch.ones(len(points), dtype=torch.bool)
    seen, last = [], open_places
    for number in range(RULES.most):
        last = open_places.clone()
        if not open_places.any():
            break
        best = int(torch.where(open_places, seediness, -1.0).argmax())
        if seediness[best] < RULES.least_seediness:
            break
        weights = torch.cat([inverse[best], FREE])
        distances = ((points - points[best]) ** 2 * weights).sum(dim=1).sqrt()
        joined = (torch.exp(-0.5 * distances) > RULES.primary) & open_places
        seen.append(torch.where(last, distances, TAKEN))
        labels[joined] = start + number
        open_places &= ~joined
    if seen and last.any():
        far, which = torch.stack(seen).max(dim=0)
        moved = (torch.exp(-0.5 * far) > RULES.secondary) & last
        labels[moved] = start + which[moved]
    return labels


def plain_associate(existing, current):
    """Every pair of labels by itself, pixel by pixel."""
    pairs, olds, news = {}, {}, {}
    for old, new in zip(existing.tolist(), current.tolist(), strict=True):
        olds[old] = olds.get(old, 0) + 1
        news[new] = news.get(new, 0) + 1
        pairs[old, new] = pairs.get((old, new), 0) + 1
    return {
        (old, new): shared / (olds[old] + news[new] - shared)
        for (old, new), shared in pairs.items()
        if old > 0 and new > 0
    }


def chained(maps, windows):
    """(T, h, w) labels of the video by the package, and the seconds."""
    foreground, embeddings, bandwidths, seediness = maps
    labels = torch.zeros(foreground.shape, dtype=torch.int32)
    start = time.process_time()
    chainer = Chainer(FREE, RULES)
    for window in windows:
        mask = foreground[window]
        columns = (embeddings[:, window][:, mask], bandwidths[:, window][:, mask], seediness[window][mask])
        for index, found in chainer.step(dict(zip(window, mask, strict=True)), *columns).items():
            labels[index] = found
    return labels, time.process_time() - start


def chained_by(work, overlaps, maps, windows):
    """The same with another clustering and other overlaps of labels."""
    foreground, embeddings, bandwidths, seediness = maps
    labels = torch.zeros(foreground.shape, dtype=torch.int64)
    start, known, highest = time.process_time(), [], 0
    for window in windows:
        mask = foreground[window]
        columns = (embeddings[:, window][:, mask], bandwidths[:, window][:, mask], seediness[window][mask])
        found = torch.zeros(mask.shape, dtype=torch.int64)
        found[mask] = torch.as_tensor(work(*columns, highest + 1))
        shared = [index for index in window if index in known]
        names = {}
        if shared:
            inside = foreground[shared]
            own = found[: len(shared)]
            names = overlaps(labels[shared][inside].numpy(), own[inside].numpy())
        before = found.clone()
        for new, old in names.items():
            found[before == new] = old
        for place, index in enumerate(window):
            if index not in known:
                labels[index] = found[place]
        known = window
        highest = max(highest, int(labels.max()))
    return labels, time.process_time() - start


def by_hungarian(existing, current):
    return {new: old for old, (new, _) in associate(existing, current).items()}


def by_pairs(existing, current):
    """The best pair first; the same as the Hungarian one where labels overlap clearly."""
    ious = plain_associate(existing, current)
    names = {}
    for (old, new), _ in sorted(ious.items(), key=lambda item: -item[1]):
        if new not in names and old not in names.values():
            names[new] = old
    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="480x856")
    parser.add_argument("--full", action="store_true")
    for name, default in (("instances", 10), ("clip", 8), ("overlap", 4), ("repeat", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    stride = 1 if given.full else 4
    size = tuple(int(side) // stride for side in given.size.split("x"))
    clips, step = 3, given.clip - given.overlap
    windows = [list(range(step * number, step * number + given.clip)) for number in range(clips)]
    maps = video(windows[-1][-1] + 1, size, given.instances)
    places = int(maps[0][: given.clip].sum())
    print(f"maps of {size[0]}x{size[1]}, {given.instances} instances, {places} places in a clip of {given.clip} frames")
    with torch.inference_mode():
        times = {"package": [], "whole": []}
        for _ in range(given.repeat):
            labels, seconds = chained(maps, windows)
            times["package"].append(seconds / clips)
            whole, seconds = chained_by(whole_cluster, by_hungarian, maps, windows)
            times["whole"].append(seconds / clips)
        assert torch.equal(labels.long(), whole), "labels differ from those of the whole form"
        assert len(labels.unique()) >= given.instances, "the instances were not told apart"
        thin = max(1, places // 40_000)  # of the rows of maps, for the plain form
        part = tuple(x[..., ::thin, :] for x in maps)
        fewer = int(part[0][: given.clip].sum())
        plain, seconds = chained_by(plain_cluster, by_pairs, part, windows)
        assert torch.equal(chained(part, windows)[0].long(), plain), "labels differ from those of the plain form"
        times["plain"] = [seconds / clips * places / fewer]
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, seconds in medians.items():
        ratio = "" if name == "package" else f", {seconds / medians['package']:.1f} times the package's"
        print(f"{name:8} {seconds * 1e3:9.1f} ms a clip{ratio}")
    print("labels are equal")


if __name__ == "__main__":
    main()
