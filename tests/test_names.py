"""Names from outside: what they become, that no result leaves its folder or replaces a source, whatever they are."""

import os

import pytest
from PIL import Image

from rotoscope.errors import DataError, OutputError, VideoError
from rotoscope.inference.instances import Numbers
from rotoscope.inference.jobs import Outputs, plan, run
from rotoscope.inference.looking import keep
from rotoscope.masks.davis import DavisWriter, frame_stem
from rotoscope.models.contract import Findings
from rotoscope.names import LONGEST, UniqueNames, fault_of, name_of, safe_name
from rotoscope.types import FrameResult
from rotoscope.video import open_video
from tests.inference import bright


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("clip", "clip"),
        ("shoe.v2", "shoe.v2"),
        ("größe 1", "größe 1"),
        ("", "video"),
        (".", "video"),
        ("..", "video"),
        (" . ", "video"),
        (".hidden", "hidden"),
        ("../../etc", "_.._etc"),
        ("a/b\\c", "a_b_c"),
        ("a\0b\nc\x1b[2Jd\x7f\u2028", "a_b_c_[2Jd__"),
        ("clip. .", "clip"),
        (" clip ", "clip"),
        ("a\udcffb", "a\udcffb"),
        ("a\ud800b", "a_b"),
    ],
)
def test_safe_names(text, name):
    assert safe_name(text) == name
    assert safe_name(name) == name


@pytest.mark.parametrize("letter", ["n", "é", "漢", "🎬"])
def test_long_names_are_cut_between_letters_and_told_apart(letter):
    first, second = safe_name(letter * 300), safe_name(letter * 301)
    assert first != second
    assert first[:40] == letter * 40
    assert max(len(os.fsencode(name)) for name in (first, second)) <= LONGEST - 55
    assert safe_name(first) == first


def test_unique_names_differ_on_every_file_system():
    names = UniqueNames()
    assert [names.of(text) for text in ("a", "A", ".a", "cafe\u0301", "caf\u00e9", "b")] == [
        *("a", "A-2", "a-3", "cafe\u0301", "caf\u00e9-2", "b")
    ]


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "a\\b", "a\0", ".a"])
def test_frames_whose_names_lead_elsewhere_are_refused(tmp_path, name):
    assert fault_of(name)
    with pytest.raises(OutputError, match="frame 3 is named"):
        DavisWriter(tmp_path / "o" / "clip").write(FrameResult(3, 0.0, (4, 4), (), name))
    assert list(tmp_path.iterdir()) == []


def test_plain_frame_names_stay():
    assert [frame_stem(7, name) for name in (None, "0001", "a.b", "a ")] == ["00007", "0001", "a.b", "a "]


def test_a_picture_that_no_result_can_be_named_after_is_told_before_the_work(tmp_path):
    Image.fromarray(bright.images(1)[0]).save(tmp_path / "one\\two.png")
    with pytest.raises(VideoError, match="leads to another folder; rename the picture"):
        open_video(tmp_path)


ODD = ["...mp4", "..mp4", ".mp4", "..  .mp4", ".a.mp4", "a\nb.mp4", "a\\..\\..\\b.mp4", "x .mp4", "n" * 251 + ".mp4"]


@pytest.mark.parametrize("name", ODD)
def test_results_stay_in_their_folder_and_can_be_seen(tmp_path, name):
    place = tmp_path / "p"
    source, outputs = bright.clip(place / name, 2), Outputs(place / "out", ("davis", "ytvis", "mots"), soft=True)
    (place / "00000.png").write_bytes(b"mine")
    (place / "out").mkdir()
    (place / "out" / "00000.png").write_bytes(b"mine too")
    before = source.read_bytes()
    (job,) = plan([source], outputs)
    done = run(job, bright.model(), outputs)
    assert source.read_bytes() == before
    assert (place / "00000.png").read_bytes() == b"mine"
    assert (place / "out" / "00000.png").read_bytes() == b"mine too"
    assert sorted(place.iterdir()) == sorted([source, place / "00000.png", place / "out"])
    assert all(path.parent == place / "out" and not path.name.startswith(".") for path in done.places)
    assert all(path.exists() for path in done.places)
    assert job.name == name_of(source)
    with open_video(source) as video:
        assert video.info.name == job.name


def test_names_that_become_alike_are_numbered(tmp_path):
    sources = [tmp_path / name for name in ("clip.mp4", ".clip.mp4", "CLIP.mp4", "clip .mp4", "...mp4", "..mp4")]
    assert [job.name for job in plan(sources, Outputs(tmp_path / "o"))] == [
        *("clip", "clip-2", "CLIP-3", "clip-4", "video", "video-2")
    ]
    (job,) = plan([tmp_path / "all.mp4"], Outputs(tmp_path / "o"), reserved=("all",))
    assert job.name == "all-2"


def test_the_results_of_a_run_do_not_replace_the_files_that_it_reads(tmp_path):
    for name in ("results.json", "a.json", "a.done.json"):
        (tmp_path / name).write_text("{}")
        numbers = Numbers(tmp_path / name, {}, {})
        outputs = Outputs(tmp_path, ("ytvis",), instances=True, numbers=numbers)
        with pytest.raises(OutputError, match=f"written over the source .*{name}"):
            plan([tmp_path / "a.mp4"], outputs)


def test_a_source_is_known_under_another_name_of_its_file(tmp_path):
    source = bright.clip(tmp_path / "b.mp4", 1)
    (tmp_path / "b.overlay.mp4").hardlink_to(source)  # as a file system has it where case does not count
    with pytest.raises(OutputError, match="over the source"):
        plan([source], Outputs(tmp_path))


def test_frames_saved_beside_a_picture_do_not_replace_it(tmp_path):
    picture = tmp_path / "00000.png"
    Image.fromarray(bright.images(1)[0]).save(picture)
    found = bright.model().segment(picture)
    for write in (
        lambda: found.save(tmp_path),
        lambda: found.cutout(picture, tmp_path),
        lambda: found.timeline(picture),
        lambda: bright.model().segment(picture, soft_folder=tmp_path),
    ):
        with pytest.raises(OutputError, match="over the source"):
            write()
    found.video = found.video.__class__("../up", 64, 48)
    assert found.save(tmp_path / "o", "ytvis") == [tmp_path / "o" / "_up.json"]


def test_findings_of_a_model_with_an_odd_name_stay_in_their_folder(tmp_path):
    places = keep(Findings({}, {}), tmp_path / "look", "../../clip.what")
    assert places == [tmp_path / "look" / "_.._clip.what.json"]


def test_sequences_that_lead_elsewhere_are_refused(tmp_path):
    from rotoscope.data.annotation_set import check_name

    for name in ("", ".", "..", "../a", "a\\b", ".git"):
        with pytest.raises(DataError, match="expected the name of a folder"):
            check_name(name, "the list")
