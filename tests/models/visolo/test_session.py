"""VISOLO on videos: short ones, empty ones, crowded ones, of any size; what is kept has a bound."""

import numpy as np
import pytest
import torch
from torch import nn

from rotoscope.errors import OptionError
from rotoscope.inference.prepare import prepare
from rotoscope.inference.segmentation import Segmentation
from rotoscope.models import system
from rotoscope.models.visolo.association import Associator
from rotoscope.models.visolo.detection import detect, matrix_decay, nothing, shared_pixels, uncovered
from rotoscope.models.visolo.memory import Entry, GridMemory
from rotoscope.models.visolo.network import VISOLO, Widths
from rotoscope.models.visolo.options import OnlineOptions
from rotoscope.models.visolo.session import OnlineSession, enlarged
from rotoscope.models.visolo.tracker import Tracker
from rotoscope.models.visolo.votes import Votes
from rotoscope.types import Frame, Prompt, VideoInfo

CPU = torch.device("cpu")
SMALL = Widths(32, 32, 32, 32)


def small(classes=40, bias=-1.0, seed=0):
    torch.manual_seed(seed)
    network = VISOLO(classes, (1, 1, 1), 8, SMALL)
    nn.init.constant_(network.category.predict.bias, bias)
    return prepare(network, CPU, torch.float32)


def images(count, size=(48, 80), seed=0):
    generator = np.random.default_rng(seed)
    return [generator.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(count)]


def through(network, pictures, **options):
    height, width = pictures[0].shape[:2]
    chosen = OnlineOptions(**{"size": "48x80", "grid": "4x6", **options})
    with OnlineSession(network, VideoInfo("clip", width, height), chosen, CPU) as session:
        return [session.step(Frame(index, index / 25, image))[0] for index, image in enumerate(pictures)]


@pytest.mark.parametrize("count", [1, 2, 3, 12])
def test_every_frame_is_answered_in_the_same_step(count):
    found = through(small(), images(count))
    assert [result.index for result in found] == list(range(count))
    assert any(result.objects for result in found)
    for result in found:
        ids = [item.track_id for item in result.objects]
        assert ids == sorted(set(ids))
        assert all(item.label in ("person", "giant_panda") or item.label for item in result.objects)
        assert all(0 < item.score <= 1 and item.mask.area for item in result.objects)


def test_a_network_that_finds_nothing_decodes_nothing():
    network = small(bias=-20.0)
    calls = []
    network.feature.register_forward_hook(lambda *_: calls.append(1))
    found = through(network, images(5))
    assert all(not result.objects for result in found)
    assert not calls


@pytest.mark.parametrize("size", ["48x80", "50x70", "33x47", "unchanged", "17"])
def test_any_size(size):
    network = small()
    pictures = images(3, (51, 77))
    found = through(network, pictures, size=size)
    assert all(result.size == (51, 77) for result in found)
    assert all(item.mask.size == (51, 77) for result in found for item in result.objects)
    assert any(result.objects for result in found)


def test_padding_does_not_show():
    """A frame that is padded anyway gives what the same frame gives with the padding drawn on it."""
    network = small()
    mean = torch.tensor([123.675, 116.28, 103.53])[:, None, None] / 255
    frame = torch.rand(3, 40, 70)
    padded = mean.expand(3, 48, 80).clone()
    padded[:, :40, :70] = frame
    options = OnlineOptions(grid="4x6")
    with torch.inference_mode():
        one, other = network.encode(frame[None], (4, 6)), network.encode(padded[None], (4, 6))
    for left, right in zip((*one[:3], *one.maps), (*other[:3], *other.maps), strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)
    assert Tracker(network, options).step(frame).detections.masks.shape[1:] == (40, 70)


def test_memory_features_are_computed_once_a_frame():
    network, calls = small(), []
    for part in (network.similarity, network.value, network.encoder):
        part.register_forward_hook(lambda module, *_: calls.append(module))
    through(network, images(12))
    for part in (network.similarity, network.value, network.encoder):
        assert calls.count(part) == 12


def test_memory_keeps_the_published_frames_up_to_its_limit():
    memory = GridMemory(5, 2, 3)
    for frame in range(40):
        memory.put(Entry(frame, torch.zeros(2, 1), torch.zeros(2, 1)))
    assert memory.frames == [0, 30, 35, 38, 39]
    assert memory.kept_before(38) == 2
    window = GridMemory(0, 3, 2)
    for frame in range(9):
        window.put(Entry(frame, torch.zeros(2, 1), torch.zeros(2, 1)))
    assert window.frames == [6, 7, 8]
    assert window.kept_before(8) is None


def test_nothing_grows_with_the_video():
    network = small(bias=-0.5)
    options = OnlineOptions(size="32x32", grid="3x3", memory_limit=2, lost_limit=4)
    with OnlineSession(network, VideoInfo("clip", 32, 32), options, CPU) as session:
        seen = set()
        for index, image in enumerate(images(60, (32, 32))):
            result = session.step(Frame(index, 0.0, image))[0]
            seen |= {item.track_id for item in result.objects}
            tracker = session.tracker
            assert len(tracker.memory.entries) <= 4
            assert sum(len(group.ids) for group in tracker.associator.lost) <= 4
            assert len(session._votes) <= 4 + len(result.objects) + 9


def features_of(count, size, embedding=16, seed=0):
    torch.manual_seed(seed)
    vectors = torch.rand(count, 5) * 0.8 + 0.15
    logits = torch.randn(count, *size) * 4
    return vectors, torch.arange(count), vectors.amax(dim=1), logits


@pytest.mark.parametrize("published", [False, True])
def test_hundreds_of_candidates(published):
    vectors, cells, scores, logits = features_of(252, (12, 20))
    found = detect(vectors, cells, scores, logits, (48, 80), OnlineOptions(published=published))
    assert 1 <= len(found) <= 100
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)
    areas = found.masks.flatten(1).sum(dim=1)
    assert areas.min() > 0
    for place in range(len(found)):
        over = (found.masks[:place] & found.masks[place]).flatten(1).sum(dim=1)
        assert not (over > 0.5 * areas[place]).any()


def test_what_is_empty_harms_nothing_unless_the_slips_are_asked_for():
    vectors, cells, scores, logits = features_of(4, (6, 8))
    logits[1:3] = -9.0
    clean = detect(vectors, cells, scores, logits, (24, 32), OnlineOptions())
    assert set(clean.cells.tolist()) <= {0, 3}
    assert len(clean)
    assert len(detect(vectors, cells, scores, logits, (24, 32), OnlineOptions(published=True))) == 0
    none = detect(vectors, cells, scores, torch.full((4, 6, 8), -9.0), (24, 32), OnlineOptions())
    assert len(none) == 0
    assert len(nothing(vectors, (24, 32))) == 0


@pytest.mark.parametrize(("published", "first"), [(False, [0, 1, 2]), (True, [0, 1])])
def test_only_the_best_candidates_are_looked_at(published, first):
    """An empty one is the first of the released code's order, and takes a place there."""
    vectors, cells, _, logits = features_of(5, (6, 8))
    logits[:] = -9.0
    for place in (0, 1, 2, 4):
        logits[place, place, :] = 9.0
    options = OnlineOptions(nms_pre=3, overlap=1.0, published=published)
    found = detect(vectors, cells, torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), logits, (24, 32), options)
    assert found.cells.tolist() == first


def test_sigma_says_how_much_an_overlap_lowers_a_score():
    shared, areas, labels = torch.tensor([[10.0, 5.0], [5.0, 10.0]]), torch.full((2,), 10.0), torch.zeros(2)
    for sigma in (0.5, 2.0, 8.0):
        found = matrix_decay(shared, areas, labels, "gaussian", sigma)
        assert found.tolist() == pytest.approx([1.0, np.exp(-sigma / 9)])  # an IoU of 5 / 15
    assert matrix_decay(shared, areas, labels, "gaussian").tolist() == pytest.approx([1.0, np.exp(-2 / 9)])


def test_the_first_cell_alone_is_found():
    from rotoscope.models.visolo.detection import candidate_cells

    vectors = torch.zeros(12, 3)
    vectors[0, 1] = 0.9
    assert candidate_cells(vectors, None, OnlineOptions())[0].tolist() == [0]
    assert candidate_cells(vectors, None, OnlineOptions(published=True))[0].tolist() == []


def test_three_equal_masks_leave_one():
    mask = torch.zeros(3, 8, 8, dtype=torch.bool)
    mask[:, 2:5, 2:5] = True
    areas, labels = torch.full((3,), 9.0), torch.zeros(3, dtype=torch.int64)
    decay = matrix_decay(shared_pixels(mask), areas, labels, "linear")
    assert decay.tolist() == [1.0, 0.0, 0.0]
    assert matrix_decay(torch.zeros(0, 0), torch.zeros(0), labels[:0], "gaussian").shape == (0,)


@pytest.mark.parametrize("count", [7, 40])
def test_shared_pixels_are_counted_exactly(count):
    torch.manual_seed(0)
    masks = torch.rand(count, 33, 21) < 0.04
    expected = torch.einsum("ihw,jhw->ij", masks.double(), masks.double())
    assert torch.equal(shared_pixels(masks).double(), expected)
    assert uncovered(shared_pixels(masks), masks.sum(dim=(1, 2)).float(), 1.0).all()


def embedded(*numbers):
    """Queries and references of cells that are like those of the same number only."""
    chosen = torch.eye(8)[list(numbers)].view(len(numbers), 8)
    return chosen * 8, chosen * 8 - 4


def test_lost_instances_come_back_and_the_oldest_are_forgotten():
    associator = Associator(0.5, lost_limit=2)
    assert associator.step(*embedded(0, 1, 2)) == [1, 2, 3]
    assert associator.step(*embedded(1)) == [2]
    assert associator.known == {1, 2, 3}
    assert associator.step(*embedded()) == []
    kept = associator.known
    assert kept == {1, 2}  # of the older group the worst was forgotten
    back = associator.step(*embedded(2, 0, 1))
    assert {track_id for track_id in back if track_id <= 3} == kept
    assert len(back) == 3


def test_without_a_pool_nothing_comes_back():
    associator = Associator(0.5, lost_limit=0)
    assert associator.step(*embedded(0)) == [1]
    assert associator.step(*embedded()) == []
    assert associator.step(*embedded(0)) == [2]
    assert not associator.lost


def test_hundreds_of_instances_are_associated():
    torch.manual_seed(0)
    queries, references = torch.eye(300) * 20, torch.eye(300) * 20 - 10
    associator = Associator(0.5, lost_limit=1000)
    assert associator.step(queries, references) == list(range(1, 301))
    order = torch.randperm(300)
    assert associator.step(queries[order], references[order]) == (order + 1).tolist()


def test_votes_are_the_mean_of_all_frames():
    votes = Votes()
    assert votes.add(3, torch.tensor([0.2, 0.6])).label == 1
    verdict = votes.add(3, torch.tensor([0.9, 0.1]))
    assert verdict.label == 0
    assert verdict.score == pytest.approx(0.55)
    votes.keep([])
    assert len(votes) == 0


def test_masks_are_enlarged_as_zeros_and_ones():
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[1:3, 2:4] = True
    assert enlarged(mask, (4, 6)).tolist() == mask.tolist()
    large = enlarged(mask, (40, 60))
    assert large[12:28, 22:38].all()
    assert not large[:8].any()


@pytest.mark.parametrize(
    "options",
    [
        {"aggregate": "none"},
        {"aggregate": "category"},
        {"aggregate": "mask"},
        {"reweight": "none"},
        {"reweight": "previous"},
        {"memory_every": 0, "memory_recent": 1},
        {"memory_every": 1},
        {"decay": "linear", "overlap": 1.0},
        {"nms_pre": 1},
        {"nms_sigma": 50.0},
        {"lost_limit": 0},
    ],
    ids=str,
)
def test_ablations_change_the_answer(options):
    network, pictures = small(bias=-1.5), images(9)
    assert through(network, pictures, **options) is not None
    tracker, plain = (
        Tracker(network, OnlineOptions(grid="4x6", **chosen)) for chosen in (options, {"memory_limit": 64})
    )
    differ = False
    for image in pictures:
        frame = torch.from_numpy(image).permute(2, 0, 1)
        one, other = tracker.step(frame), plain.step(frame)
        differ |= one.ids != other.ids or one.detections.scores.tolist() != other.detections.scores.tolist()
    assert differ or options == {"lost_limit": 0}


def test_labels_follow_the_network_and_the_options():
    assert {item.label for r in through(small(7), images(2)) for item in r.objects} <= set("1234567")
    found = {item.label for r in through(small(), images(3), categories="ytvis2021") for item in r.objects}
    assert found
    with pytest.raises(OptionError, match="25 categories"):
        through(small(), images(1), categories="ovis")


def test_prompts_and_wrong_options_are_refused():
    session = OnlineSession(small(), VideoInfo("clip", 80, 48), OnlineOptions(grid="4x6"), CPU)
    with pytest.raises(OptionError, match="no prompts"):
        session.step(Frame(0, 0.0, images(1)[0]), Prompt(0, {1: np.ones((48, 80), bool)}))
    for wrong in (
        {"grid": "12"},
        {"grid": "0x4"},
        {"memory_limit": 1},
        {"memory_recent": 0},
        {"lost_limit": True},
        {"least_score": 1.5},
        {"decay": "cubic"},
        {"nms_pre": 0},
        {"nms_pre": 2.5},
        {"nms_sigma": 0.0},
        {"nms_sigma": float("nan")},
        {"nms_sigma": "2"},
        {"categories": "imagenet"},
        {"size": "big"},
    ):
        with pytest.raises(OptionError):
            OnlineOptions(**wrong)


def test_the_system_names_its_networks():
    chosen = system("visolo")
    assert chosen.task == "instances"
    assert set(chosen.networks) == {"ytvis", "coco", "ovis", "mobile", "mobile_movers"}
    assert chosen.declare(OnlineOptions()).look_ahead == 0


def test_the_last_verdict_on_an_instance_is_the_mean_of_all_its_frames():
    network, pictures = small(), images(6)
    found = through(network, pictures)
    names = system("visolo").categories(network, OnlineOptions())
    assert names[:2] == ("person", "giant_panda")
    assert len(names) == 40
    for result in found:
        assert {item.track_id for item in result.objects} <= result.verdicts.keys()
        for item in result.objects:
            verdict = result.verdicts[item.track_id]
            assert (item.score, item.label) == (verdict.score, verdict.label)
            assert verdict.label in names
    model_tracks = Segmentation.collect(VideoInfo("clip", 80, 48), found).tracks
    last = {number: verdict for result in found for number, verdict in result.verdicts.items()}
    assert model_tracks
    for track in model_tracks:
        assert (track.score, track.label) == (last[track.id].score, last[track.id].label)


def test_names_are_as_many_as_the_categories():
    with pytest.raises(OptionError, match="ovis has 25 categories, the network has 40"):
        system("visolo").categories(small(), OnlineOptions(categories="ovis"))
    with pytest.raises(OptionError, match="runs a VISOLO network, not a Identity"):
        system("visolo").categories(nn.Identity(), OnlineOptions())
