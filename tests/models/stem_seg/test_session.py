"""STEm-Seg on videos: short ones, empty ones, crowded ones, of any size; labels stay, what is kept has a bound."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rotoscope.errors import OptionError
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.loading import options_of
from rotoscope.inference.segmentation import Segmentation
from rotoscope.masks.mots import read_mots_frames, write_mots
from rotoscope.masks.run_length import decode, encode, to_string
from rotoscope.models import system
from rotoscope.models.stem_seg.answers import Answers, Stamp
from rotoscope.models.stem_seg.chaining import Chainer, associate
from rotoscope.models.stem_seg.clustering import Rules, cluster
from rotoscope.models.stem_seg.fit import FrameFit
from rotoscope.models.stem_seg.labelling import Labelled
from rotoscope.models.stem_seg.network import NETWORKS
from rotoscope.models.stem_seg.options import EmbeddingOptions
from rotoscope.models.stem_seg.schedule import Schedule, look_ahead
from rotoscope.models.stem_seg.selection import worthy
from rotoscope.models.stem_seg.session import EmbeddingSession, declare
from rotoscope.types import Frame, Prompt, VideoInfo
from tests.models.stem_seg.colours import BLUE, GREEN, RED, YELLOW, Colours, moving, picture

CPU = torch.device("cpu")
NAMES = {"person": RED, "giant_panda": GREEN}


def through(images, network=None, **options):
    """The results of a video, and how many frames followed each of them."""
    height, width = images[0].shape[:2]
    chosen = EmbeddingOptions(**{"size": "unchanged", **options})
    results, waits = [], []
    with EmbeddingSession(network or Colours(), VideoInfo("clip", width, height), chosen, CPU) as session:
        for index, image in enumerate(images):
            done = session.step(Frame(index, index / 25, image))
            waits += [index - result.index for result in done]
            results += done
        results += session.finish()
        assert session.finish() == []
    return results, waits


def ids(results):
    return [[item.track_id for item in result.objects] for result in results]


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 12, 13, 31])
def test_objects_keep_their_labels(count, patient):
    results, waits = through(moving(count, RED, GREEN), patient=patient)
    assert [result.index for result in results] == list(range(count))
    assert ids(results) == [[1, 2]] * count
    assert all(wait <= look_ahead(8, 4, patient) for wait in waits)
    for image, result in zip(moving(count, RED, GREEN), results, strict=True):
        assert {item.label for item in result.objects} == set(NAMES)
        for item in result.objects:
            mask, truth = decode(item.mask), (image == NAMES[item.label]).all(axis=2)
            assert (mask & truth).sum() / (mask | truth).sum() > 0.6
            assert 0 < item.score <= 1


@pytest.mark.parametrize("semantic", [True, False])
@pytest.mark.parametrize("tracks", ["stream", "davis", "youtube-vis", "kitti-mots"])
@pytest.mark.parametrize("count", [1, 5, 20])
def test_a_video_without_any_instance(count, tracks, semantic):
    results, _ = through([picture()] * count, Colours(semantic), tracks=tracks)
    assert [result.index for result in results] == list(range(count))
    assert not any(result.objects for result in results)


def test_networks_without_logits_name_nothing():
    results, _ = through(moving(10, RED, BLUE), Colours(semantic=False))
    assert ids(results) == [[1, 2]] * 10
    assert {item.label for result in results for item in result.objects} == {None}


@pytest.mark.parametrize("length", [2, 4, 16, 24])
def test_videos_shorter_than_a_clip(length):
    for count in range(1, 5):
        results, _ = through(moving(count, RED), clip=length, overlap=length // 2)
        assert ids(results) == [[1]] * count


@pytest.mark.parametrize("most", [1, 2])
def test_more_instances_than_a_clip_may_have(most):
    results, _ = through(moving(9, RED, GREEN, BLUE), most_in_clip=most)
    assert {len(result.objects) for result in results} == {most}


def test_more_instances_than_a_video_may_have():
    images = moving(6, RED, GREEN) + moving(10, RED, GREEN, BLUE)
    results, _ = through(images, tracks="davis", most=2)
    assert ids(results) == [[1, 2]] * 16
    assert {item.label for result in results for item in result.objects} == {"person", "giant_panda"}


@pytest.mark.parametrize("tracks", ["stream", "davis", "youtube-vis", "kitti-mots"])
def test_instances_that_are_small_beside_the_largest_are_left_out_where_that_is_asked(tracks):
    images = [picture((RED, 0, 0, 32), (GREEN, 36, 40, 8))] * 9
    for least, count in ((0.0, 2), (0.05, 2), (0.08, 1)):
        results, _ = through(images, tracks=tracks, least_score=least, clean=False)
        assert [len(result.objects) for result in results] == [count] * 9


def test_an_instance_that_appears_gets_a_label_of_its_own():
    results, _ = through(moving(12, RED) + moving(12, RED, BLUE))
    assert ids(results)[:12] == [[1]] * 12
    assert len({tuple(found) for found in ids(results)[12:]}) == 1
    assert len(ids(results)[12]) == 2


def test_an_instance_that_comes_back_after_clips_is_another_one():
    results, _ = through(moving(8, RED, GREEN) + moving(16, RED) + moving(8, RED, GREEN))
    found = ids(results)
    assert found[0] == [1, 2]
    assert found[16] == [1]
    assert found[-1][0] == 1
    assert found[-1][1] > 2


def test_colours_that_are_alike_are_one_instance():
    results, _ = through([picture((RED, 0, 0, 12), (RED, 30, 40, 12))] * 4)
    assert ids(results) == [[1]] * 4
    assert decode(results[0].objects[0].mask)[[5, 35], [5, 45]].all()


@pytest.mark.parametrize("full_size", [True, False])
@pytest.mark.parametrize("size", ["unchanged", "96/160", "40/50", "64x64", "33"])
def test_any_size(size, full_size):
    images = moving(9, RED, YELLOW, size=(51, 77))
    results, _ = through(images, size=size, full_size=full_size)
    assert all(result.size == (51, 77) for result in results)
    assert all(item.mask.size == (51, 77) for result in results for item in result.objects)
    truth = (images[4] == RED).all(axis=2)
    overlaps = [(decode(item.mask) & truth).sum() / (decode(item.mask) | truth).sum() for item in results[4].objects]
    assert max(overlaps) > 0.5


@pytest.mark.parametrize("full_size", [True, False])
@pytest.mark.parametrize("frame", [(50, 90), (60, 100), (33, 47), (480, 854), (7, 5)])
def test_masks_are_enlarged_as_by_two_steps(frame, full_size):
    fit = FrameFit.of(frame, "80/150", full_size)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 1, 6, 5, generator=generator)
    mask = torch.nn.functional.interpolate(noise, fit.labels, mode="bicubic")[0, 0] > 0.6
    mask[:, : fit.labels[1] // 4] = False
    np.testing.assert_array_equal(fit.enlarged(mask.numpy()), published_size(mask.numpy(), fit))
    assert not fit.enlarged(np.zeros(fit.labels, bool)).any()


def published_size(mask, fit):
    """(h, w) bool -> (H, W) bool, step by step in float32 as the published writers do."""
    large = torch.from_numpy(mask)[None, None].float()
    if not fit.full_size:
        large = torch.nn.functional.interpolate(large, scale_factor=4, mode="bilinear")
    large = large[..., : fit.resized[0], : fit.resized[1]]
    return (torch.nn.functional.interpolate(large, fit.frame, mode="bilinear")[0, 0] > 0.5).numpy()


@pytest.mark.parametrize("tracks", ["davis", "youtube-vis", "kitti-mots"])
@pytest.mark.parametrize(
    ("frame", "rule", "full_size"),
    [
        ((375, 1242), "800/1948", False),
        ((370, 1224), "800/1948", True),
        ((480, 854), "736/1248", True),
        ((480, 854), "480", False),
        ((33, 47), "64", False),
    ],
    ids=str,
)
def test_what_is_a_half_is_decided_as_published(frame, rule, full_size, tracks):
    options = EmbeddingOptions(size=rule, full_size=full_size, tracks=tracks, clean=False)
    fit = FrameFit.of(frame, rule, full_size)
    height, width = fit.labels
    blocks = np.random.default_rng(0).integers(0, 4, (height // 4 + 1, width // 4 + 1))
    labels = np.kron(blocks, np.ones((4, 4), np.int64))[:height, :width]
    answers = Answers(fit, options)
    answers.add(Stamp(0, 0.0), Labelled(0, torch.from_numpy(labels), None, None, None, None))
    (result,) = answers.finish()
    found = {number: decode(item.mask) for number, item in zip((1, 2, 3), result.objects, strict=True)}
    if tracks == "kitti-mots":
        order = [record.label for record in sorted(answers.records.all, key=lambda record: -record.places)]
        found = {label: found[place] for place, label in enumerate(order, 1)}
    for label, mask in found.items():
        np.testing.assert_array_equal(mask, published_size(labels == label, fit))


@pytest.mark.parametrize(("pixels", "kept"), [(231, 0), (232, 3)])
def test_a_mask_that_fills_just_the_least_share_of_its_box_is_filtered(pixels, kept):
    mask = np.zeros((40, 40), bool)
    mask[:22, :30].flat[: pixels - 1] = True
    mask[21, 29] = True  # the box is 22 x 30, of which 231 is 0.35
    masks = {index: encode(mask) for index in range(3)}
    assert len(worthy(masks, "car")) == kept


def test_published_lines_of_kitti_mots_include_empty_masks(tmp_path):
    """The places of instance 1 in the second frame, one in a corner, lie between the few pixels of the frames."""
    labels = np.zeros((2, 24, 24), np.int64)
    labels[0, :12], labels[:, 12:], labels[1, 0, 0] = 1, 2, 1
    found = {}
    for empty, clean in ((False, False), (True, False), (True, True)):
        options = EmbeddingOptions(size="96", tracks="kitti-mots", clean=clean, empty_masks=empty)
        answers = Answers(FrameFit.of((8, 8), "96"), options)
        for index, one in enumerate(labels):
            answers.add(Stamp(index, index / 10), Labelled(index, torch.from_numpy(one), None, None, None, None))
        segmentation = Segmentation.collect(VideoInfo("0002", 8, 8), answers.finish(), categories={"car": 1})
        tracks = [replace(track, label="car") for track in segmentation.tracks]
        write_mots(tmp_path / "0002.txt", tracks)
        found[empty, clean] = read_mots_frames(tmp_path / "0002.txt")
        segmentation.save(tmp_path / "davis")
        segmentation.timeline(tmp_path / "timeline.png")
    lines = {how: [(i, one.id, one.mask.area) for i in frames for one in frames[i]] for how, frames in found.items()}
    assert lines[False, False] == [(0, 1001, 32), (0, 1002, 32), (1, 1001, 32)]
    assert lines[True, False] == [(0, 1001, 32), (0, 1002, 32), (1, 1001, 32), (1, 1002, 0)]
    assert lines[True, True] == []  # the published filter takes them all
    assert to_string(found[True, False][1][1].mask) == "P2"  # 64 pixels of background


def test_categories_at_full_size_are_those_of_enlarged_logits():
    from rotoscope.models.stem_seg.records import Records

    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(6, 8, 12, generator=generator)
    labels = torch.randint(-1, 4, (32, 48), generator=generator).numpy()
    records = Records("mean")
    assert records.add(0, labels, classes) == [1, 2, 3]
    large = torch.nn.functional.interpolate(classes[None], scale_factor=4, mode="bilinear")[0]
    for label in (1, 2, 3):
        np.testing.assert_allclose(records[label].evidence, large[:, labels == label].sum(dim=1), rtol=1e-4, atol=1e-3)


def test_frames_are_held_as_declared():
    options = EmbeddingOptions(size="unchanged")
    most = 0
    with EmbeddingSession(Colours(), VideoInfo("clip", 64, 48), options, CPU) as session:
        for index, image in enumerate(moving(40, RED)):
            session.step(Frame(index, 0.0, image))
            most = max(most, session.labeller.held)
        session.finish()
    assert 8 <= most <= declare(options).frames_held
    assert session.labeller.held == 0


def test_memory_is_constant_over_5001_frames():
    image = picture((RED, 0, 0, 12), size=(32, 32))
    other = picture((GREEN, 8, 8, 12), size=(32, 32))
    options = EmbeddingOptions(size="unchanged", clip=8, overlap=2)
    count = 0
    with EmbeddingSession(Colours(), VideoInfo("long", 32, 32), options, CPU) as session:
        for index in range(5001):
            done = session.step(Frame(index, index / 24, image if index // 10 % 2 else other))
            count += len(done)
            assert session.labeller.held <= declare(options).frames_held
            assert len(session.answers.records) <= 4
        count += len(session.finish())
    assert count == 5001


@pytest.mark.parametrize("overlap", [0, 1, 4, 7])
@pytest.mark.parametrize("patient", [True, False])
def test_no_frame_waits_longer_than_declared(overlap, patient):
    for count in range(1, 60):
        schedule, answered = Schedule(8, overlap, patient), 0
        for index in range(count):
            schedule.push()
            for clip in schedule.settled():
                answered = clip[-1] + 1
            assert index - answered < look_ahead(8, overlap, patient)
        schedule.finish()
        assert max([answered, *(clip[-1] + 1 for clip in schedule.settled())]) == count


def points(*rows):
    """Embeddings (2, N), bandwidths and seediness."""
    embeddings = torch.tensor(rows, dtype=torch.float32).T
    return embeddings[:2], torch.full((2, len(rows)), 4.0), embeddings[2]


def test_clustering_nothing():
    found = cluster(torch.zeros(2, 0), torch.zeros(2, 0), torch.zeros(0), torch.zeros(0), Rules())
    assert (found.labels.shape, found.ids, found.centres.shape) == ((0,), [], (0, 2))


def test_the_clean_response_reaches_as_training_has_it():
    # Two standard deviations of 0.5 away would be 0.135 in a Gaussian, 0.368 as published; at 1.1 it is 0.546, 0.577.
    given = points((0, 0, 0.9), (0.55, 0, 0.1), (0.6, 0, 0.1), (0.65, 0, 0.1), (1.0, 0, 0.1))
    published = cluster(*given, torch.zeros(0), Rules(leftovers="none"))
    gaussian = cluster(*given, torch.zeros(0), Rules(response="gaussian", leftovers="none"))
    assert published.labels.tolist() == [1, 1, 1, 1, -1]
    assert gaussian.labels.tolist() == [1, 1, -1, -1, -1]


def test_leftovers_join_the_farthest_as_published_or_the_nearest():
    given = points((0, 0, 0.9), (1, 0, 0.85), (0.72, 0, 0.1), (5, 5, 0.1))
    rules = {name: Rules(primary=0.6, secondary=0.3, leftovers=name) for name in ("farthest", "nearest", "none")}
    found = {name: cluster(*given, torch.zeros(0), rule).labels.tolist() for name, rule in rules.items()}
    assert found["none"] == [1, 2, 2, -1]
    close = points((0, 0, 0.9), (1, 0, 0.85), (0.58, 0, 0.1), (5, 5, 0.1))
    tight = {name: Rules(primary=0.7, secondary=0.3, leftovers=name) for name in ("farthest", "nearest", "none")}
    found = {name: cluster(*close, torch.zeros(0), rule).labels.tolist() for name, rule in tight.items()}
    assert found == {"farthest": [1, 2, 1, -1], "nearest": [1, 2, 2, -1], "none": [1, 2, -1, -1]}


def test_free_dimensions_reach_as_far_as_the_options_say():
    """Colours are one instance or two by the spread of the free dimensions, here blue."""
    images = [picture(((255, 0, 0), 4, 4, 12), ((255, 0, 100), 30, 40, 12))] * 4
    found = {}
    for stds in ((0.3,), (0.3, 0.3), (0.1,), (0.1, 0.3), [5.0, 0.3]):
        results, _ = through(images, free_dim_stds=stds)
        found[tuple(stds)] = len(results[0].objects)
    assert found == {(0.3,): 1, (0.3, 0.3): 1, (0.1,): 2, (0.1, 0.3): 2, (5.0, 0.3): 1}
    with pytest.raises(OptionError, match="free_dim_stds has 3 values, the network 2 free dimensions; give one"):
        through(images, free_dim_stds=(0.3, 0.3, 0.3))


def test_free_dimensions_of_a_card():
    card = Card("own", "stem-seg", "davis_r50", options={"free_dim_stds": [0.5, 0.25]})
    assert options_of(EmbeddingOptions, card) == EmbeddingOptions(free_dim_stds=(0.5, 0.25))
    assert EmbeddingOptions().free_dim_stds == (0.3,)


def test_labels_of_two_clips_need_a_common_place_where_that_is_asked():
    existing, current = np.array([1, 1, 1, -1, -1]), np.array([-1, -1, -1, 7, 7])
    assert associate(existing, current) == {1: (7, 0.0)}
    assert associate(existing, current, 0.1) == {}
    assert associate(existing, np.full(5, -1)) == {}
    assert associate(np.zeros(0, int), np.zeros(0, int)) == {}


def test_clips_without_foreground_end_a_chain():
    chainer = Chainer(torch.zeros(0), Rules())
    given = points((0, 0, 0.9))
    empty, place = torch.zeros(1, 1, dtype=torch.bool), torch.ones(1, 1, dtype=torch.bool)
    nothing = (torch.zeros(2, 0), torch.zeros(2, 0), torch.zeros(0))
    assert int(chainer.step({0: place}, *given)[0]) == 1
    assert int(chainer.step({0: empty, 1: empty}, *nothing)[1]) == 0
    assert int(chainer.step({1: empty, 2: place}, *given)[2]) == 2


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"clip": 7}, "a clip of 7 frames is not known; choose 2, 4, 8, 16, 24, 32"),
        ({"clip": 8, "overlap": 8}, r"overlap 8 must lie in 0\.\.7"),
        ({"most": 0}, "most 0: expected 1 or more"),
        ({"most_in_clip": 2.5}, "is not a whole number"),
        ({"primary": 1.5}, "primary 1.5: expected 0 to 1"),
        ({"free_dim_stds": ()}, "expected a list of numbers above 0"),
        ({"free_dim_stds": 0.3}, "free_dim_stds 0.3: expected a list"),
        ({"free_dim_stds": (0.3, 0.0)}, "expected a list of numbers above 0"),
        ({"free_dim_stds": (float("nan"),)}, "expected a list of numbers above 0"),
        ({"response": "linear"}, "choose published, gaussian"),
        ({"tracks": "coco"}, "choose stream, davis, youtube-vis, kitti-mots"),
        ({"size": "736/100"}, "below the short one"),
        ({"size": "736:100"}, "is not understood"),
    ],
    ids=str,
)
def test_options_that_cannot_be_meant(options, match):
    with pytest.raises(OptionError, match=match) as caught:
        EmbeddingOptions(**options)
    assert "\n" not in str(caught.value)


def test_bad_input_is_refused():
    image = moving(1, RED)[0]
    with pytest.raises(OptionError, match="give its true size"):
        EmbeddingSession(Colours(), VideoInfo("clip", 0, 48), EmbeddingOptions(), CPU)
    with EmbeddingSession(Colours(), VideoInfo("clip", 64, 48), EmbeddingOptions(), CPU) as session:
        with pytest.raises(OptionError, match="takes no prompts"):
            session.step(Frame(0, 0.0, image), Prompt(0, {1: np.ones((48, 64), bool)}))
        with pytest.raises(OptionError, match="the session was opened for 64x48"):
            session.step(Frame(0, 0.0, image[1:]))
        assert session.finish() == []
        with pytest.raises(OptionError, match="is finished"):
            session.step(Frame(0, 0.0, image))
    with pytest.raises(OptionError, match="not a Linear"):
        system("stem-seg").session(torch.nn.Linear(1, 1), VideoInfo("clip", 64, 48), EmbeddingOptions(), CPU)


def test_every_published_network_has_its_options():
    chosen = system("stem-seg")
    assert set(chosen.published_options) == set(NETWORKS)
    options = options_of(
        EmbeddingOptions, Card("a", "stem-seg", "davis_r101", options=chosen.published_options["davis_r101"])
    )
    assert (options.size, options.clip, options.overlap, options.least_seediness) == ("736/1248", 16, 6, 0.8)
    kitti = EmbeddingOptions(**chosen.published_options["kitti_mots_r50_d2conv3d_coarse"])
    assert (kitti.size, kitti.clip, kitti.least_seediness, kitti.votes) == ("800/1948", 8, 0.95, "places")
    assert EmbeddingOptions(**chosen.published_options["ovis_r50"]).full_size
