"""Prompts, ids, memory and its bound, on a network that finds objects by colour; sizes and shapes on a small STM."""

import numpy as np
import pytest
import torch

from rotoscope.errors import MaskError, OptionError
from rotoscope.inference.prepare import prepare
from rotoscope.masks.run_length import decode
from rotoscope.models.memory.options import MemoryOptions
from rotoscope.models.memory.session import MemorySession
from rotoscope.models.stm.network import STM
from rotoscope.types import Frame, Prompt, VideoInfo
from tests.models.stm.colours import BLUE, CPU, GREEN, GREY, RED, SIZE, mask_of, model, picture, prompt, run
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


def test_objects_are_followed():
    images = moving(8, RED, GREEN)
    results, _ = run(model(), images, [prompt(0, images[0], _1=RED, _2=GREEN)])
    for image, result in zip(images, results, strict=True):
        assert ids(result) == [1, 2]
        assert np.array_equal(mask(result, 1), mask_of(image, RED))
        assert np.array_equal(mask(result, 2), mask_of(image, GREEN))
        assert all(0 <= item.score <= 1 for item in result.objects)


def test_frames_before_the_first_prompt_have_no_objects_and_cost_nothing():
    images, chosen = moving(6, RED), model()
    results, _ = run(chosen, images, [prompt(3, images[3], _1=RED)])
    assert [ids(result) for result in results] == [[], [], [], [1], [1], [1]]
    assert chosen.network.calls == {"memorise": 2, "segment": 2}


def test_the_last_frame_is_not_memorised():
    images, chosen = moving(1, RED), model()
    results, _ = run(chosen, images, [prompt(0, images[0], _1=RED)])
    assert np.array_equal(mask(results[0], 1), mask_of(images[0], RED))
    assert chosen.network.calls == {"memorise": 0, "segment": 0}


def test_an_object_may_join_later_and_pass_for_another():
    images = moving(6, RED, GREEN)
    prompts = [prompt(0, images[0], _1=RED), prompt(3, images[3], _7=GREEN)]
    results, _ = run(model(), images, prompts)
    assert [ids(result) for result in results] == [[1]] * 3 + [[1, 7]] * 3
    assert np.array_equal(mask(results[5], 7), mask_of(images[5], GREEN))


def test_an_object_with_a_lower_id_may_join_later():
    images = moving(5, RED, GREEN)
    results, _ = run(model(), images, [prompt(0, images[0], _9=RED), prompt(2, images[2], _4=GREEN)])
    assert ids(results[4]) == [4, 9]
    assert np.array_equal(mask(results[4], 9), mask_of(images[4], RED))
    assert np.array_equal(mask(results[4], 4), mask_of(images[4], GREEN))


def test_an_object_that_leaves_and_comes_back_keeps_its_id():
    seen, empty = picture((RED, 8, 8, 16)), picture()
    images = [seen, seen, *[empty] * 20, picture((RED, 20, 40, 16))]
    results, _ = run(model(), images, [prompt(0, seen, _3=RED)])
    assert [ids(result) for result in results] == [[3], [3], *[[]] * 20, [3]]
    assert np.array_equal(mask(results[-1], 3), mask_of(images[-1], RED))


def test_an_object_can_be_removed_and_its_id_given_anew():
    images = moving(8, RED, GREEN)
    prompts = [
        prompt(0, images[0], _1=RED, _2=GREEN),
        Prompt(2, remove=(1,)),
        Prompt(4, remove=(2,)),
        prompt(6, images[6], _1=GREEN),
    ]
    results, _ = run(model(), images, prompts)
    assert [ids(result) for result in results] == [[1, 2]] * 2 + [[2]] * 2 + [[]] * 2 + [[1]] * 2
    assert np.array_equal(mask(results[7], 1), mask_of(images[7], GREEN))


def test_removing_and_giving_on_one_frame_begins_anew():
    images = moving(4, RED, GREEN)
    again = Prompt(2, {1: mask_of(images[2], GREEN)}, remove=(1,))
    results, held = run(model(memory_every=1), images, [prompt(0, images[0], _1=RED), again])
    assert np.array_equal(mask(results[3], 1), mask_of(images[3], GREEN))
    assert held == 1


def test_a_later_prompt_that_disagrees_wins_on_its_frame_and_is_remembered():
    images = moving(12, RED, GREEN)
    chosen = model(memory_every=100)
    results, _ = run(chosen, images, [prompt(0, images[0], _1=RED), prompt(4, images[4], _1=GREEN)])
    assert np.array_equal(mask(results[3], 1), mask_of(images[3], RED))
    assert np.array_equal(mask(results[4], 1), mask_of(images[4], GREEN))
    # The memory now holds both colours and the frame before, and both frames that were given stay.
    assert run(chosen, images, [prompt(0, images[0], _1=RED), prompt(4, images[4], _1=GREEN)])[1] == 3


def test_a_given_mask_takes_its_pixels_from_the_others():
    images = moving(3, RED)
    half = mask_of(images[1], RED).copy()
    half[:, half.any(axis=0).nonzero()[0][6] :] = False
    results, _ = run(model(), images, [prompt(0, images[0], _1=RED), Prompt(1, {2: half})])
    assert np.array_equal(mask(results[1], 2), half)
    assert np.array_equal(mask(results[1], 1), mask_of(images[1], RED) & ~half)


def test_the_same_input_gives_the_same_answer():
    images = moving(9, RED, GREEN, BLUE)
    chosen = model(together=2)
    given = [prompt(0, images[0], _5=RED, _1=GREEN, _3=BLUE)]
    first, second = (run(chosen, images, given)[0] for _ in range(2))
    assert [result.objects for result in first] == [result.objects for result in second]
    for together in (1, 3, 8):
        other = run(model(together=together), images, given)[0]
        assert [ids(result) for result in other] == [ids(result) for result in first]
        assert all(
            a.mask == b.mask
            for x, y in zip(other, first, strict=True)
            for a, b in zip(x.objects, y.objects, strict=True)
        )


def test_more_than_255_objects():
    size = (32, 304)
    image = np.full((*size, 3), GREY, np.uint8)
    masks = {}
    for number in range(300):
        masks[1000 + 7 * number] = np.zeros(size, bool)
        masks[1000 + 7 * number][8:24, number] = True
        image[8:24, number] = (number % 16 * 16, number // 16 * 12, 255 - number % 7 * 30)
    results, _ = run(model(), [image] * 2, [Prompt(0, masks)])
    assert ids(results[0]) == sorted(masks)
    assert len(results[1].objects) > 255
    assert np.array_equal(mask(results[0], 1000), masks[1000])


@pytest.mark.parametrize("limit", [2, 3, 24])
def test_memory_has_a_bound(limit):
    images = moving(70, RED)
    chosen = model(memory_limit=limit, memory_every=2)
    _, held = run(chosen, images, [prompt(0, images[0], _1=RED)])
    assert held == limit
    assert held + 1 == chosen.declaration.frames_held


def test_memory_is_constant_over_5000_frames():
    chosen = model(memory_limit=4, memory_every=1)
    image = picture((RED, 0, 0, 8), size=(16, 16))
    with chosen.session(VideoInfo("long", 16, 16)) as session:
        session.step(Frame(0, 0.0, image), prompt(0, image, _1=RED))
        for index in range(1, 5001):
            (result,) = session.step(Frame(index, index / 24, image))
            memory = session.tracker._memories[1]
            assert memory.frames <= 4
            assert len(memory) <= 4
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
    assert refused([Prompt(0, {1: full.astype(np.uint8)})], "is uint8, not bool")
    assert refused([Prompt(0, {0: full})], "1 or more")
    assert refused([Prompt(0, {1: full, 2: full})], "object 2 on frame 0 overlaps")
    assert refused([Prompt(0, {1: full}), Prompt(1, remove=(4,))], "object 4 .* followed are: 1", OptionError)
    assert refused([Prompt(0, remove=(1,))], "followed are: none", OptionError)
    with model().session(VideoInfo("clip", 64, 48)) as session, pytest.raises(OptionError, match=r"frame 3 .* frame 0"):
        session.step(Frame(0, 0.0, image), Prompt(3, {1: full}))


def test_a_refused_prompt_changes_nothing():
    images = moving(3, RED, GREEN)
    with model().session(VideoInfo("clip", 64, 48)) as session:
        session.step(Frame(0, 0.0, images[0]), prompt(0, images[0], _1=RED))
        with pytest.raises(MaskError):
            session.step(Frame(1, 0.1, images[1]), Prompt(1, {2: np.zeros(SIZE, bool)}, remove=(1,)))
        (result,) = session.step(Frame(1, 0.1, images[1]))
        assert ids(result) == [1]


def test_a_finished_session_takes_no_frame():
    session = model().session(VideoInfo("clip", 64, 48))
    session.finish()
    with pytest.raises(OptionError, match="finished"):
        session.step(Frame(0, 0.0, moving(1)[0]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"memory_limit": 1},
        {"memory_every": 0},
        {"best": -1},
        {"together": 0},
        {"size": "big"},
        {"best": 1.5},
        {"remember": "all"},
    ],
)
def test_options_out_of_range(wrong):
    with pytest.raises(OptionError):
        MemoryOptions(**wrong)


def small_stm(seed=0):
    torch.manual_seed(seed)
    return STM((1, 1, 1), width=8, key=8, value=16, decoder=8).eval()


def small_session(frame, **options):
    return MemorySession(small_stm(), VideoInfo("clip", frame[1], frame[0]), MemoryOptions(**options), CPU)


@pytest.mark.parametrize("size", [(48, 64), (33, 47), (1, 1), (7, 100), (17, 16)])
@pytest.mark.parametrize("rule", ["unchanged", "32", "24x40"])
def test_odd_sizes(size, rule):
    generator = np.random.default_rng(0)
    whole = np.ones(size, bool)
    whole[0, 0] = size == (1, 1)
    with small_session(size, size=rule, soft=True) as session:
        for index in range(3):
            image = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            (result,) = session.step(Frame(index, 0.0, image), Prompt(0, {1: whole}) if index == 0 else None)
            assert result.size == size
            assert result.soft.shape == size
            assert result.soft.dtype == np.uint8
            for item in result.objects:
                assert item.mask.size == size
            if index == 0:
                assert np.array_equal(mask(result, 1), whole)


def test_a_small_object_is_not_lost_where_the_network_sees_less():
    tiny = np.zeros((256, 256), bool)
    tiny[97, 97] = True  # between the pixels that plain interpolation looks at
    with small_session((256, 256), size="32") as session:
        session.step(Frame(0, 0.0, np.zeros((256, 256, 3), np.uint8)), Prompt(0, {1: tiny}))
        masks = session.tracker._before.masks
    assert float(masks.max()) == 1
    assert 0.5 < float(masks.sum()) < 4


def test_bounded_memory_gives_what_unbounded_gives_until_it_is_full():
    generator = np.random.default_rng(1)
    images = [generator.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(8)]
    given = np.zeros((32, 32), bool)
    given[4:20, 4:20] = True

    def soft(limit):
        with small_session((32, 32), size="unchanged", soft=True, memory_limit=limit, memory_every=2) as session:
            return [
                session.step(Frame(i, 0.0, image), Prompt(0, {1: given}) if i == 0 else None)[0].soft
                for i, image in enumerate(images)
            ]

    four, many = soft(4), soft(100)
    # Frame 7 is segmented with 0, 2, 4 and 6 in memory, so four places are enough until then.
    assert all(np.array_equal(a, b) for a, b in zip(four, many, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(soft(2), many, strict=True))


def test_the_schedules_of_the_ablation():
    images = moving(9, RED)
    calls, held, declared = {}, {}, {}
    for remember in ("every", "both", "first", "previous"):
        chosen = model(remember=remember, memory_every=2)
        results, held[remember] = run(chosen, images, [prompt(0, images[0], _1=RED)])
        assert np.array_equal(mask(results[8], 1), mask_of(images[8], RED))
        calls[remember] = chosen.network.calls["memorise"]
        declared[remember] = chosen.declaration.frames_held
    assert held == {"every": 5, "both": 2, "first": 1, "previous": 1}
    assert calls == {"every": 8, "both": 8, "first": 1, "previous": 8}
    assert declared == {"every": 25, "both": 25, "first": 25, "previous": 2}


def test_first_and_previous_is_a_memory_of_two_frames():
    generator = np.random.default_rng(1)
    images = [generator.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(5)]
    given = np.zeros((32, 32), bool)
    given[4:20, 4:20] = True

    def soft(**options):
        with small_session((32, 32), size="unchanged", soft=True, **options) as session:
            return [
                session.step(Frame(i, 0.0, image), Prompt(0, {1: given}) if i == 0 else None)[0].soft
                for i, image in enumerate(images)
            ]

    both, two = soft(remember="both"), soft(memory_limit=2, memory_every=100)
    assert all(np.array_equal(a, b) for a, b in zip(both, two, strict=True))
    for other in ("first", "previous"):
        found = soft(remember=other)
        assert np.array_equal(found[1], both[1])
        assert not np.array_equal(found[2], both[2])


def test_prompts_of_one_frame_are_joined():
    images = moving(2, RED, GREEN)
    prompts = [prompt(0, images[0], _1=RED), prompt(0, images[0], _2=GREEN)]
    assert [track.id for track in model().segment(images, prompts).tracks] == [1, 2]
    with model().session(VideoInfo("clip", 64, 48), prompts[:1]) as session:
        (result,) = session.step(Frame(0, 0.0, images[0]), prompts[1])
        assert ids(result) == [1, 2]


def test_what_is_remembered_of_others_leaves_given_pixels_out():
    image = picture((RED, 8, 8, 24))
    first, second = mask_of(image, RED), np.zeros(SIZE, bool)
    second[8:32, 20:32] = True
    with model().session(VideoInfo("clip", 64, 48)) as session:
        session.step(Frame(0, 0.0, image), Prompt(0, {1: first}))
        session.step(Frame(1, 0.1, image), Prompt(1, {2: second}))
        masks = session.tracker._before.masks
    assert float(masks[0][torch.from_numpy(second)].max()) < 1e-3
    assert float(masks[1][torch.from_numpy(second)].min()) > 0.999
    assert float(masks[0][torch.from_numpy(first & ~second)].min()) > 0.9


def test_given_pixels_are_nobody_elses_where_the_network_sees_less():
    image = picture((RED, 7, 9, 25))
    first, second = mask_of(image, RED), np.zeros(SIZE, bool)
    second[9:31:2, 11:33] = True  # finer than the network sees
    results, _ = run(model(size="16x16"), [image] * 2, [Prompt(0, {1: first}), Prompt(1, {2: second})])
    assert np.array_equal(mask(results[1], 2), second)
    assert mask(results[1], 1).any()
    assert not (mask(results[1], 1) & second).any()


@needs_bfloat16
def test_bfloat16_stays_near_float32():
    generator = np.random.default_rng(0)
    images = [generator.integers(0, 256, (48, 64, 3), dtype=np.uint8) for _ in range(4)]
    given = np.zeros((48, 64), bool)
    given[8:40, 8:40] = True
    soft = []
    for dtype in (torch.float32, torch.bfloat16):
        network = prepare(small_stm(), CPU, dtype)
        with MemorySession(network, VideoInfo("clip", 64, 48), MemoryOptions("unchanged", soft=True), CPU) as session:
            found = [
                session.step(Frame(i, 0.0, x), Prompt(0, {1: given}) if i == 0 else None) for i, x in enumerate(images)
            ]
        soft.append(np.stack([result.soft for (result,) in found]).astype(int))
    assert np.abs(soft[0] - soft[1]).max() <= 8
    assert len(np.unique(soft[0][1:])) > 10


def test_relevance_can_be_looked_at():
    from rotoscope.inference.looking import look
    from rotoscope.models.memory.looking import RelevanceOptions

    images = moving(8, RED, GREEN)
    own = model(memory_every=1)
    own.network = small_stm()
    own.network.decoder.predict.bias.data[1] += 20  # finds the object everywhere
    mask = np.ones(SIZE, bool)
    found = look(own, images, "relevance", RelevanceOptions(shown=2), prompts=[Prompt(0, {1: mask})])
    assert [row["frame"] for row in found.numbers["memory"]] == list(range(7))
    assert sum(row["share"] for row in found.numbers["memory"]) == pytest.approx(1)
    assert [block.title for block in found.figures["maps"].blocks] == ["frame 0", "frame 6"]
