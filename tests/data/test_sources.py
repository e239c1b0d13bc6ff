import pickle
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.data.batches import Mixture, counted_out
from rotoscope.data.clips import Augmentation, ReleasedCrop
from rotoscope.data.sources import FramesOf, GrowingClips, ReleasedStills, StillClips, VideoClips, moving_things
from rotoscope.data.stills.cutouts import cut_from
from rotoscope.data.stills.scenes import SceneOptions
from rotoscope.errors import DataError
from tests import golden
from tests.data.made import Squares, write_sequence

SIZE = (40, 60)
WHOLE = ReleasedCrop(SIZE)  # the sequences have this size: frames come as they are


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequences")
    return [
        write_sequence(root, "long", 12),
        write_sequence(root, "short", 3, label=5),
        write_sequence(root, "sparse", 12, annotated=(0, 3, 6, 9)),
        write_sequence(root, "bare", 4, annotated=()),
    ]


def numbers(draft):
    """Which frames a clip is made of: the reds of `write_sequence`."""
    return draft.frames[:, 0, 0, 0].tolist()


def stills_source(sequences, **options):
    things = [cut_from(Squares(), 50), moving_things(sequences)]
    return StillClips([Squares()], [Squares(), FramesOf(sequences)], things, 4, SIZE, SceneOptions(**options))


def all_sources(sequences):
    return {
        "video": VideoClips(sequences, 4, (4, 8), Augmentation(SIZE)),
        "even": VideoClips(sequences, 4, (4, 8), WHOLE, "paper", even=True),
        "moved": stills_source(sequences, moved=1.0),
        "composition": stills_source(sequences, moved=0.0, look_alike=1.0),
        "released": ReleasedStills(Squares(), 4, SIZE),
    }


@pytest.mark.parametrize("kind", ["video", "even", "moved", "composition", "released"])
def test_number_and_seed_alone_decide_and_everything_pickles(sequences, kind):
    source = all_sources(sequences)[kind]
    sent = pickle.loads(pickle.dumps(source))
    source.draw(0, rng(9))  # what was drawn before does not matter
    drafts = [source.draw(2, rng(1)), sent.draw(2, rng(1))]
    drafts.append(pickle.loads(pickle.dumps(drafts[0])))
    first, *others = [draft.render() for draft in drafts]
    for clip, labels in others:
        assert torch.equal(clip, first[0])
        assert torch.equal(labels, first[1])
    clip, labels = first
    assert clip.shape == (3, 4, *SIZE)
    assert clip.dtype == torch.float32
    assert labels.shape == (4, *SIZE)
    assert labels.dtype == torch.uint8
    assert clip.min() >= 0
    assert clip.max() <= 1
    assert labels.any()
    assert not all(torch.equal(clip, source.draw(2, rng(seed)).render()[0]) for seed in range(2, 6))


def test_every_annotated_frame_is_a_start_and_others_do_not_occur(sequences):
    source = VideoClips(sequences, 3, (3,), WHOLE, "paper")
    assert len(source) == 12 + 3 + 4
    starts = [numbers(source.draw(number, rng()))[0] for number in range(len(source))]
    assert starts == [*range(12), *range(3), 0, 3, 6, 9]
    for number in range(15, 19):
        for seed in range(5):
            assert set(numbers(source.draw(number, rng(seed)))) <= {0, 3, 6, 9}


def test_spaced_clips_begin_everywhere_alike(sequences):
    source = VideoClips(sequences[:1], 2, (8,), WHOLE, "spaced")
    count = len(source)
    windows = [tuple(numbers(source.draw(number, rng()))) for number in range(count)]
    assert len(set(windows)) == count - 8
    shown = [windows.count(window) for window in set(windows)]
    assert max(shown) - min(shown) <= 1


def test_spans_count_annotated_frames_and_one_is_drawn_for_each_clip(sequences):
    source = VideoClips(sequences[:1], 3, (3, 9), WHOLE)
    reach = [numbers(source.draw(0, rng(seed)))[-1] for seed in range(60)]
    assert max(reach) == 8
    assert 10 < sum(end > 2 for end in reach) < 50
    assert {numbers(VideoClips(sequences[2:3], 3, (3,), WHOLE).draw(0, rng(s)))[-1] for s in range(20)} == {6}


def test_short_videos_are_filled_as_each_rule_says(sequences):
    released = VideoClips(sequences[1:2], 5, (5,), WHOLE, "released")
    assert numbers(released.draw(1, rng())) == [1, 1, 1, 1, 2]
    paper = VideoClips(sequences[1:2], 5, (5,), WHOLE, "paper")
    assert numbers(paper.draw(1, rng())) == [1, 2, 2, 2, 2]


def test_even_sources_show_short_sequences_as_often(sequences):
    def share(even):
        source = VideoClips(sequences[:2], 1, (1,), WHOLE, even=even)
        drafts = [source.draw(number % len(source), rng(number)) for number in range(150)]
        return np.mean([draft.labels.max() == 5 for draft in drafts])

    assert share(even=False) == pytest.approx(0.2)
    assert share(even=True) == pytest.approx(0.5, abs=0.12)


def test_sequences_without_annotations_are_refused(sequences):
    for make in (lambda bare: VideoClips(bare, 2, (2,), WHOLE), moving_things):
        with pytest.raises(DataError, match="none of the sequences has an annotated frame"):
            make(sequences[3:])


def test_frames_of_sequences_are_stills(sequences):
    frames = FramesOf(sequences)
    assert len(frames) == 19
    picture, labels = frames.read(12)
    assert picture.shape == (*SIZE, 3)
    assert picture[0, 0, 0] == 0
    assert set(np.unique(labels)) == {0, 5}


def test_moving_things_are_cut_out_of_frames_in_order(sequences):
    thing = moving_things(sequences[:1], spans=(2,))(4, rng())
    assert thing.texture.shape[0] == thing.mask.shape[0] == 4
    reds = thing.texture[:, 0, 0, 0].astype(int).tolist()
    assert {later - earlier for earlier, later in pairwise(reds)} == {2}
    assert (thing.mask.sum(axis=(1, 2)) == 225).all()
    held = moving_things(sequences[1:2], spans=(1,))(5, rng())  # at its end the last frame is repeated
    assert held.texture[:, 0, 0, 0].tolist() == [0, 1, 2, 2, 2]


def test_moving_things_are_one_object_each(tmp_path):
    sequence = write_sequence(tmp_path, "two", 3)
    for path in sequence.masks:
        labels = np.array(Image.open(path))
        labels[28:39, 2:14] = 2
        Image.fromarray(labels).save(path)
    sizes = {int(moving_things([sequence])(2, rng(seed)).mask[0].sum()) for seed in range(12)}
    assert sizes == {225, 11 * 12}


def test_moving_things_are_there_on_every_frame(tmp_path):
    sequence = write_sequence(tmp_path, "gone", 3)
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(sequence.masks[2])
    with pytest.raises(DataError):
        moving_things([sequence], spans=(1,))(3, rng())
    for seed in range(10):  # frames 0 and 1, never 1 and 2
        assert moving_things([sequence], spans=(1,))(2, rng(seed)).mask.any(axis=(1, 2)).all()


def test_things_too_small_are_refused_in_the_end(sequences):
    with pytest.raises(DataError, match="20 clips without an object of 1000 pixels on every frame"):
        moving_things(sequences[:1], least=1000)(2, rng())


def test_clips_from_stills_want_pictures_and_backgrounds(sequences):
    nothing = Squares(count=0)
    things = [cut_from(Squares(), 50)]
    for pictures, backgrounds in (
        ([], [Squares()]),
        ([nothing], [Squares()]),
        ([Squares()], []),
        ([Squares()], [nothing]),
    ):
        with pytest.raises(DataError):
            StillClips(pictures, backgrounds, things, 2, SIZE, SceneOptions())
    bare = StillClips([Squares()], [], [], 2, SIZE, SceneOptions(moved=0.0))
    assert bare.draw(0, rng()).render()[1].max() == 2  # without things every clip is a moved still
    assert len(bare) == 3


def test_released_stills_take_the_picture_of_their_number_at_their_size():
    source = ReleasedStills(Squares(size=(80, 120)), 3, SIZE)
    assert len(source) == 3
    for number in range(3):
        draft = source.draw(number, rng())
        picture, labels = Squares(size=(80, 120)).read(number)
        expected = picture.reshape(40, 2, 60, 2, 3).mean(axis=(1, 3))
        assert np.abs(draft.picture.astype(float) - expected).mean() < 15
        assert draft.labels.shape == SIZE
        assert set(np.unique(draft.labels)) == {0, 1, 2}
        assert len(draft.changes) == 2
        assert labels.any()


def test_sources_of_things_pickle(sequences):
    for things in (cut_from(Squares(), 50), moving_things(sequences)):
        assert isinstance(things, partial)
        sent = pickle.loads(pickle.dumps(things))
        assert np.array_equal(things(3, rng()).texture, sent(3, rng()).texture)


def test_spans_come_in_one_by_one(sequences):
    stages = [VideoClips(sequences[:1], 2, (1, 4)[:count], WHOLE, "paper") for count in (1, 2)]
    growing = GrowingClips(stages, 0.5)
    assert len(growing) == len(stages[1])
    assert [growing.at(done) for done in (0.0, 0.49, 0.5, 1.0)] == [stages[0], stages[0], stages[1], stages[1]]
    early, late = Mixture([growing], [1], seed=0, samples=10), Mixture([growing], [1], seed=0)
    gaps = [max(np.diff(numbers(early.draw(sample)))) for sample in range(5)]
    assert max(gaps) == 1
    assert max(max(np.diff(numbers(late.draw(sample)))) for sample in range(20)) > 1
    for stages_, over in (([], 0.5), (stages, 0.0), (stages, 2.0)):
        with pytest.raises(DataError, match="stages"):
            GrowingClips(stages_, over)


@pytest.mark.parametrize("row", golden.cases("stem-seg", "dataset_mix")[0]["inline"], ids=lambda row: str(row["total"]))
def test_samples_are_counted_out_as_published(row):
    assert counted_out(row["sizes"], row["weights"], row["total"]).tolist() == row["ids"]


def test_a_counted_mixture_shows_what_was_counted_out_in_any_order(sequences):
    sources = [VideoClips([one], 1, (1,), WHOLE, "paper") for one in sequences[:2]]
    mixture = Mixture(sources, [0.75, 0.25], seed=3, samples=16, mixing="counted")
    shown = [numbers(mixture.draw(sample))[0] for sample in range(16)]
    assert sorted(shown) == sorted([*range(12), *range(3), 0])
    assert shown != sorted(shown)
    again = Mixture(sources, [0.75, 0.25], seed=3, samples=16, mixing="counted")
    assert [numbers(again.draw(sample))[0] for sample in range(32)] == shown * 2
