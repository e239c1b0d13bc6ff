"""`rotoscope segment --masks`: objects that are given, followed through one video or many; and what cannot be meant."""

import errno
import io
import json
import tempfile

import numpy as np
import pytest
from PIL import Image

from rotoscope.inference import both_ways, loading
from rotoscope.masks.label_map import read_label_png, write_label_png
from rotoscope.masks.png import voc_palette
from rotoscope.video import open_video
from tests.cli.test_bad_input import refused
from tests.inference import bright
from tests.models.stm import colours
from tests.models.stm.colours import BLUE, GREEN, RED, mask_of, picture
from tests.video.clips import encode

COUNT = 5
FFV1 = {"codec": "ffv1", "pixels": "bgr0"}


@pytest.fixture(autouse=True)
def _colours(monkeypatch):
    monkeypatch.setattr(loading, "load", lambda *_, **__: colours.model())


def images(count=COUNT):
    return [picture((RED, 2, 4 + 3 * i, 12), (GREEN, 30, 40 - 3 * i, 14)) for i in range(count)]


def labels(image, red=1, green=2):
    return (mask_of(image, RED) * red + mask_of(image, GREEN) * green).astype(
        np.uint8 if max(red, green) < 256 else np.uint16
    )


def clip(folder, name="a", count=COUNT):
    folder.mkdir(exist_ok=True)
    return encode(folder / f"{name}.mkv", images(count), **FFV1)


def frames(folder, count=COUNT, first=0):
    folder.mkdir(parents=True)
    for index, image in enumerate(images(count), start=first):
        Image.fromarray(image).save(folder / f"{index:05d}.png")
    return folder


def given(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_label_png(path, content)
    return path


def check(folder, wanted, first=0):
    found = [read_label_png(folder / f"{index:05d}.png") for index in range(first, first + len(wanted))]
    assert len(list(folder.iterdir())) == len(wanted)
    for index, (one, other) in enumerate(zip(found, wanted, strict=True)):
        assert np.array_equal(one, other), index
    return True


def test_one_mask(run, tmp_path):
    source, out = clip(tmp_path), tmp_path / "out"
    code, said, _ = run("segment", source, "--masks", given(tmp_path / "first.png", labels(images()[0])), "-o", out)
    assert code == 0
    assert "5 frames" in said
    assert check(out / "a", [labels(image) for image in images()])
    assert open_video(out / "a.overlay.mp4").count().frames == COUNT


@pytest.mark.parametrize("kind", ["palette", "grey", "colours", "binary", "wide"])
def test_every_kind_of_mask(run, tmp_path, kind):
    image, path = images()[0], tmp_path / "first.png"
    red, green = {"binary": (1, 0), "wide": (1, 700)}.get(kind, (1, 2))
    content = labels(image, red, green)
    if kind in ("palette", "wide"):
        write_label_png(path, content)
    else:
        pixels = {"grey": content, "colours": voc_palette()[content], "binary": content * 255}[kind]
        Image.fromarray(pixels.astype(np.uint8)).save(path)
    assert run("segment", clip(tmp_path), "--masks", path, "-o", tmp_path / "out", "--no-pictures")[0] == 0
    assert check(tmp_path / "out" / "a", [labels(image, red, green) for image in images()])


def test_void_pixels_are_no_object(run, tmp_path):
    content = labels(images()[0], 1, 0)
    content[40:] = 255
    source, path = clip(tmp_path), given(tmp_path / "first.png", content)
    assert run("segment", source, "--masks", path, "-o", tmp_path / "out", "--no-pictures")[0] == 0
    assert check(tmp_path / "out" / "a", [labels(image, 1, 0) for image in images()])


@pytest.mark.parametrize("how", ["at", "name", "folder", "folder at"])
@pytest.mark.parametrize("both", [False, True])
def test_a_mask_of_a_later_frame(run, tmp_path, how, both):
    source = clip(tmp_path)
    if "folder" in how:
        given(tmp_path / "masks" / "00001.png", np.zeros(colours.SIZE, np.uint8))
        path = given(tmp_path / "masks" / "00002.png", labels(images()[2])).parent
        given(tmp_path / "masks" / "00004.png", labels(images()[4], 2, 1))
    else:
        path = given(tmp_path / ("mask.png" if how == "at" else "00002.png"), labels(images()[2]))
    more = ["--at", 2] if "at" in how.split() else []
    more += ["--both-ways"] if both else []
    assert run("segment", source, "--masks", path, *more, "-o", tmp_path / "out", "--no-pictures")[0] == 0
    before = [labels(image) if both else np.zeros(colours.SIZE, np.uint8) for image in images()[:2]]
    assert check(tmp_path / "out" / "a", before + [labels(image) for image in images()[2:]])


def test_a_folder_of_pictures_whose_names_do_not_begin_at_0(run, tmp_path):
    source = frames(tmp_path / "JPEGImages" / "walk", first=7)
    given(tmp_path / "Annotations" / "walk" / "00007.png", labels(images()[0]))
    for place in ("Annotations", "Annotations/walk", "Annotations/walk/00007.png"):
        out = tmp_path / f"out-{place.replace('/', '-')}"
        assert run("segment", source, "--masks", tmp_path / place, "-o", out, "--no-pictures")[0] == 0
        assert check(out / "walk", [labels(image) for image in images()], first=7)


def test_many_videos_each_with_its_own_masks(run, tmp_path):
    sources = [frames(tmp_path / "JPEGImages" / name) for name in ("walk", "run")]
    given(tmp_path / "Annotations" / "walk" / "00000.png", labels(images()[0]))
    given(tmp_path / "Annotations" / "run.png", labels(images()[0], 3, 5))
    out = tmp_path / "out"
    assert run("segment", *sources, "--masks", tmp_path / "Annotations", "-o", out, "--no-pictures")[0] == 0
    assert check(out / "walk", [labels(image) for image in images()])
    assert check(out / "run", [labels(image, 3, 5) for image in images()])
    (tmp_path / "Annotations" / "run.png").unlink()
    result = run("segment", *sources, "--masks", tmp_path / "Annotations", "-o", out, "--no-pictures")
    assert refused(result, "no masks for", "run")


def test_resume_sees_other_masks(run, tmp_path):
    source, path = clip(tmp_path), given(tmp_path / "first.png", labels(images()[0]))
    arguments = ["segment", source, "--masks", path, "-o", tmp_path / "out", "--no-pictures", "--resume"]
    assert "5 frames" in run(*arguments)[1]
    assert "finished before" in run(*arguments)[1]
    given(path, labels(images()[0], 4, 2))
    assert "5 frames" in run(*arguments)[1]
    assert check(tmp_path / "out" / "a", [labels(image, 4, 2) for image in images()])
    assert "5 frames" in run(*arguments, "--both-ways")[1]
    assert json.loads((tmp_path / "out" / "a.done.json").read_text())["both_ways"] is True


def test_memory_options_reach_the_session(run, tmp_path):
    path = given(tmp_path / "first.png", labels(images()[0]))
    arguments = ["segment", clip(tmp_path), "--masks", path, "-o", tmp_path / "out", "--no-pictures"]
    assert run(*arguments, "--memory-limit", 2, "--memory-every", 1)[0] == 0
    options = json.loads((tmp_path / "out" / "a.done.json").read_text())["options"]
    assert (options["memory_limit"], options["memory_every"]) == (2, 1)
    assert refused(run(*arguments, "--memory-limit", 1), "memory_limit 1")
    assert refused(run(*arguments, "--clip", 4), "no option 'clip'")


def bad_masks(folder):
    """Mask file to words of its message."""
    first = labels(images()[0])
    for name, content in {
        "large": np.zeros((48, 65), np.uint8) + 1,
        "empty": np.zeros(colours.SIZE, np.uint8),
        "00009": first,
    }.items():
        write_label_png(folder / f"{name}.png", content.astype(np.uint8))
    generator = np.random.default_rng(0)
    Image.fromarray(generator.integers(0, 256, (*colours.SIZE, 3), dtype=np.uint8)).save(folder / "photo.png")
    Image.fromarray(np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)).save(folder / "soft.png")
    Image.fromarray(voc_palette()[first]).save(folder / "lossy.jpg")
    (folder / "words.png").write_text("no picture")
    (folder / "none").mkdir()
    given(folder / "elsewhere" / "mask.png", first)
    given(folder / "nothing" / "00000.png", first * 0)
    for suffix, content in (("png", first), ("bmp", labels(images()[0], 2, 1))):
        (folder / "double").mkdir(exist_ok=True)
        Image.fromarray(content).save(folder / "double" / f"00000.{suffix}")
    return {
        "double": ("00000.bmp and 00000.png are both masks of one frame",),
        "large.png": ("65x48", "64x48"),
        "empty.png": ("no object",),
        "photo.png": ("none of the DAVIS palette",),
        "soft.png": ("111 levels of grey",),
        "lossy.jpg": ("JPEG",),
        "words.png": ("no picture",),
        "gone.png": ("no masks at",),
        "none": ("holds no masks",),
        "elsewhere": ("mask.png belongs to no frame",),
        "nothing": ("marks an object",),
        "00009.png": ("frame 9", "5 frames"),
    }


def test_every_bad_mask_is_one_line(run, tmp_path):
    sources = {"file": clip(tmp_path / "video"), "pictures": frames(tmp_path / "pictures")}
    for name, words in bad_masks(tmp_path).items():
        for kind, source in sources.items():
            if (name, kind) == ("00009.png", "pictures"):
                continue  # no frame has that name, so it is of the first
            result = run("segment", source, "--masks", tmp_path / name, "-o", tmp_path / "out", "--no-pictures")
            assert refused(result, *words)
    good = given(tmp_path / "good.png", labels(images()[0]))
    for source in sources.values():
        assert refused(run("segment", source, "--masks", good, "--at", 5, "-o", tmp_path / "out"), "frame 5", "5")
    assert not list(tmp_path.glob("out/**/*.json"))


def test_what_masks_mean_nothing_for(run, tmp_path, monkeypatch):
    source, path = clip(tmp_path), given(tmp_path / "first.png", labels(images()[0]))
    assert refused(run("segment", source, "-o", tmp_path / "out"), "give their masks with --masks")
    assert refused(run("segment", source, "--at", 3), "--at means nothing without --masks")
    assert refused(run("segment", source, "--both-ways"), "--both-ways means nothing")
    assert refused(run("segment", source, "--masks", path, "--at", -1), "frame -1")
    monkeypatch.setattr(loading, "load", lambda *_, **__: bright.model())
    assert refused(run("segment", source, "--masks", path, "-o", tmp_path / "out"), "takes no masks")
    assert not (tmp_path / "out").exists()


def test_results_are_not_written_over_the_masks(run, tmp_path):
    source = frames(tmp_path / "JPEGImages" / "walk")
    path = given(tmp_path / "Annotations" / "walk" / "00000.png", labels(images()[0]))
    before = path.read_bytes()
    for masks in (path, path.parent, path.parent.parent):
        assert refused(
            run("segment", source, "--masks", masks, "-o", tmp_path / "Annotations"), "written over the source"
        )
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


def test_both_ways_reads_little_at_once_and_joins_later_objects():
    pictures = [picture((RED, 4, i % 40, 12), *([(BLUE, 30, 8, 10)] if i > 30 else [])) for i in range(40)]
    prompts = [colours.prompt(25, pictures[25], _1=RED), colours.prompt(31, pictures[31], _2=BLUE)]
    found = colours.model().segment(pictures, prompts, both_ways=True)
    assert len(found) == 40
    for result in found.results():
        assert [item.track_id for item in result.objects] == ([1, 2] if result.index > 30 else [1])
    forward = colours.model().segment(pictures, prompts)
    assert sorted(forward.tracks[0].masks) == list(range(25, 40))


def test_both_ways_with_every_kind_of_output(run, tmp_path):
    """What goes before the first mask has soft maps, cut-outs and an overlay as what comes after."""
    source, path = clip(tmp_path), given(tmp_path / "first.png", labels(images()[3]))
    out, cut = tmp_path / "out", tmp_path / "cut"
    arguments = ["segment", source, "--masks", path, "--at", 3, "--both-ways", "-o", out, "--soft", "--cutout", cut]
    assert run(*arguments)[0] == 0
    assert check(out / "a", [labels(image) for image in images()])
    for index, image in enumerate(images()):
        soft = np.asarray(Image.open(out / "a.soft" / f"{index:05d}.png"))
        assert np.array_equal(soft > 127, labels(image) > 0), index
        alpha = np.asarray(Image.open(cut / f"{index:05d}.png"))[..., 3]
        assert np.array_equal(alpha, soft), index
    assert open_video(out / "a.overlay.mp4").count().frames == COUNT
    assert (out / "a.sheet.png").is_file()
    mirrored = tmp_path / "mirrored"  # the same clip played backwards, from the same frame
    encode(tmp_path / "b.mkv", images()[::-1], **FFV1)
    assert run(*["segment", tmp_path / "b.mkv", "--masks", path, "--at", 1, "-o", mirrored, "--soft"])[0] == 0
    for index in range(3):
        one, other = out / "a.soft" / f"{index:05d}.png", mirrored / "b.soft" / f"{4 - index:05d}.png"
        assert np.array_equal(np.asarray(Image.open(one)), np.asarray(Image.open(other)))


def test_both_ways_says_where_soft_maps_find_no_room(run, tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(both_ways.tempfile, "TemporaryFile", Full)
    arguments = ["--masks", given(tmp_path / "first.png", labels(images()[3])), "--at", 3, "--both-ways", "--soft"]
    result = run("segment", clip(tmp_path), *arguments, "-o", tmp_path / "out")
    assert refused(result, tempfile.gettempdir())
    assert not (tmp_path / "out" / "a.done.json").exists()


@pytest.mark.parametrize("late", [False, True])
def test_objects_that_only_later_masks_have(run, tmp_path, late):
    source = frames(tmp_path / "JPEGImages" / "walk")
    for index, (red, green) in {0: (1, 0), 2: (0, 0), 3: (2, 4), 4: (1, 4)}.items():
        given(tmp_path / "masks" / f"{index:05d}.png", labels(images()[index], red, green))
    arguments = ["--masks", tmp_path / "masks", "-o", tmp_path / "out", "--no-pictures"]
    assert run("segment", source, *arguments, *["--late"] * late)[0] == 0
    found = [np.unique(read_label_png(tmp_path / "out" / "walk" / f"{index:05d}.png")).tolist() for index in range(5)]
    # On frame 3 what was object 1 is given as object 2, and takes its pixels.
    assert found[:3] == [[0, 1]] * 3
    assert found[3] == ([0, 2, 4] if late else [0, 1])
    assert 4 in found[4] if late else found[4] == [0, 1]
    assert refused(run("segment", source, *arguments, "--at", 1, *["--late"] * late), "marks an object for frame 1")


@pytest.mark.parametrize("count", [300, 1100])
def test_more_objects_than_a_palette_has(run, tmp_path, count):
    image = picture()
    content = np.zeros(colours.SIZE, np.uint16)
    content.flat[:count] = np.arange(1, count + 1)
    encode(tmp_path / "a.mkv", [image] * 2, **FFV1)
    path, out = given(tmp_path / "many.png", content), tmp_path / "out"
    arguments = ["segment", tmp_path / "a.mkv", "--masks", path, "-o", out]
    assert run(*arguments)[0] == 0
    assert np.array_equal(read_label_png(out / "a" / "00000.png"), content)
    assert (out / "a.overlay.mp4").stat().st_size > 0
    assert run(*arguments, "--format", "mots", "--no-pictures")[0] == 0
    numbers = {int(line.split()[1]) for line in (out / "a.txt").read_text().splitlines() if line.startswith("0 ")}
    assert len(numbers) == count


@pytest.mark.parametrize("format", ["davis", "ytvis", "mots"])
def test_an_object_that_vanishes_for_good(run, tmp_path, format):
    pictures = [images()[0], *[picture((GREEN, 30, 40 - 3 * i, 14)) for i in range(1, COUNT)]]
    encode(tmp_path / "a.mkv", pictures, **FFV1)
    path, out = given(tmp_path / "first.png", labels(images()[0])), tmp_path / "out"
    assert run("segment", tmp_path / "a.mkv", "--masks", path, "-o", out, "--format", format)[0] == 0
    if format == "davis":
        assert check(out / "a", [labels(images()[0]), *[labels(image) for image in pictures[1:]]])
    elif format == "ytvis":
        held = [
            [index for index, mask in enumerate(track["segmentations"]) if mask]
            for track in json.loads((out / "a.json").read_text())
        ]
        assert held == [[0], list(range(COUNT))]
    else:
        lines = [line.split()[:2] for line in (out / "a.txt").read_text().splitlines()]
        assert len(lines) == COUNT + 1
        assert len({number for _, number in lines}) == 2


def test_a_later_mask_that_disagrees(run, tmp_path):
    """The first mask of an object counts: with --late a later file only brings objects that are new."""
    source = frames(tmp_path / "JPEGImages" / "walk")
    given(tmp_path / "masks" / "00000.png", labels(images()[0]))
    given(tmp_path / "masks" / "00002.png", labels(images()[2], 2, 1))
    for more in ([], ["--late"]):
        arguments = ["--masks", tmp_path / "masks", "-o", tmp_path / "out", "--no-pictures", *more]
        assert run("segment", source, *arguments)[0] == 0
        assert check(tmp_path / "out" / "walk", [labels(image) for image in images()])
