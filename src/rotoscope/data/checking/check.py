"""Check a folder of training data: find its layout, read everything, tell what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

from rotoscope.data import davis, fbms, folder, visal, youtube_vos
from rotoscope.data.annotation_set import files, folders
from rotoscope.data.checking.instances import list_instances
from rotoscope.data.checking.judging import judge
from rotoscope.data.checking.listing import Unit, list_place, loose_files, orphans
from rotoscope.data.checking.problems import Counts, Findings, Problem, error, warning
from rotoscope.data.checking.reading import Facts, look_at_all
from rotoscope.data.sequences import Place
from rotoscope.errors import DataError, OptionError

Kind = Literal["auto", "folder", "pictures", "davis16", "davis17", "youtube-vos", "coco", "fbms", "visal"]
KINDS = get_args(Kind)

_TRAINING = ("train", "val", "trainval")  # the lists whose sequences come with masks


def check(
    root: Path | str, kind: Kind = "auto", workers: int = 1, progress: Callable[[str, int], None] | None = None
) -> Findings:
    """Read all pictures and masks of a data set and tell everything that is wrong.

    Args:
        root: its folder, or a JSON file of COCO.
        kind: its layout; "auto" finds it out from what stands in the folder.
        workers: processes that share the files; above 1, the calling script needs the usual
            `if __name__ == "__main__":`.
        progress: called after each picture with the name of its sequence and the number of pictures.

    Raises:
        DataError: no such folder, or a layout that it does not have; problems inside it are not raised.
        OptionError: no worker.
    """
    root = Path(root)
    if workers < 1:
        raise OptionError(f"a check needs at least one worker, found {workers}")
    if not root.exists():
        raise DataError(f"there is no folder {root}")
    chosen = find_kind(root) if kind == "auto" else kind
    units, problems = _gather(root, chosen)
    pairs = [pair for unit in units for pair in unit.pairs]
    facts = []
    with closing(look_at_all(pairs, workers)) as looked:
        for unit in units:
            own = []
            for fact in islice(looked, len(unit.pairs)):
                own.append(fact)
                if progress is not None:
                    progress(unit.name, len(pairs))
            problems += [*unit.problems, *(problem for fact in own for problem in fact.problems), *judge(unit, own)]
            facts.append(own)
    return Findings(root, chosen, tuple(dict.fromkeys(problems)), _count(units, facts))


def find_kind(root: Path) -> Kind:
    """Find out how a folder is laid out, by the folders and lists in it.

    Raises:
        DataError: it is like none of the layouts.
    """
    if root.is_file() or _instances(root):
        return "coco"
    if (root / "train" / "JPEGImages").is_dir() or (root / "CleanedAnnotations").is_dir():
        return "youtube-vos"
    if (root / "JPEGImages").is_dir():
        if davis.splits_of(root, 2017):
            return "davis17" if (root / "ImageSets" / "2017").is_dir() else "davis16"
        if davis.splits_of(root, 2016):
            return "davis16"
        if (root / "meta.json").is_file():
            return "youtube-vos"
    if any((root / name).is_dir() for name in ("Testset", "TestSet", "Trainingset", "TrainingSet")):
        return "fbms"
    if root.name.lower() in ("testset", "trainingset"):
        return "fbms"
    if (root / "ViSal").is_dir() or (root / "GroundTruth").is_dir() or any(root.glob("*/GroundTruth")):
        return "visal"
    if not any((root / name).is_dir() for name in (*folder.FRAMES, *folder.LABELS)):
        raise DataError(
            f"{root} is laid out in no way that is known: found neither frames and masks, nor images and masks, nor "
            "the folders of DAVIS, YouTube-VOS, COCO, FBMS or ViSal; see docs/training.md"
        )
    return "folder" if folder.find_layout(root).videos else "pictures"


def _gather(root: Path, kind: Kind) -> tuple[list[Unit], list[Problem]]:
    """List all files, unread."""
    if kind == "coco":
        found = [root] if root.is_file() else _instances(root)
        if not found:
            raise DataError(f"{root} has no instances*.json, nor has a folder annotations in it")
        return [list_instances(path) for path in found], []
    if not root.is_dir():
        raise DataError(f"{root} is no folder; the kind {kind} needs one")
    if kind == "pictures":
        return _pictures(root)
    if kind in ("davis16", "davis17"):
        return _davis(root, 2016 if kind == "davis16" else 2017)
    places = _places(root, kind)
    sparse = kind in ("fbms", "visal")
    units = [list_place(place, sparse=sparse, gaps=kind != "youtube-vos") for place in places]
    problems = list(orphans(places))
    if kind in ("folder", "youtube-vos"):
        problems += loose_files(places[0].frames.parent, places[0].pictures)
        problems += loose_files(places[0].masks.parent, places[0].labels)
    return units, problems + _unclaimed(places)


def _places(root: Path, kind: Kind) -> list[Place]:
    if kind == "folder":
        return folder.places(root)
    if kind == "visal":
        return visal.places(root)
    if kind == "youtube-vos":
        return youtube_vos.places(root)
    splits: list[fbms.Split] = ["test"] if (root / "Testset").is_dir() or (root / "TestSet").is_dir() else []
    if (root / "Trainingset").is_dir() or (root / "TrainingSet").is_dir():
        splits.append("train")
    return [place for split in splits or [_split_named(root)] for place in fbms.places(root, split=split)]


def _split_named(root: Path) -> fbms.Split:
    return "train" if root.name.lower() == "trainingset" else "test"


def _pictures(root: Path) -> tuple[list[Unit], list[Problem]]:
    layout = folder.find_layout(root)
    if layout.videos and not files(layout.frames, folder.PICTURES):
        raise DataError(f"{layout.frames} holds folders of sequences; for those use the kind folder")
    place = Place(root.name, layout.frames, layout.masks, folder.PICTURES, folder.MASKS)
    inner = [path / name for path in (layout.frames, layout.masks) for name in folders(path)]
    problems = [warning(path, "is a folder among single pictures; nothing reads it") for path in inner]
    return [list_place(place, video=False)], problems


def _davis(root: Path, year: int) -> tuple[list[Unit], list[Problem]]:
    """Every list of a year that is there; those of test sets only where there is no other."""
    there = davis.splits_of(root, year)
    splits = [split for split in there if split in _TRAINING] or there
    resolutions: tuple[davis.Resolution, ...] = get_args(davis.Resolution)
    resolution = next((name for name in resolutions if (root / "JPEGImages" / name).is_dir()), resolutions[0])
    bases = [base for base in get_args(davis.Annotations) if (root / base).is_dir()] or ["Annotations"]
    problems: list[Problem] = []
    found: dict[Path, Place] = {}
    for base in bases:
        places: dict[str, Place] = {}
        for split in splits or ["train"]:  # which then says what was looked for
            package = davis.Davis(root, year, split, resolution, base)
            places |= {name: package.place(name) for name in package.names}
        found |= {place.masks: place for place in places.values()}
        problems += _unlisted(package, places)
    return [list_place(place) for place in found.values()], problems


def _unlisted(package: davis.Davis, names: dict[str, Place]) -> list[Problem]:
    found = []
    for base in (package.frames_folder, package.masks_folder):
        extra = [name for name in folders(base) if name not in names]
        if extra:
            words = f"holds {len(extra)} folders" if len(extra) > 1 else "holds a folder"
            found.append(warning(base, f"{words} that no list names, and that nothing reads: {', '.join(extra)}"))
    return found


def _unclaimed(places: Sequence[Place]) -> list[Problem]:
    """Masks in a folder that sequences share, but that belong to none of them."""
    shared = {place.masks: place.labels for place in places if place.shared}
    claimed = {mask for place in places if place.shared for mask in place.mask_files(place.frame_files())}
    masks = [path for base, labels in shared.items() for path in files(base, labels)]
    return [error(path, "has no picture of its name in any sequence") for path in masks if path not in claimed]


def _instances(root: Path) -> list[Path]:
    return sorted(path for base in (root, root / "annotations") for path in base.glob("instances*.json"))


def _count(units: Sequence[Unit], facts: Sequence[Sequence[Facts]]) -> Counts:
    """Add up; a sequence that is judged twice, with other masks, counts once."""
    frames = {picture for unit in units if unit.video for picture, _ in unit.pairs}
    masked = {picture for unit in units for picture, mask in unit.pairs if mask is not None}
    sizes: dict[Path, tuple[int, int]] = {}
    objects: Counter[Path] = Counter()
    for unit, own in zip(units, facts, strict=True):
        ids = [fact.mask.ids for fact in own if fact.mask is not None]
        number = len(set().union(*ids)) if unit.video else sum(map(len, ids)) + unit.objects
        objects[unit.folder] = max(objects[unit.folder], number)
        sizes |= {
            picture: fact.size for (picture, _), fact in zip(unit.pairs, own, strict=True) if fact.size is not None
        }
    return Counts(
        sequences=len({unit.folder for unit in units if unit.video}),
        frames=len(frames),
        annotated=len(masked) + sum(unit.annotated for unit in units),
        pictures=len({picture for unit in units if not unit.video for picture, _ in unit.pairs}),
        objects=objects.total(),
        sizes=dict(Counter(sizes.values()).most_common()),
    )
