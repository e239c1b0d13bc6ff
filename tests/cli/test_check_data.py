"""`rotoscope check-data`: what a user sees."""

from typing import get_args, get_type_hints

import pytest

from rotoscope.cli import progress
from rotoscope.cli.check_data import check_data
from rotoscope.data.checking import KINDS
from tests.cli.test_bad_input import refused
from tests.data.small_files import labels, mask, picture


@pytest.fixture
def own(tmp_path):
    for name in ("ant", "cow"):
        for number in range(15):
            picture(tmp_path / "frames" / name / f"{number:05d}.jpg")
            mask(tmp_path / "masks" / name / f"{number:05d}.png", labels(ids=(1, 2)))
    return tmp_path


def summary(out):
    """The table at the end."""
    lines = [line.strip().split("  ", 1) for line in out.rstrip().splitlines()[-7:]]
    return {label: value.strip() for label, value in lines}


def test_good_data(own, run):
    code, out, err = run("check-data", own)
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == f"{own} is taken for the kind folder (--kind chooses another)"
    assert summary(out) == {
        "sequences": "2",
        "frames": "30",
        "with a mask": "30",
        "objects": "4",
        "sizes": "16x12 (30)",
        "errors": "0",
        "warnings": "0",
    }
    assert "is taken for" not in run("check-data", own, "--kind", "folder")[1]


def test_warnings_do_not_fail(own, run):
    (own / "masks" / "cow" / "00003.png").unlink()
    code, out, err = run("check-data", own)
    assert (code, err) == (0, "")
    words = "1 of 15 frames has no mask, the first is 00003.jpg; such frames are not trained on"
    assert out.splitlines()[1] == f"warning: {own}/frames/cow: {words}"
    assert summary(out)["warnings"] == "1"


def test_errors_are_listed_and_the_last_line_counts_them(own, run):
    (own / "frames" / "ant" / "00004.jpg").write_bytes(b"")
    code, out, err = run("check-data", own)
    assert (code, err) == (2, f"rotoscope: 1 error in {own}; mend it, or leave those sequences out\n")
    assert out.splitlines()[1] == f"error: {own}/frames/ant/00004.jpg: is empty (0 bytes); copy it again"
    mask(own / "masks" / "ant" / "0001.png")
    (own / "masks" / "cow" / "00007.png").unlink()
    code, out, err = run("check-data", own, "--workers", "2")
    assert (code, err) == (2, f"rotoscope: 2 errors in {own}; mend them, or leave those sequences out\n")
    assert (summary(out)["errors"], summary(out)["warnings"]) == ("2", "1")


def test_many_alike_are_cut_short_and_single_ones_are_not(own, run):
    for number in range(15):
        (own / "frames" / "ant" / f"{number:05d}.jpg").write_bytes(b"")
    (own / "frames" / "ant" / "00014.jpg").write_text("no")
    code, out, err = run("check-data", own)
    assert code == 2
    assert out.count("is empty (0 bytes)") == 10
    assert "ant/00009.jpg" in out
    assert "ant/00010.jpg" not in out
    assert "ant/00014.jpg: cannot be read: it is not a picture" in out
    assert f"4 more errors like those in {own}/frames/ant (--all lists every one)" in out
    assert "15 errors in" in err
    out = run("check-data", own, "--all")[1]
    assert out.count("is empty (0 bytes)") == 14
    assert "more errors" not in out


def test_pictures(tmp_path, run):
    for number in range(5):
        picture(tmp_path / "images" / f"{number}.jpg", (12, 16 + number))
    mask(tmp_path / "masks" / "0.png")
    mask(tmp_path / "masks" / "1.png")
    code, out, err = run("check-data", tmp_path)
    assert (code, err) == (2, f"rotoscope: 1 error in {tmp_path}; mend it, or leave those pictures out\n")
    assert "is taken for the kind pictures" in out
    assert f"error: {tmp_path}/masks/1.png: is 16x12, its picture is 17x12 (width x height)" in out
    table = out.split("(width x height)")[1]
    assert "sequences" not in table
    assert "16x12 (1), 17x12 (1), 18x12 (1), 2 others" in table


def test_names_with_brackets_are_shown_as_they_are(tmp_path, run):
    root = tmp_path / "[red]data[/red]"
    picture(root / "frames" / "[b]" / "0.jpg")
    (root / "frames" / "[b]" / "1.jpg").write_bytes(b"")
    mask(root / "masks" / "[b]" / "0.png")
    out = run("check-data", root)[1]
    assert f"error: {root}/frames/[b]/1.jpg: is empty" in out
    assert f"{root} is taken for the kind folder" in out


def test_what_cannot_be_checked(tmp_path, own, run):
    assert refused(run("check-data", tmp_path / "none"), "there is no folder")
    assert refused(run("check-data", own, "--workers", "0"), "at least one worker")
    assert refused(run("check-data", own, "--kind", "davis17"), "is no DAVIS package")
    assert run("check-data", own, "--kind", "cats")[0] == 2


def test_the_kinds_are_those_of_the_library():
    assert get_args(get_type_hints(check_data)["kind"]) == KINDS


def test_progress_counts_pictures_on_a_terminal(own, run, monkeypatch):
    from rich.console import Console

    seen = []

    def counting(console):
        assert isinstance(console, Console)
        return Counting()

    class Counting:
        def __enter__(self):
            return lambda name, total: seen.append((name, total))

        def __exit__(self, *fault):
            return None

    monkeypatch.setattr(progress, "counting", counting)
    assert run("check-data", own)[0] == 0
    assert seen == [("ant", 30)] * 15 + [("cow", 30)] * 15
