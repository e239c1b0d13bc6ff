"""Labels frame by frame are those of the whole video at once: all clips first, then means, then instances."""

import pytest
import torch

from rotoscope.models.clip_windows import clip_indices
from rotoscope.models.stem_seg.chaining import Chainer
from rotoscope.models.stem_seg.embedding import free_bandwidths
from rotoscope.models.stem_seg.labelling import Labeller
from rotoscope.models.stem_seg.network import DAVIS, KITTI, YOUTUBE_VIS
from rotoscope.models.stem_seg.options import EmbeddingOptions
from tests.models.stem_seg.small import small


def seeded(options):
    """A small network of random weights that takes about half of the places for centres."""
    torch.manual_seed(0)
    network = small(options).eval()
    layers = [network.embedding.seediness] if network.seediness is None else [network.seediness.predict]
    layers += [] if network.semantic is None else [network.semantic.predict]
    for layer in layers:
        layer.weight.data *= 20
    return network


@torch.inference_mode()
def at_once(network, frames, options):
    """Labels and probabilities of the foreground of all frames, as the published code goes through a video."""
    features = [network.features(frame[None]) for frame in frames]
    seeds, logits, clips = {}, {}, []
    for window in clip_indices(len(frames), options.clip, options.overlap, "shifted", "first"):
        maps = network.heads([torch.stack(level, dim=2) for level in zip(*(features[i] for i in window), strict=True)])
        places = {index: place for place, index in enumerate(window)}
        clips.append((maps, places))
        for index, place in places.items():
            seeds.setdefault(index, []).append(maps.seediness[0, 0, place])
        for place, index in enumerate(window):
            if maps.foreground is not None:
                logits.setdefault(index, []).append(maps.foreground[0, 0, place])
    if logits:
        means = {index: (sum(found) / len(found)).sigmoid() for index, found in logits.items()}
        masks = {index: mean > options.foreground for index, mean in means.items()}
    else:
        means = {index: sum(found) / len(found) for index, found in seeds.items()}
        masks = {index: mean > options.foreground_seediness for index, mean in means.items()}
    chainer, labels = Chainer(free_bandwidths(options.free_dim_stds, network.free), options.rules), {}
    for maps, places in clips:
        chosen = torch.stack([masks[index] for index in places])
        own = list(places.values())
        columns = (maps.embeddings[0, :, own][:, chosen], maps.bandwidths[0, :, own][:, chosen])
        found = chainer.step(dict(zip(places, chosen, strict=True)), *columns, maps.seediness[0, 0, own][chosen])
        labels |= found
    return labels, means


@pytest.mark.parametrize("task", [DAVIS, YOUTUBE_VIS, KITTI], ids=("davis", "youtube-vis", "kitti-mots"))
@pytest.mark.parametrize(("clip", "overlap"), [(4, 2), (4, 3), (4, 1), (8, 6)])
def test_a_video_in_steps(task, clip, overlap):
    network, generator = seeded(task), torch.Generator().manual_seed(1)
    options = EmbeddingOptions(clip=clip, overlap=overlap, least_seediness=0.6, foreground_seediness=0.5)
    instances = set()
    for count in (1, 2, 3, clip, clip + 1, 11, 14):
        frames = torch.rand(count, 3, 40, 56, generator=generator)
        labeller = Labeller(network, options)
        found = [one for frame in frames for one in labeller.push(frame)] + labeller.finish()
        labels, means = at_once(network, frames, options)
        assert [one.index for one in found] == list(range(count))
        for one in found:
            torch.testing.assert_close(one.foreground, means[one.index])
            assert torch.equal(one.labels, labels[one.index])
            instances |= set(one.labels.unique().tolist())
    assert {0, 1, 2} <= instances
