import numpy as np
import pytest

from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.errors import MaskError, OptionError
from rotoscope.inference.segmentation import Segmentation
from rotoscope.masks import davis, mots, youtube_vis
from rotoscope.masks.run_length import decode, encode
from rotoscope.types import FrameResult, ObjectMask, VideoInfo
from rotoscope.video import open_video


@pytest.fixture
def clip():
    frames, masks = moving_disc_clip(6, (40, 56), seed=3)
    results = [
        FrameResult(frame.index, frame.timestamp, frame.size, (ObjectMask(1, encode(mask), 0.5 + frame.index / 20),))
        for frame, mask in zip(frames, masks, strict=True)
    ]
    results[2] = FrameResult(2, results[2].timestamp, results[2].size, ())  # the object is away
    return [frame.image for frame in frames], masks, Segmentation.collect(VideoInfo("disc", 56, 40), results)


def test_tracks_are_gathered(clip):
    _, masks, found = clip
    assert len(found) == 6
    (track,) = found.tracks
    assert sorted(track.masks) == [0, 1, 3, 4, 5]
    assert track.score == pytest.approx(np.mean([0.5, 0.55, 0.65, 0.7, 0.75]))
    assert np.array_equal(decode(track.masks[4]), masks[4])
    assert np.array_equal(found.label_map(4), masks[4].astype(np.uint8))
    assert not found.label_map(2).any()


def test_saved_masks_read_back_equal(clip, tmp_path):
    _, _, found = clip
    assert len(found.save(tmp_path / "png")) == 6
    (read,) = davis.read_davis(tmp_path / "png")
    assert read.masks == found.tracks[0].masks
    (path,) = found.save(tmp_path, "ytvis")
    assert youtube_vis.read_youtube_vis(path)[1].tracks[0].masks == found.tracks[0].masks
    (path,) = found.save(tmp_path / "disc.txt", "mots")
    (read,) = mots.read_mots(path, {"object": 1})
    assert read.masks == found.tracks[0].masks
    with pytest.raises(OptionError, match="choose davis, ytvis or mots"):
        found.save(tmp_path, "avi")


def test_pictures(clip, tmp_path):
    images, _, found = clip
    with open_video(found.overlay(images, tmp_path / "o.mp4")) as video:
        assert video.count().frames == 6
        assert video.info.size == (40, 56)
    assert found.sheet(images, tmp_path / "s.png").stat().st_size > 0
    found.cutout(images, tmp_path / "cut")
    assert len(list((tmp_path / "cut").glob("*.png"))) == 6
    assert found.cutout(images, tmp_path / "cut.webm").stat().st_size > 0


def test_another_video_is_refused(clip, tmp_path):
    images, _, found = clip
    with pytest.raises(MaskError, match="source has 4 frames, 6 were segmented"):
        found.overlay(images[:4], tmp_path / "o.mp4")
    with pytest.raises(MaskError, match="56x39"):
        found.overlay([image[:-1] for image in images], tmp_path / "o.mp4")
    assert list(tmp_path.iterdir()) == []


def test_a_longer_video_is_refused(clip, tmp_path):
    images, _, found = clip
    with pytest.raises(MaskError, match="more than the 6"):
        found.overlay([*images, images[0]], tmp_path / "o.mp4")
