"""DMN-AOA's cutting of clips, and proposals that are cut with them."""

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.data.batches import made
from rotoscope.data.clips import FramesDraft
from rotoscope.data.proposals import ProposalFolder, ProposedDraft, Window, cut_proposals
from rotoscope.data.scaled_crop import ScaledCrop
from rotoscope.data.sequences import VideoSequence
from rotoscope.data.sources import VideoClips
from rotoscope.errors import DataError
from rotoscope.masks.label_map import write_label_png
from rotoscope.masks.proposal_cache import write_proposals
from rotoscope.training.recipe import ClipShape, VideoData, VideoSet
from rotoscope.training.sources import source
from tests.models.dmn_aoa.colours import ColourDetector
from tests.models.stm.colours import GREEN, RED, mask_of, picture

SIZE = (60, 90)


def images(count=4):
    return [picture((RED, 10, 8 + 4 * i, 20), (GREEN, 34, 60 - 4 * i, 18), size=SIZE) for i in range(count)]


def labels(image):
    return (mask_of(image, RED) * 1 + mask_of(image, GREEN) * 2).astype(np.uint8)


def cut(seed, **options):
    frames = np.stack(images())
    maps = np.stack([labels(image) for image in frames])
    found = [ColourDetector().detect(image) for image in frames]
    cutting = ScaledCrop((48, 48), short_side=60, **options)
    return cutting.draft_with(frames, maps, found, "davis", np.random.default_rng(seed))


def test_proposals_lie_on_the_objects_of_the_clip():
    matched = 0
    for seed in range(12):
        draft = cut(seed)
        batch = made([draft])
        assert batch.clips.shape == (1, 3, 4, 48, 48)
        (proposals,) = batch.proposals
        assert proposals.dataset == "davis"
        for index, frame in enumerate(proposals.frames):
            own = batch.masks[0, 0, index].numpy()
            assert frame.masks.shape[1:] == (48, 48)
            for number in (1, 2):
                truth = own == number
                if truth.sum() < 150:
                    continue
                overlaps = [((mask > 102) & truth).sum() / ((mask > 102) | truth).sum() for mask in frame.masks]
                assert max(overlaps) > 0.75, (seed, index, number)
                matched += 1
            for mask, (left, top, right, bottom) in zip(frame.masks, frame.boxes.astype(int), strict=True):
                solid = mask > 102
                assert solid[top:bottom, left:right].sum() == solid.sum() >= 16
                assert solid[:, left].any()
                assert solid[bottom - 1].any()
    assert matched > 40


def test_one_window_and_scale_for_all_frames_and_flips_are_drawn():
    orders, mirrored = set(), set()
    for seed in range(20):
        draft = cut(seed, factors=(1.0, 1.0)).draft
        assert isinstance(draft, FramesDraft)
        red = [np.flatnonzero((one == 1).any(axis=0)) for one in draft.labels]
        if all(len(one) for one in red):
            orders.add(red[0][-1] < red[-1][-1])
        mirrored.add(draft.mirrored)
    assert orders == {True, False}
    assert mirrored == {True, False}
    same = [cut(3).draft.frames, cut(3).draft.frames]
    assert np.array_equal(*same)


def test_the_first_frame_shows_an_object_where_a_try_finds_one():
    frames = np.zeros((3, 100, 300, 3), np.uint8)
    maps = np.zeros((3, 100, 300), np.uint8)
    maps[:, 10:40, 130:170] = 5
    cutting = ScaledCrop((64, 64), short_side=100, reverse=0.0)
    shown = [cutting.draft(frames, maps, np.random.default_rng(seed)).labels[0].any() for seed in range(60)]
    assert np.mean(shown) > 0.9


def test_small_frames_are_enlarged_to_fit():
    frames = np.zeros((2, 20, 500, 3), np.uint8)
    draft = ScaledCrop((352, 352)).draft(frames, frames[..., 0], np.random.default_rng(0))
    assert draft.frames.shape == (2, 352, 352, 3)
    with pytest.raises(DataError):
        ScaledCrop((8, 8), factors=(2.0, 1.0))


def test_what_is_hardly_left_of_a_proposal_is_dropped():
    image = images()[0]
    found = ColourDetector().detect(image)  # a corner, what is green, what is red
    whole = cut_proposals(found, SIZE, Window(SIZE, 0, 0, SIZE))
    assert len(whole.masks) == 3
    assert whole.scores[0] == pytest.approx(0.9)
    edge = cut_proposals(found, SIZE, Window(SIZE, 0, 25, (60, 65)))  # three columns of red are left, of twenty
    assert len(edge.masks) == 1
    mirrored = cut_proposals(found, SIZE, Window(SIZE, 0, 25, (60, 65), mirrored=True))
    assert np.array_equal(mirrored.masks, edge.masks[..., ::-1])
    nothing = cut_proposals(found, SIZE, Window(SIZE, 50, 80, (10, 10)))
    assert nothing.masks.shape == (0, 10, 10)


def sequence(folder, name="walk"):
    for kind in ("JPEGImages", "Annotations"):
        (folder / kind / name).mkdir(parents=True)
    frames, masks = [], []
    for index, image in enumerate(images()):
        frames.append(folder / "JPEGImages" / name / f"{index:05d}.png")
        Image.fromarray(image).save(frames[-1])
        masks.append(folder / "Annotations" / name / f"{index:05d}.png")
        write_label_png(masks[-1], labels(image))
    return VideoSequence(name, frames, masks)


def test_clips_of_videos_with_a_cache(tmp_path):
    own, detector = sequence(tmp_path), ColourDetector()
    write_proposals(tmp_path / "p" / "walk.npz", SIZE, ((image, detector.detect(image)) for image in images()))
    clips = VideoClips([own], 3, [4], ScaledCrop((48, 48)), "paper", proposals=ProposalFolder(tmp_path / "p"))
    draft = clips.draw(0, np.random.default_rng(0))
    assert isinstance(draft, ProposedDraft)
    assert len(draft.proposals.frames) == 3
    write_proposals(tmp_path / "p" / "walk.npz", SIZE, ((255 - one, detector.detect(one)) for one in images()))
    with pytest.raises(DataError, match="another video"):
        clips.draw(0, np.random.default_rng(0))
    (tmp_path / "p" / "walk.npz").unlink()
    with pytest.raises(DataError, match="no proposals at"):
        clips.draw(0, np.random.default_rng(0))


def test_a_recipes_table_with_proposals(tmp_path):
    sequence(tmp_path / "set")
    (tmp_path / "p").mkdir()
    shape = ClipShape(3, (48, 48))
    table = VideoData("videos", (VideoSet("folder", "set"),), crop="scaled", proposals="p", rule="paper")
    assert len(source(table, shape, tmp_path)) > 0
    with pytest.raises(DataError, match="no folder of proposals"):
        source(VideoData("videos", table.sets, crop="scaled", proposals="gone"), shape, tmp_path)
    with pytest.raises(DataError, match="scaled"):
        source(VideoData("videos", table.sets, proposals="p"), shape, tmp_path)


def test_a_batch_without_proposals_has_none():
    frames = np.stack(images())
    draft = ScaledCrop((48, 48)).draft(frames, frames[..., 0], np.random.default_rng(0))
    assert made([draft]).proposals == ()
    mixed = made([draft, cut(0)])
    assert mixed.proposals[0] is None
    assert mixed.proposals[1] is not None
    assert torch.equal(mixed.clips[:1], made([draft]).clips)
