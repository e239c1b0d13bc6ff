"""Whole frames with their objects: sizes, boxes, mirroring, batches of several shapes, objects that overlap."""

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.data.batches import made
from rotoscope.data.clips import CategorisedDraft, WholeFrames
from rotoscope.data.fitted import FittedFrames
from rotoscope.data.sources import VideoClips
from rotoscope.data.tracks import of_tracks
from rotoscope.masks.run_length import encode


def rng():
    return np.random.default_rng(0)


def picture(size):
    return np.random.default_rng(1).integers(0, 256, (2, *size, 3), dtype=np.uint8)


def block(size, top, left, bottom, right):
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def pair_of_blocks(size=(40, 60)):
    """Two that overlap; the second is not in the first frame."""
    first = {7: block(size, 10, 6, 20, 30)}
    return [first, {7: block(size, 12, 8, 22, 32), 9: block(size, 15, 20, 30, 40)}]


def test_boxes_and_masks_have_the_new_size():
    draft = FittedFrames((80, 120), flip=0.0).draft_of(picture((40, 60)), pair_of_blocks(), rng())
    found = draft.objects
    assert found.size == (80, 120)
    assert found.ids.tolist() == [7, 9]
    assert found.annotated.tolist() == [[True, False], [True, True]]
    assert found.boxes[0].tolist() == [[12, 20, 58, 38], [0, 0, 0, 0]]
    assert found.boxes[1].tolist() == [[16, 24, 62, 42], [40, 30, 78, 58]]
    assert found.masks[1, 0].nonzero().amin(dim=0).tolist() == [24, 16]
    assert (found.masks[1, 0] & found.masks[1, 1]).any()
    clip, labels = draft.render()
    assert clip.shape == (3, 2, 80, 120)
    assert labels[1][found.masks[1].all(dim=0)].unique().tolist() == [9]
    assert labels[0].unique().tolist() == [0, 7]


def test_mirrored_objects_lie_where_the_mirrored_masks_do():
    draft = FittedFrames((40, 60), flip=1.0).draft_of(picture((40, 60)), pair_of_blocks(), rng())
    assert draft.objects.boxes[1].tolist() == [[28, 12, 51, 21], [20, 15, 39, 29]]
    assert draft.objects.boxes[0].tolist() == [[30, 10, 53, 19], [0, 0, 0, 0]]
    for mask, box in zip(draft.objects.masks[1], draft.objects.boxes[1].int().tolist(), strict=True):
        rows, columns = mask.nonzero().unbind(1)
        assert [columns.min(), rows.min(), columns.max(), rows.max()] == box
    assert np.array_equal(draft.frames[0].permute(1, 2, 0).numpy(), picture((40, 60))[0][:, ::-1])


def test_frames_fit_whichever_way_they_lie_and_are_padded_in_a_batch():
    cutting = FittedFrames((32, 64), flip=0.0)
    wide = cutting.draft_of(picture((20, 40)), [{1: block((20, 40), 2, 2, 9, 9)}] * 2, rng())
    high = cutting.draft_of(picture((90, 30)), [{1: block((90, 30), 2, 2, 9, 9)}] * 2, rng())
    batch = made([CategorisedDraft(wide, {1: 3}), high])
    assert batch.clips.shape == (2, 3, 2, 64, 64)
    assert [objects.size for objects in batch.objects] == [(32, 64), (64, 21)]
    assert not batch.clips[0, :, :, 32:].any()
    assert not batch.clips[1, :, :, :, 21:].any()
    assert not batch.masks[1, ..., 21:].any()
    assert torch.equal(batch.masks[1, 0, :, :64, :21].bool(), high.objects.masks[:, 0])
    assert batch.categories[0, 1] == 3


def test_clips_of_other_kinds_have_no_objects_beside_them():
    fitted = FittedFrames((20, 40), flip=0.0).draft(picture((20, 40)), np.zeros((2, 20, 40), np.uint8), rng())
    other = WholeFrames((20, 40)).draft(picture((20, 40)), np.ones((2, 20, 40), np.uint8), rng())
    batch = made([fitted, other])
    assert batch.objects[0].masks.shape == (2, 0, 20, 40)
    assert batch.objects[0].boxes.shape == (2, 0, 4)
    assert batch.objects[1] is None
    assert made([other, other]).objects == ()


def test_small_objects_stay_annotated_where_nothing_is_left_of_them():
    dot = block((64, 128), 1, 1, 2, 2)
    found = FittedFrames((16, 32), flip=0.0).draft_of(picture((64, 128)), [{4: dot}, {4: dot}], rng()).objects
    assert found.annotated.all()
    assert not found.masks.any()
    assert found.boxes[0, 0].tolist() == [0.25] * 4


def test_labels_alone_do_as_well():
    labels = np.zeros((2, 20, 40), np.uint8)
    labels[:, 3:9, 4:8] = 2
    labels[:, 15:] = 255
    found = FittedFrames((20, 40), flip=0.0).draft(picture((20, 40)), labels, rng()).objects
    assert found.ids.tolist() == [2]
    assert found.boxes[0, 0].tolist() == [4, 3, 7, 8]


@pytest.mark.parametrize("reverse", [0.0, 1.0])
def test_tracks_that_overlap_keep_all_of_their_masks(tmp_path, reverse):
    frames = []
    for index, image in enumerate(picture((20, 40))):
        frames.append(tmp_path / f"{index}.png")
        Image.fromarray(image).save(frames[-1])
    below = {index: encode(block((20, 40), 2, 2, 18, 30)) for index in range(2)}
    above = {index: encode(block((20, 40), 5, 5 + index, 12, 12)) for index in range(2)}
    sequence = of_tracks("a", frames, (20, 40), [(3, below), (5, above)])
    cutting = FittedFrames((20, 40), flip=0.0, reverse=reverse)
    source = VideoClips([sequence], 2, (9,), cutting, "paired")
    batch = made([source.draw(1, rng())])
    (objects,) = batch.objects
    assert objects.masks[0, 0].sum() == 16 * 28
    assert objects.boxes[:, 1, 0].tolist() == ([5, 6] if not reverse else [6, 5])
    assert batch.categories[0, 1:3].tolist() == [3, 5]
