"""A second copy of a clip's only object."""

import numpy as np
import pytest

from rotoscope.data.clips import CategorisedDraft, ReleasedCrop
from rotoscope.data.duplication import duplicated
from rotoscope.data.sources import VideoClips
from rotoscope.data.tracks import TrackSequence
from rotoscope.masks.run_length import encode
from tests import golden
from tests.data.made import write_sequence

CASES = golden.cases("stem-seg", "duplicate_instance")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_as_published(case):
    given = golden.arrays("stem-seg", case)
    base = np.floor(golden.inputs(case)["images_base"].numpy()).astype(np.uint8)
    frames = base.repeat(4, axis=1).repeat(4, axis=2)
    draws = iter(case["config"]["draws"])
    found = duplicated(frames, given["in_masks"] > 0, lambda: next(draws))
    assert next(draws, None) is None
    assert (found is not None) == case["config"]["feasible"]
    if found is None:
        return
    pictures, left_over, copies = found
    for name, masks in (("original_masks", left_over), ("duplicate_masks", copies)):
        assert (masks != (given[name] > 0)).mean() <= 0.01
    agree = (copies == (given["duplicate_masks"] > 0))[:, ::2, ::2]
    difference = np.abs(pictures[:, ::2, ::2].astype(int) - given["images"].astype(int)).max(axis=-1)
    assert difference[agree].max() <= 3


def test_nothing_to_copy():
    assert duplicated(np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8), np.bool_), lambda: 0.0) is None


def test_clips_of_one_object_get_a_second_of_its_category(tmp_path):
    size = (40, 60)
    files = write_sequence(tmp_path, "one", 3, size=size)
    masks = []
    for place in range(3):
        mask = np.zeros(size, np.bool_)
        mask[10:25, 5 + 2 * place : 20 + 2 * place] = True
        masks.append({4: encode(mask)})
    sequence = TrackSequence("one", files.frames, size, masks, {4: 9})
    clips = VideoClips([sequence], 3, [2], ReleasedCrop(size), "spaced", duplicate=True)
    draft = clips.draw(0, np.random.default_rng(0))
    assert isinstance(draft, CategorisedDraft)
    assert dict(draft.categories) == {4: 9, 5: 9}
    labels = draft.render()[1]
    assert set(labels.unique().tolist()) == {0, 4, 5}
    plain = VideoClips([sequence], 3, [2], ReleasedCrop(size), "spaced").draw(0, np.random.default_rng(0))
    assert dict(plain.categories) == {4: 9}


def test_clips_of_several_objects_stay_as_they_are(tmp_path):
    size = (40, 60)
    files = write_sequence(tmp_path, "two", 2, size=size)
    first, second = np.zeros(size, np.bool_), np.zeros(size, np.bool_)
    first[2:8, 2:8], second[20:30, 20:30] = True, True
    sequence = TrackSequence("two", files.frames, size, [{1: encode(first), 2: encode(second)}] * 2)
    draft = VideoClips([sequence], 2, [1], ReleasedCrop(size), "spaced", duplicate=True).draw(
        0, np.random.default_rng(0)
    )
    np.testing.assert_array_equal(draft.labels, np.stack([first + 2 * second] * 2))
