"""Prompts, proposals, memory and its bound, on a network that finds objects by colour; sizes on a small network."""

import numpy as np
import pytest
import torch

from rotoscope.errors import DataError, MaskError, OptionError, VideoError
from rotoscope.inference.prepare import prepare
from rotoscope.masks.proposal_cache import write_proposals
from rotoscope.masks.run_length import decode
from rotoscope.models.dmn_aoa.network import DMNAOA
from rotoscope.models.dmn_aoa.options import AlignmentOptions
from rotoscope.models.dmn_aoa.proposals import NoProposals
from rotoscope.models.dmn_aoa.session import MatchingSession
from rotoscope.types import Frame, Prompt, VideoInfo
from tests.models.dmn_aoa.colours import ColourDetector, model
from tests.models.stm.colours import BLUE, CPU, GREEN, GREY, RED, SIZE, mask_of, picture, prompt, run
from tests.processor import needs_bfloat16


def ids(result):
    return [item.track_id for item in result.objects]


def mask(result, track_id):
    (found,) = [item.mask for item in result.objects if item.track_id == track_id]
    return decode(found)


def moving(count, *colours):
    return [
        picture(*((colour, 4 + 16 * row, 2 + 3 * (index % 12), 12) for row, colour in enumerate(colours)))
        for index in range(count)
    ]


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("align", ["mutual", "forward", "backward", "cell", "pooled"])
@pytest.mark.parametrize("template", ["dynamic", "first", "previous", "mean"])
def test_the_right_proposals_are_chosen(align, template):
    images = moving(7, RED, GREEN, BLUE)
    chosen = model(ColourDetector(), proposals="built-in", refine=False, align=align, template=template)
    results, _ = run(chosen, images, [prompt(0, images[0], _1=RED, _2=GREEN, _3=BLUE)])
    for image, result in zip(images, results, strict=True):
        assert ids(result) == [1, 2, 3]
        for number, colour in ((1, RED), (2, GREEN), (3, BLUE)):
            assert overlap(mask(result, number), mask_of(image, colour)) > 0.6, (result.index, number)


@pytest.mark.parametrize("solver", ["ours", "dmm", "exact"])
def test_objects_that_change_places_keep_their_ids(solver):
    first = picture((RED, 4, 4, 14), (GREEN, 4, 40, 14))
    second = picture((GREEN, 4, 4, 14), (RED, 4, 40, 14))
    chosen = model(ColourDetector(), proposals="built-in", refine=False, solver=solver, overlap_weight=0.1)
    results, _ = run(chosen, [first, second], [prompt(0, first, _1=RED, _2=GREEN)])
    assert overlap(mask(results[1], 1), mask_of(second, RED)) > 0.6
    assert overlap(mask(results[1], 2), mask_of(second, GREEN)) > 0.6


def test_without_proposals_memory_finds_them_and_no_detector_runs():
    images, detector = moving(8, RED, GREEN), ColourDetector()
    results, _ = run(model(detector), images, [prompt(0, images[0], _1=RED, _2=GREEN)])
    assert detector.calls == 0
    for image, result in zip(images, results, strict=True):
        assert np.array_equal(mask(result, 1), mask_of(image, RED))
        assert np.array_equal(mask(result, 2), mask_of(image, GREEN))


def test_nothing_is_detected_where_nothing_is_followed():
    images, detector = moving(6, RED), ColourDetector()
    chosen = model(detector, proposals="built-in")
    results, _ = run(chosen, images, [prompt(3, images[3], _1=RED)])
    assert [ids(result) for result in results] == [[], [], [], [1], [1], [1]]
    assert detector.calls == 2
    assert chosen.network.calls == {"memorise": 2, "segment": 2}


def test_a_built_in_detector_has_to_be_there():
    with pytest.raises(OptionError, match="--detector"):
        model(proposals="built-in").session(VideoInfo("clip", 64, 48))


def test_an_object_may_join_later_and_one_be_removed():
    images = moving(8, RED, GREEN)
    prompts = [prompt(0, images[0], _9=RED), prompt(2, images[2], _4=GREEN), Prompt(5, remove=(9,))]
    results, _ = run(model(ColourDetector(), proposals="built-in"), images, prompts)
    assert [ids(result) for result in results] == [[9]] * 2 + [[4, 9]] * 3 + [[4]] * 3
    assert np.array_equal(mask(results[7], 4), mask_of(images[7], GREEN))


def test_an_object_that_vanishes_for_good():
    images = moving(4, RED, GREEN) + [picture((GREEN, 20, 30, 12))] * 12
    chosen = model(ColourDetector(), proposals="built-in")
    results, held = run(chosen, images, [prompt(0, images[0], _1=RED, _2=GREEN)])
    assert all(2 in ids(result) for result in results)
    assert not any(1 in ids(result) for result in results[4:])
    assert held <= chosen.options.memory_limit


def test_an_object_that_leaves_and_comes_back_keeps_its_id():
    seen, empty = picture((RED, 8, 8, 16)), picture()
    images = [seen, seen, *[empty] * 20, picture((RED, 20, 40, 16))]
    results, _ = run(model(ColourDetector(), proposals="built-in"), images, [prompt(0, seen, _3=RED)])
    assert [ids(result) for result in results] == [[3], [3], *[[]] * 20, [3]]
    assert np.array_equal(mask(results[-1], 3), mask_of(images[-1], RED))


def test_a_later_prompt_that_disagrees_wins_on_its_frame_and_is_remembered():
    images = moving(12, RED, GREEN)
    chosen = model(memory_every=100)
    results, held = run(chosen, images, [prompt(0, images[0], _1=RED), prompt(4, images[4], _1=GREEN)])
    assert np.array_equal(mask(results[3], 1), mask_of(images[3], RED))
    assert np.array_equal(mask(results[4], 1), mask_of(images[4], GREEN))
    assert held == 3


def test_more_than_255_objects():
    size = (32, 304)
    image = np.full((*size, 3), GREY, np.uint8)
    masks = {}
    for number in range(260):
        masks[1000 + 7 * number] = np.zeros(size, bool)
        masks[1000 + 7 * number][8:24, number] = True
        image[8:24, number] = (number % 16 * 16, number // 16 * 12, 255 - number % 7 * 30)
    results, _ = run(model(ColourDetector(), proposals="built-in"), [image] * 2, [Prompt(0, masks)])
    assert ids(results[0]) == sorted(masks)
    assert len(results[1].objects) > 200
    assert np.array_equal(mask(results[0], 1000), masks[1000])


@pytest.mark.parametrize("forget", ["oldest", "unused"])
@pytest.mark.parametrize("limit", [2, 3, 24])
def test_memory_has_a_bound(limit, forget):
    images = moving(60, RED)
    chosen = model(memory_limit=limit, memory_every=2, forget=forget)
    _, held = run(chosen, images, [prompt(0, images[0], _1=RED)])
    assert held == limit
    assert held + 1 == chosen.declaration.frames_held


def test_memory_is_constant_over_500_frames():
    chosen = model(memory_limit=4, memory_every=1, forget="unused")
    image = picture((RED, 0, 0, 8), size=(16, 16))
    with chosen.session(VideoInfo("long", 16, 16)) as session:
        session.step(Frame(0, 0.0, image), prompt(0, image, _1=RED))
        for index in range(1, 501):
            (result,) = session.step(Frame(index, index / 24, image))
            assert session.tracker.memory_of(1).frames <= 4
        assert 0 in session.tracker.memory_of(1).numbers
        assert 499 in session.tracker.memory_of(1).numbers
        assert ids(result) == [1]


def refused(prompts, match, kind=MaskError, images=None, **options):
    with pytest.raises(kind, match=match) as caught:
        run(model(**options), images or moving(3, RED), prompts)
    assert "\n" not in str(caught.value)
    return True


def test_prompts_that_cannot_be_meant_are_refused():
    image = moving(1, RED)[0]
    full = mask_of(image, RED)
    assert refused([Prompt(0, {1: np.zeros(SIZE, bool)})], "object 1 on frame 0 is empty")
    assert refused([Prompt(1, {2: np.zeros((48, 65), bool)})], "object 2 on frame 1 is 65x48, the frame is 64x48")
    assert refused([Prompt(0, {1: image > 99})], "object 1 on frame 0 is 3x64x48")
    assert refused([Prompt(0, {1: full.astype(np.uint8)})], "is uint8, not bool")
    assert refused([Prompt(0, {1: full, 2: full})], "object 2 on frame 0 overlaps")
    assert refused([Prompt(0, {1: full}), Prompt(1, remove=(4,))], "object 4 .* followed are: 1", OptionError)
    with pytest.raises(VideoError, match=r"frame 7, but .* 3 frames"):
        model().segment(moving(3, RED), [Prompt(0, {1: full}), Prompt(7, {1: full})])


def cache(path, images, detector=None):
    detector = detector or ColourDetector()
    size = images[0].shape[:2]
    return write_proposals(path, size, ((image, detector.detect(image)) for image in images), "colours")


def test_a_cache_gives_what_the_detector_gives(tmp_path):
    images = moving(6, RED, GREEN)
    assert cache(tmp_path / "clip.npz", images) == 6
    given = [prompt(0, images[0], _1=RED, _2=GREEN)]
    options = {"refine": False, "size": "32"}
    built_in, _ = run(model(ColourDetector(), proposals="built-in", **options), images, given)
    cached, _ = run(model(proposals=str(tmp_path), **options), images, given)
    single, _ = run(model(proposals=str(tmp_path / "clip.npz"), **options), images, given)
    assert [result.objects for result in cached] == [result.objects for result in built_in]
    assert [result.objects for result in single] == [result.objects for result in built_in]
    assert any(result.objects for result in cached[1:])


def test_a_cache_of_another_video_is_told(tmp_path):
    images = moving(6, RED, GREEN)
    given = [prompt(0, images[0], _1=RED)]
    cache(tmp_path / "clip.npz", [255 - image for image in images])
    assert refused(given, "another video: its frame 1 looks different", DataError, images, proposals=str(tmp_path))
    cache(tmp_path / "clip.npz", images[:3])
    assert refused(given, r"3 frames, none for frame 3: .*another video", DataError, images, proposals=str(tmp_path))
    cache(tmp_path / "clip.npz", [image[:40] for image in images])
    assert refused(given, "64x40, the frames are 64x48", DataError, images, proposals=str(tmp_path))
    (tmp_path / "clip.npz").write_bytes(b"words")
    assert refused(given, "no cache of proposals", DataError, images, proposals=str(tmp_path))
    np.savez(tmp_path / "clip.npz", boxes=np.zeros(3))
    assert refused(given, "no cache of proposals", DataError, images, proposals=str(tmp_path))
    (tmp_path / "clip.npz").unlink()
    assert refused(given, "no proposals at .*rotoscope propose", DataError, images, proposals=str(tmp_path))
    assert refused(given, "no folder of proposals", DataError, images, proposals=str(tmp_path / "gone"))


def test_a_refused_frame_changes_nothing(tmp_path):
    images = moving(3, RED, GREEN)
    cache(tmp_path / "clip.npz", [images[0], 255 - images[1], images[2]])
    with model(proposals=str(tmp_path)).session(VideoInfo("clip", 64, 48)) as session:
        session.step(Frame(0, 0.0, images[0]), prompt(0, images[0], _1=RED))
        with pytest.raises(DataError, match="another video"):
            session.step(Frame(1, 0.1, images[1]), Prompt(1, {}, remove=(1,)))
        assert session.tracker.ids == (1,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"align": "near"},
        {"template": "last"},
        {"solver": "greedy"},
        {"dataset": "coco"},
        {"proposals": ""},
        {"proposal_limit": 0},
        {"cells": 0},
        {"overlap_weight": 1.5},
        {"proposal_score": 2.0},
        {"forget": "never"},
        {"motion": "flow"},
        {"memory_limit": 1},
    ],
)
def test_options_out_of_range(wrong):
    with pytest.raises(OptionError):
        AlignmentOptions(**wrong)


def small(seed=0):
    torch.manual_seed(seed)
    network = DMNAOA((1, 1, 1), width=8, key=8, value=16, decoder=8, tokens=16).eval()
    torch.nn.init.normal_(network.coarse.conv4.weight)
    return network


def small_session(network, frame, **options):
    info = VideoInfo("clip", frame[1], frame[0])
    chosen = AlignmentOptions(**options)
    return MatchingSession(network, info, chosen, CPU, NoProposals())


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (1, 1), (7, 100)])
@pytest.mark.parametrize("rule", ["unchanged", "32"])
def test_odd_sizes_with_proposals(size, rule):
    generator = np.random.default_rng(0)
    whole = np.ones(size, bool)
    whole[0, 0] = size == (1, 1)
    network = small()
    session = small_session(network, size, size=rule, soft=True)

    class Anywhere(NoProposals):
        def of(self, frame):
            return ColourDetector().detect(frame.image)

    session._provider = Anywhere()
    with session:
        for index in range(3):
            image = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            (result,) = session.step(Frame(index, 0.0, image), Prompt(0, {1: whole}) if index == 0 else None)
            assert result.size == result.soft.shape == size
            for item in result.objects:
                assert item.mask.size == size


@needs_bfloat16
def test_bfloat16_stays_near_float32():
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(4)]
    given = np.zeros((48, 64), bool)
    given[8:40, 8:40] = True
    soft = []
    for dtype in (torch.float32, torch.bfloat16):
        with small_session(prepare(small(), CPU, dtype), (48, 64), size="unchanged", soft=True) as session:
            found = [
                session.step(Frame(i, 0.0, x), Prompt(0, {1: given}) if i == 0 else None) for i, x in enumerate(images)
            ]
        soft.append(np.stack([result.soft for (result,) in found]).astype(int))
    assert np.abs(soft[0] - soft[1]).mean() <= 4
    assert len(np.unique(soft[0][1:])) > 10
