"""What counts as finished: the source as it was when it was opened, and every file that was written of it."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from rotoscope.errors import OutputError
from rotoscope.inference.jobs import Outputs, finished, plan, run
from rotoscope.inference.markers import files_of, is_finished, remove_stale, state_of
from rotoscope.inference.planning import marker_of
from tests.inference import bright


def pictures(folder, count, kind="png"):
    folder.mkdir()
    for index, image in enumerate(bright.images(count)):
        Image.fromarray(image).save(folder / f"p{index}.{kind}")
    return folder


def replaced_while_it_is_read(job, outputs, replace):
    """Whether a video counts as finished whose source was replaced after its first frames were answered."""
    waiting = [replace]

    def report(progress):
        if waiting:
            waiting.pop()()

    run(job, bright.model(), outputs, report)
    assert not waiting
    return finished(job, bright.model(), outputs)


def test_a_video_replaced_while_it_is_read_is_not_finished(tmp_path):
    source, outputs = bright.clip(tmp_path / "a.mp4", 12), Outputs(tmp_path / "o")
    (job,) = plan([source], outputs)
    other = bright.clip(tmp_path / "other.mp4", 3)
    assert not replaced_while_it_is_read(job, outputs, lambda: other.replace(source))
    assert run(job, bright.model(), outputs).frames == 3
    assert finished(job, bright.model(), outputs)


@pytest.mark.parametrize("change", ["replaced", "added", "renamed"])
def test_a_folder_that_changes_while_it_is_read_is_not_finished(tmp_path, change):
    source, outputs = pictures(tmp_path / "a", 12), Outputs(tmp_path / "o", pictures=False)
    (job,) = plan([source], outputs)

    def replace():
        if change == "replaced":  # by one that is older
            os.utime(source / "p2.png", ns=(1, 1))
        elif change == "added":
            (source / "p99.png").write_bytes((source / "p2.png").read_bytes())
        else:
            (source / "p11.png").rename(source / "p12.png")
            (source / "p11.png").symlink_to("p12.png")  # so that the reading goes on

    assert not replaced_while_it_is_read(job, outputs, replace)


def test_masks_that_change_while_they_are_followed_are_noticed(tmp_path):
    folder = pictures(tmp_path / "m", 1)
    before = state_of(folder, "masks")
    os.utime(folder / "p0.png", ns=(1, 1))
    assert state_of(folder, "masks") != before
    assert state_of(tmp_path / "gone", "masks")["masks_state"] is None
    assert not is_finished(tmp_path / "marker", state_of(tmp_path / "gone", "masks"), {})


RESULTS = ["a/00003.png", "a.soft/00003.png", "cut/00003.png", "a.json", "a.txt", "a.overlay.mp4", "a.sheet.png"]


@pytest.mark.parametrize("harm", ["deleted", "emptied", "truncated", "a folder"])
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_is_not_as_it_was_written_is_made_again(tmp_path, name, harm):
    source, place = bright.clip(tmp_path / "a.mp4", 7), tmp_path / "o"
    outputs = Outputs(place, ("davis", "ytvis", "mots"), soft=True, cutout=place / "cut")
    (job,) = plan([source], outputs)
    run(job, bright.model(), outputs)
    assert finished(job, bright.model(), outputs)
    content = (place / name).read_bytes()
    if harm in ("deleted", "a folder"):
        (place / name).unlink()
        (place / name).with_suffix(".kept").write_bytes(content)
    if harm == "a folder":
        (place / name).mkdir()
    else:
        (place / name).write_bytes({"emptied": b"", "truncated": content[:-1]}[harm]) if harm != "deleted" else None
    assert not finished(job, bright.model(), outputs)
    if harm != "a folder":
        run(job, bright.model(), outputs)
        assert (place / name).stat().st_size == len(content)
        assert finished(job, bright.model(), outputs)


def test_what_else_lies_among_the_results_does_not_matter(tmp_path):
    source, outputs = bright.clip(tmp_path / "a.mp4"), Outputs(tmp_path / "o")
    (job,) = plan([source], outputs)
    run(job, bright.model(), outputs)
    (tmp_path / "o" / "a" / "notes.png").write_bytes(b"")
    assert finished(job, bright.model(), outputs)


def as_before(marker):
    """Make a marker what the version before wrote: its source was looked at after the work, files were not named."""
    content = json.loads(marker.read_text())
    del content["files"], content["source_state"]
    stat = Path(content["source"]).stat()
    content |= {"source_changed": stat.st_mtime_ns, "source_bytes": stat.st_size}
    content |= {"first": "00000", "last": f"{content['frames'] - 1:05d}"}
    marker.write_text(json.dumps(content))


def test_a_marker_of_the_version_before_is_read_and_its_video_done_again(tmp_path):
    source, outputs = bright.clip(tmp_path / "a.mp4", 6), Outputs(tmp_path / "o")
    (job,) = plan([source], outputs)
    run(job, bright.model(), outputs)
    as_before(marker_of(job, outputs))
    assert not finished(job, bright.model(), outputs)
    bright.clip(source, 4)
    run(job, bright.model(), outputs)
    assert finished(job, bright.model(), outputs)
    names = [path.name for path in sorted((tmp_path / "o" / "a").iterdir())]
    assert names == [f"{index:05d}.png" for index in range(4)]  # the old marker told that there were six


def test_masks_of_pictures_that_are_gone_are_removed_and_nothing_else(tmp_path):
    source, outputs = pictures(tmp_path / "a", 4), Outputs(tmp_path / "o", pictures=False)
    (job,) = plan([source], outputs)
    run(job, bright.model(), outputs)
    (tmp_path / "o" / "a" / "mine.png").write_bytes(b"x")
    (source / "p1.png").unlink()
    run(job, bright.model(), outputs)
    assert sorted(path.stem for path in (tmp_path / "o" / "a").iterdir()) == ["mine", "p0", "p2", "p3"]


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"files": []}',
        '{"files": {"masks": ["00000.png"]}}',
        "[" * 100_000,
        "no json",
        '{"frames": "many", "outputs": []}',
    ],
)
def test_a_damaged_marker_means_that_nothing_is_finished(tmp_path, content):
    source, outputs = bright.clip(tmp_path / "a.mp4", 2), Outputs(tmp_path / "o")
    (job,) = plan([source], outputs)
    run(job, bright.model(), outputs)
    marker_of(job, outputs).write_text(content)
    assert not finished(job, bright.model(), outputs)
    run(job, bright.model(), outputs)
    assert finished(job, bright.model(), outputs)


def test_a_marker_cannot_have_files_elsewhere_removed(tmp_path):
    folder = tmp_path / "o" / "a"
    folder.mkdir(parents=True)
    for name in ("o/mine.png", "o/a/00000.png", "o/a/old.png"):
        (tmp_path / name).write_bytes(b"x")
    files = {"masks": {"../mine.png": 1, str(tmp_path / "o" / "mine.png"): 1, "old.png": 1, "00000.png": 1}}
    before = {"files": files, "outputs": {"masks": os.path.realpath(folder)}}
    remove_stale({**before, "outputs": {"masks": "/elsewhere"}}, {"masks": folder}, ["00000"])
    assert (folder / "old.png").exists()
    remove_stale(before, {"masks": folder}, ["00000"])
    assert (tmp_path / "o" / "mine.png").exists()
    assert [path.name for path in folder.iterdir()] == ["00000.png"]


def test_a_result_that_goes_while_others_are_written_is_told(tmp_path):
    with pytest.raises(OutputError, match="has gone while its video was segmented"):
        files_of({"overlay": tmp_path / "a.mp4"}, ["00000"])
