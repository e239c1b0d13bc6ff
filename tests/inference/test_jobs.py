"""Many videos: what each is called, where its results go, what is finished, and that nothing is overwritten."""

import errno
import json
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rotoscope import files
from rotoscope.errors import OptionError, OutputError, RotoscopeError, VideoError
from rotoscope.inference import jobs
from rotoscope.inference.jobs import Outputs, finished, plan, run
from rotoscope.masks.davis import read_davis
from rotoscope.masks.mots import read_mots
from rotoscope.masks.youtube_vis import read_youtube_vis
from rotoscope.video import open_video
from tests.inference import bright


def names(sources, folder, **outputs):
    return [job.name for job in plan([Path(source) for source in sources], Outputs(Path(folder), **outputs))]


def left_over(folder):
    return [path for path in folder.rglob("*") if ".part" in path.name]


def test_every_format_and_picture_is_written_and_says_the_same(tmp_path):
    source = bright.clip(tmp_path / "a.mp4", 6)
    found = {}
    for form in ("davis", "ytvis", "mots"):
        outputs = Outputs(tmp_path / form, (form,), soft=True, cutout=tmp_path / form / "cut.mov")
        (job,) = plan([source], outputs)
        done = run(job, bright.model(), outputs)
        assert done.frames == 6
        assert all(place.exists() for place in done.places)
        assert not left_over(tmp_path)
        assert finished(job, bright.model(), outputs)
        for video in ("a.overlay.mp4", "cut.mov"):
            assert open_video(tmp_path / form / video).count().frames == 6
    (found["davis"],) = read_davis(tmp_path / "davis" / "a")
    (found["ytvis"],) = read_youtube_vis(tmp_path / "ytvis" / "a.json")[1].tracks
    (found["mots"],) = read_mots(tmp_path / "mots" / "a.txt", {"foreground": 1})
    assert len(found["davis"].masks) == 6
    assert found["davis"].masks == found["ytvis"].masks == found["mots"].masks


@pytest.mark.parametrize("count", [1, 2, 3])
def test_short_videos_under_all_clip_lengths(tmp_path, count):
    source = bright.clip(tmp_path / "a.mp4", count)
    expected = None
    for length, overlap, dense in [(1, 0, False), (2, 0, False), (2, 1, False), (3, 1, True), (8, 3, False)]:
        for last in ("published", "shifted"):
            model = bright.model(clip=length, overlap=overlap, dense=dense, last_clip=last)
            found = model.segment(source)
            assert len(found) == count
            expected = expected or found.tracks
            assert found.tracks[0].masks == expected[0].masks


def test_names_are_told_apart_and_sources_taken_once(tmp_path):
    first, second = bright.clip(tmp_path / "x" / "clip.mp4", 1), bright.clip(tmp_path / "y" / "clip.mp4", 1)
    (tmp_path / "link.mp4").symlink_to(first)
    assert names([first, second, tmp_path / "link.mp4"], tmp_path / "out") == ["clip", "clip-2", "link"]
    assert names([first, tmp_path / "x" / ".." / "x" / "clip.mp4", tmp_path / "x"], tmp_path / "out") == ["clip"]
    assert names([first, second, first, tmp_path / "link.mp4", second], tmp_path / "o") == ["clip", "clip-2", "link"]
    # The marker of `a` is a.done.json, which the masks of a video called a.done would be.
    assert names(["a.mp4", "a.done.mp4"], tmp_path / "out", formats=("ytvis",)) == ["a", "a.done-2"]
    assert names(["a.mp4", "a.soft.mp4"], tmp_path / "out", soft=True) == ["a", "a.soft-2"]


def test_folders_have_the_name_of_their_place(tmp_path, monkeypatch):
    folder = tmp_path / "shoe.v2" / "inside"
    folder.mkdir(parents=True)
    Image.fromarray(bright.images(1)[0]).save(folder.parent / "0.png")
    monkeypatch.chdir(folder)
    assert names([".."], tmp_path / "out") == ["shoe.v2"]
    monkeypatch.chdir(folder.parent)
    assert names(["."], tmp_path / "out") == ["shoe.v2"]


def test_results_are_not_taken_for_videos(tmp_path):
    for name in ("a", "b"):
        bright.clip(tmp_path / f"{name}.mp4", 1)
    outputs = Outputs(tmp_path / "out")
    for job in plan([tmp_path], outputs):
        run(job, bright.model(), outputs)
    assert names([tmp_path], tmp_path / "out") == ["a", "b"]
    assert names([tmp_path], tmp_path / "other") == ["a", "b"]
    with pytest.raises(OutputError, match="taken for videos the next time"):
        plan([tmp_path], Outputs(tmp_path))


def test_missing_and_empty_sources_are_jobs_that_fail_in_their_turn(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "circle.mp4").symlink_to("circle.mp4")
    outputs = Outputs(tmp_path / "out")
    found = plan([tmp_path / "gone.mp4", tmp_path / "empty", tmp_path / "circle.mp4"], outputs)
    assert [job.name for job in found] == ["gone", "empty", "circle"]
    for job in found:
        assert not finished(job, bright.model(), outputs)
        with pytest.raises(VideoError):
            run(job, bright.model(), outputs)
    assert not (tmp_path / "out").exists()


def test_sources_are_never_written_over(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index, image in enumerate(bright.images(2)):
        Image.fromarray(image).save(pictures / f"{index:05d}.png")
    video, other = bright.clip(tmp_path / "a.mp4"), bright.clip(tmp_path / "a.overlay.mp4")
    (tmp_path / "alias.mp4").symlink_to(video)
    for sources, outputs in [
        ([video], Outputs(tmp_path / "o", overlay=video)),
        ([video], Outputs(tmp_path / "o", overlay=tmp_path / "alias.mp4")),
        ([video, other], Outputs(tmp_path)),
        ([pictures], Outputs(tmp_path)),
        ([pictures], Outputs(pictures)),
        ([pictures], Outputs(tmp_path / "o", cutout=pictures)),
        ([pictures], Outputs(tmp_path / "o", sheet=pictures / "sheet.png")),
        ([pictures / "00000.png"], Outputs(tmp_path / "o", cutout=pictures)),
    ]:
        with pytest.raises(OutputError, match="over the source"):
            plan(sources, outputs)
    found = bright.model().segment(pictures)
    for write in (
        lambda: found.save(pictures),
        lambda: found.sheet(pictures, pictures / "sheet.png"),
        lambda: found.cutout(pictures, pictures),
        lambda: bright.model().segment(pictures, soft_folder=pictures),
        lambda: bright.model().segment(video).overlay(video, video),
    ):
        with pytest.raises(OutputError, match="over the source"):
            write()


def test_results_are_not_written_over_each_other(tmp_path):
    for outputs in (
        Outputs(tmp_path / "o", cutout=tmp_path / "o" / "a"),
        Outputs(tmp_path / "o", sheet=tmp_path / "o" / "a" / "sheet.png"),
    ):
        with pytest.raises(OutputError, match="over other results"):
            plan([tmp_path / "a.mp4"], outputs)


def test_places_are_looked_at_before_any_work(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is no folder"):
        plan([tmp_path / "a.mp4"], Outputs(tmp_path / "file" / "deep"))
    for place in ({"overlay": Path("a.avi")}, {"sheet": Path("a.jpg")}, {"cutout": Path("a.mp4")}):
        with pytest.raises(RotoscopeError, match=r"a\.(avi|jpg|mp4)"):
            plan([tmp_path / "a.mp4"], Outputs(tmp_path / "o", **place))
        with pytest.raises(RotoscopeError):
            plan([tmp_path / "a.mp4", tmp_path / "b.mp4"], Outputs(tmp_path / "o", **place))
    for place in ({"overlay": Path("a.mp4")}, {"sheet": Path("a.png")}, {"cutout": Path("a")}):
        with pytest.raises(OptionError, match="names one file, but there are 2 videos"):
            plan([tmp_path / "a.mp4", tmp_path / "b.mp4"], Outputs(tmp_path / "o", **place))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="read-only"):
        plan([tmp_path / "a.mp4"], Outputs(tmp_path / "o"))


def test_finished_means_same_source_model_options_and_results_still_there(tmp_path):
    source, outputs = bright.clip(tmp_path / "a.mp4"), Outputs(tmp_path / "o")
    (job,) = plan([source], outputs)
    model = bright.model()
    assert not finished(job, model, outputs)
    run(job, model, outputs)
    assert finished(job, model, outputs)
    assert not finished(job, model.with_options(overlap=2), outputs)
    assert not finished(job, model, Outputs(tmp_path / "o", soft=True))
    (tmp_path / "o" / "a.sheet.png").unlink()
    assert not finished(job, model, outputs)
    run(job, model, outputs)
    (tmp_path / "o" / "a" / "00004.png").unlink()
    assert not finished(job, model, outputs)
    run(job, model, outputs)
    bright.clip(source, 3)
    assert not finished(job, model, outputs)
    run(job, model, outputs)
    assert [path.name for path in sorted((tmp_path / "o" / "a").iterdir())] == ["00000.png", "00001.png", "00002.png"]
    (tmp_path / "o" / "a.done.json").write_text("not json")
    assert not finished(job, model, outputs)


def test_a_picture_changed_in_its_folder_is_noticed(tmp_path):
    source, outputs = tmp_path / "pictures", Outputs(tmp_path / "o", pictures=False)
    source.mkdir()
    for index, image in enumerate(bright.images(2)):
        Image.fromarray(image).save(source / f"{index}.bmp")
    (job,) = plan([source], outputs)
    run(job, bright.model(), outputs)
    assert finished(job, bright.model(), outputs)
    Image.fromarray(np.zeros((*bright.SIZE, 3), np.uint8)).save(source / "1.bmp")
    os.utime(source / "1.bmp", ns=(1, 1 << 62))
    assert not finished(job, bright.model(), outputs)


def test_a_bad_picture_leaves_whole_files_only(tmp_path):
    source, outputs = tmp_path / "pictures", Outputs(tmp_path / "o", ("davis",), soft=True)
    source.mkdir()
    for index, image in enumerate(bright.images(12)):
        Image.fromarray(image).save(source / f"{index:05d}.jpg")
    (source / "00009.jpg").write_bytes(b"no picture")
    (job,) = plan([source], outputs)
    with pytest.raises(VideoError, match=r"00009\.jpg"):
        run(job, bright.model(), outputs)
    (track,) = read_davis(tmp_path / "o" / "pictures")
    assert len(track.masks) == 6  # all that no later frame could change
    assert not left_over(tmp_path)
    assert not (tmp_path / "o" / "pictures.overlay.mp4").exists()
    assert not finished(job, bright.model(), outputs)


@pytest.mark.parametrize("place", ["a/00003.png", "a.overlay.mp4", "a.sheet.png", "a.done.json"])
def test_a_full_disk_leaves_whole_files_only(tmp_path, monkeypatch, place):
    source, outputs = bright.clip(tmp_path / "a.mp4", 9), Outputs(tmp_path / "o")
    replace = Path.replace

    def full(self, target):
        if Path(target) == tmp_path / "o" / place:
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    (job,) = plan([source], outputs)
    with pytest.raises(OutputError, match="disk is full") as caught:
        run(job, bright.model(), outputs)
    assert files.stops_all(caught.value)
    assert not left_over(tmp_path)
    assert not (tmp_path / "o" / place).exists()
    monkeypatch.undo()
    assert not finished(job, bright.model(), outputs)
    assert run(job, bright.model(), outputs).frames == 9
    assert finished(job, bright.model(), outputs)


def test_what_a_killed_run_left_is_removed_but_not_what_another_is_writing(tmp_path):
    source, outputs = bright.clip(tmp_path / "a.mp4"), Outputs(tmp_path / "o")
    (tmp_path / "o" / "a").mkdir(parents=True)
    dead = 2**22 + 1  # above the largest process number
    old = [tmp_path / "o" / f".a.overlay.{dead}.part.mp4", tmp_path / "o" / "a" / f".00001.{dead}.part.png"]
    others = [tmp_path / "o" / f".b.overlay.{dead}.part.mp4", tmp_path / "o" / f".a.overlay.{os.getppid()}.part.mp4"]
    for path in (*old, *others):
        path.write_bytes(b"x")
    (job,) = plan([source], outputs)
    run(job, bright.model(), outputs)
    assert set(left_over(tmp_path)) == set(others)


def test_out_of_memory_is_told_in_words(tmp_path, monkeypatch):
    source, outputs = bright.clip(tmp_path / "a.mp4"), Outputs(tmp_path / "o")
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(jobs, "_segment", fail)
        with pytest.raises(RotoscopeError, match="out of memory"):
            run(plan([source], outputs)[0], bright.model(), outputs)


def test_long_names_have_room_for_a_temporary_one(tmp_path):
    path = tmp_path / ("é" * 120 + ".json")
    files.write_whole(path, b"{}")
    assert json.loads(path.read_text()) == {}
    with pytest.raises(OutputError, match="name is too long"):
        files.write_whole(tmp_path / ("n" * 300), b"")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENOTDIR, errno.ENOENT, 9999])
def test_failed_writing_says_why_and_leaves_nothing(tmp_path, code):
    def write():
        with files.writing(tmp_path / "x.txt") as temporary:
            temporary.write_text("half")
            raise OSError(code, "cause")

    with pytest.raises(OutputError, match="cannot write") as caught:
        write()
    assert "\n" not in str(caught.value)
    assert files.stops_all(caught.value) is (code in (errno.ENOSPC, errno.EROFS))
    assert list(tmp_path.iterdir()) == []


def test_rates_that_no_file_can_state_still_give_an_overlay(tmp_path):
    source, outputs = bright.clip(tmp_path / "a.mp4", 3, rate=Fraction(1, 3000)), Outputs(tmp_path / "o")
    run(plan([source], outputs)[0], bright.model(), outputs)
    assert [frame.timestamp for frame in open_video(tmp_path / "o" / "a.overlay.mp4")] == [0, 3000, 6000]
