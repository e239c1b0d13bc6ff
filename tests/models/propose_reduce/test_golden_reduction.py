"""Golden cases of what becomes of proposals: doubles, key frames, schedule, scores, reductions, masks."""

import numpy as np
import pytest
import torch

from rotoscope.masks.run_length import encode
from rotoscope.models.propose_reduce.network import FrameMaps
from rotoscope.models.propose_reduce.options import WholeVideoOptions, rules_of
from rotoscope.models.propose_reduce.packed import PackedMasks
from rotoscope.models.propose_reduce.preparation import in_frame
from rotoscope.models.propose_reduce.propagate import SequenceBuilder, followed, found_in, score_boxes, single
from rotoscope.models.propose_reduce.propagation import Asked
from rotoscope.models.propose_reduce.reduction import (
    SequenceOverlaps,
    category_reduction,
    hard_reduction,
    soft_reduced,
)
from rotoscope.models.propose_reduce.result import given_tracks
from rotoscope.models.propose_reduce.sequences import MaskSequence, choose_key_frames
from rotoscope.ops.resize import fitted, resize_unsmoothed
from tests.models.propose_reduce.given import CASES, check, load, made, network_of, unpacked


@pytest.mark.parametrize("name", ["mask_nms", "mask_nms_exact"])
def test_doubles_of_a_key_frame(name):
    case, expected = load(name)
    masks = torch.from_numpy(expected["in_masks"]) > 0
    check("keep", case, single(masks, case["options"]["iou_threshold"]), expected["keep"])


@pytest.mark.parametrize("name", ["detect", "detect_few"])
@torch.inference_mode()
def test_objects_of_a_key_frame(name):
    case, expected = load(name)
    options, given = case["options"], made(case)
    size = tuple(options["image_shape"])
    maps = FrameMaps(tuple(given[f"p{level}"] for level in range(2, 7)), Asked(*[torch.zeros(1)] * 3), size)
    found = found_in(network_of(case), maps, WholeVideoOptions(score=options.get("score_thr", 0.2)))
    masks = unpacked(expected["masks"], (len(expected["det_labels"]), *size))
    wanted = masks[expected["kept_after_mask_nms"]]
    assert tuple(found.shape) == wanted.shape
    assert np.mean(found.numpy() != wanted) <= case["tolerance"]["masks"]["max_fraction_different"]


def test_key_frames():
    for words, expected in CASES["key_frames"]["key_frames"].items():
        frames, count = map(int, words.split(","))
        assert choose_key_frames(frames, count) == sorted(set(expected)), words
    assert choose_key_frames(9, 1) == [0]


class NumberedNetwork:
    """Says which frames are in memory instead of segmenting."""

    def __init__(self):
        self.propagation = self
        self.read = []

    def memorise(self, level, masks):
        return level.expand(1, 1, 1), level.expand(1, 1, 1)

    def segment(self, maps, memories):
        self.read.append((int(maps.levels[0]), memories[0][0].flatten().int().tolist()))
        return torch.zeros(1, 4, 4)


@pytest.mark.parametrize("case", CASES["schedule"]["cases"], ids=lambda case: f"{case['frames']} frames")
def test_schedule(case):
    frames, network = case["frames"], NumberedNetwork()
    davis = "mem_num" in case
    rules = rules_of(WholeVideoOptions(protocol="davis" if davis else "youtube-vis"), 40, (48, 64))
    options = WholeVideoOptions(memory_every=0 if davis else case["mem_step"])
    keys = choose_key_frames(frames, case["key_num"])
    assert keys == case["key_frames"]

    def maps_of(frame):
        return FrameMaps((torch.tensor(float(frame)),), Asked(*[torch.zeros(1)] * 3), (4, 4))

    for key, expected in zip(keys, case["steps"], strict=True):
        network.read.clear()
        every = rules.memory_every(options, frames)
        seen = [frame for frame, _ in followed(network, maps_of, torch.ones(1, 4, 4), key, frames, every, 100)]
        assert seen == [frame for frame, _ in expected]
        assert network.read == [(frame, memory) for frame, memory in expected]


@torch.inference_mode()
def test_scores_of_sequences():
    case, expected = load("sequence_scores")
    given, network = made(case), network_of(case)
    masks = expected["in_masks"]
    if masks.dtype == np.uint8 and masks.ndim == 1:
        masks = unpacked(masks, expected["boxes"].shape[:2] + tuple(case["options"]["padded_size"]))
    boxes = []
    builder = SequenceBuilder(network, 0, len(masks))
    for frame in range(masks.shape[1]):
        levels = tuple(given[f"p{level}_frame{frame}"] for level in range(2, 7))
        maps = FrameMaps(levels, Asked(*[torch.zeros(1)] * 3), tuple(case["options"]["padded_size"]))
        solid = torch.from_numpy(masks[:, frame]) >= 0.5
        builder.add(frame, maps, solid.float())
        found, there = score_boxes(solid)
        boxes.append(np.where(there[:, None], found, 0))
    check("scores", case, np.stack([one.scores for one in builder.sequences()]), expected["scores"])
    wanted = expected["boxes"]
    assert np.array_equal(np.stack(boxes, axis=1)[..., :4], np.where(wanted < 0, 0, wanted)[..., -4:])


def sequences_of(name):
    case, expected = load(name)
    shape = [int(number) for number in case["inputs"]["masks"]["note"].split("[")[1].split("]")[0].split(",")]
    masks = unpacked(expected["in_masks"], shape)
    found = []
    for scores, own in zip(expected["in_scores"], masks, strict=True):
        seen = {frame: encode(mask) for frame, mask in enumerate(own) if mask.any()}
        found.append(MaskSequence(0, scores, PackedMasks(seen)))
    overlaps = SequenceOverlaps(found, shape[1])
    everything = np.arange(len(found))
    check("iou", case, np.stack([overlaps.with_others(place, everything) for place in everything]), expected["iou"])
    return case, expected, found, overlaps


@pytest.mark.parametrize("name", ["sequence_nms", "sequence_nms_ties"])
def test_hard_reduction(name):
    case, expected, sequences, overlaps = sequences_of(name)
    kept = hard_reduction(sequences, overlaps)
    check("kept", case, [one.place for one in kept], expected["kept"])
    check("kept_scores", case, np.stack([one.scores for one in kept]), expected["kept_scores"])


def test_soft_reduction():
    case, expected, sequences, overlaps = sequences_of("sequence_soft_nms")
    kept = soft_reduced(sequences, overlaps, 20)
    check("kept", case, [one.place for one in kept], expected["kept"])
    wanted = expected["kept_scores"]
    found = [one.scores[1:].max() for one in kept] if wanted.ndim == 1 else [one.scores for one in kept]
    check("kept_scores", case, np.array(found), wanted)


def test_category_aware_reduction():
    case, expected, sequences, overlaps = sequences_of("category_aware")
    kept = category_reduction(sequences, overlaps)
    check("kept", case, [one.place for one in kept], expected["kept"])
    found = np.stack([one.scores for one in kept])
    check("category_scores", case, found, expected["category_scores"])


@pytest.mark.parametrize("name", ["image_prep", "image_prep_up"])
def test_preparation_of_frames(name):
    case, expected = load(name)
    frame = np.floor(made(case)["u"].numpy() * 256).astype(np.uint8)[..., ::-1]
    long, short = case["options"]["target"]
    size = fitted(frame.shape[:2], short, long)
    assert list(size) == expected["image_shape"].ravel()[:2].tolist()
    x = network_of({"network": "r50"}).normalised(resize_unsmoothed(frame.copy(), size)[None])
    assert list(x.shape[2:]) == expected["padded_shape"].ravel()[:2].tolist()
    check("tensor_sub", case, x[..., ::4, ::4].reshape(expected["tensor_sub"].shape), expected["tensor_sub"])
    mean = x.mean(dim=(2, 3)).reshape(expected["channel_mean"].shape)
    check("channel_mean", case, mean, expected["channel_mean"])


def test_masks_and_records_of_a_result():
    case, expected = load("result_output")
    options = case["options"]
    size, frame = tuple(options["image_shape"]), tuple(options["original_shape"])
    masks = unpacked(expected["in_masks"], (3, 3, 32, 64)) > 0
    sequences = [
        MaskSequence(0, scores, PackedMasks({number: encode(mask) for number, mask in enumerate(own)}))
        for scores, own in zip(expected["in_scores"], masks, strict=True)
    ]
    chosen = WholeVideoOptions(labels="every", reduce="none")
    tracks = given_tracks(sequences, 3, rules_of(chosen, 5, frame), chosen)
    records = sorted(case["records"], key=lambda record: -record["score"])
    assert [(track.label + 1, track.score) for track in tracks] == [
        (record["category_id"], record["score"]) for record in records
    ]
    large = np.stack([[in_frame(one.masks[number], size, frame) for number in range(3)] for one in sequences])
    wanted = unpacked(expected["record_masks"], (6, 3, *frame))
    of = [next(i for i, s in enumerate(expected["in_scores"]) if record["score"] in s) for record in case["records"]]
    bound = case["tolerance"]["record_masks"]["max_fraction_different"]
    assert np.mean(large[of] != wanted) <= bound
    indices = np.zeros((3, *frame), np.uint8)
    for number in range(3, 0, -1):
        indices[large[number - 1]] = number
    assert np.mean(indices != expected["index_maps"]) <= bound
