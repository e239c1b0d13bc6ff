"""DAVIS on disk: the official packages of 2016 and 2017, and the reduced layout without resolution folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, get_args

from rotoscope.data.annotation_set import (
    AnnotationSet,
    check_name,
    checked_names,
    collected,
    files,
    folders,
    read_lines,
)
from rotoscope.data.sequences import Place, VideoSequence, read_place
from rotoscope.errors import DataError

Split = Literal["train", "val", "trainval", "test-dev", "test-challenge"]
Resolution = Literal["480p", "1080p", "Full-Resolution"]
Kind = Literal["2016", "2017", "unsupervised"]
Annotations = Literal["Annotations", "Annotations_unsupervised"]

_PICTURES = (".jpg", ".jpeg", ".png")
_MASKS = (".png",)
_BASES = {"2016": "Annotations", "2017": "Annotations", "unsupervised": "Annotations_unsupervised"}
_RESOLUTIONS = ("480p", "1080p", "Full-Resolution")


class Davis:
    """The sequences of one split; folders are listed when a sequence is asked for.

    Three layouts are told apart by what stands in the root:

    - 2017: `ImageSets/<year>/<split>.txt`, `JPEGImages/<resolution>/<sequence>`, `Annotations/<resolution>/<sequence>`;
    - 2016: the same, with lists of files `ImageSets/<resolution>/<split>.txt`;
    - reduced: `<split>.txt`, `JPEGImages/<sequence>`, `Annotations/<sequence>`.

    Attributes:
        root: folder of the package.
        frames_folder: holds a folder of pictures for each sequence.
        masks_folder: holds a folder of masks for each sequence.
        listed_by: the file that names the sequences.
        names: of the sequences, in its order.
    """

    def __init__(
        self,
        root: Path | str,
        year: int = 2016,
        split: Split = "val",
        resolution: Resolution = "480p",
        annotations: Annotations = "Annotations",
    ) -> None:
        """Find the layout and read the list of sequences.

        Args:
            root: of the package.
            year: whose lists.
            split: which list.
            resolution: which folder, where the package has several.
            annotations: which masks: those of the tasks of 2016 and 2017, or of the unsupervised task of 2019, which
                are of the same pictures.

        Raises:
            DataError: no such folder, no such list, or no pictures; it says what was looked for.
        """
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"there is no folder {self.root}; expected the root of a DAVIS package")
        self.frames_folder = _inner(self.root / "JPEGImages", resolution)
        if not (self.root / annotations).is_dir():
            raise DataError(f"{self.root} has no {annotations}; {_remedy(self.root, annotations)}")
        self.masks_folder = _inner(self.root / annotations, resolution)
        self.listed_by = _list_file(self.root, year, split, resolution)
        self.names = _listed(self.listed_by)

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[VideoSequence]:
        return (self.sequence(name) for name in self.names)

    def __getitem__(self, index: int) -> VideoSequence:
        return self.sequence(self.names[index])

    def sequence(self, name: str) -> VideoSequence:
        """List the files of one sequence.

        Raises:
            DataError: not of this split, no pictures, or masks without a picture.
        """
        if name not in self.names:
            raise DataError(f"{self.listed_by} names no sequence {name!r}; it has {len(self.names)}")
        return read_place(self.place(name), need_masks=False)

    def place(self, name: str) -> Place:
        """Say where the files of a sequence lie."""
        return Place(name, self.frames_folder / name, self.masks_folder / name, _PICTURES, _MASKS)


def splits_of(root: Path, year: int) -> list[Split]:
    """Name the splits of a year that a package has lists of, in the order of `Split`."""
    found: list[Split] = []
    for split in get_args(Split):
        with suppress(DataError):
            _list_file(root, year, split, "480p")
            found.append(split)
    return found


def find_annotations(
    folder: Path, names: Sequence[str] = (), kind: Kind = "2016", split: Split = "val"
) -> AnnotationSet:
    """Find the annotations of a split, or of the sequences named; pictures are not needed.

    Args:
        folder: root of the package, its `Annotations` (`Annotations_unsupervised`) or a resolution below that.
        names: the sequences wanted. Without them, those of the package's list, or every folder where it has no list.
        kind: whose annotations and lists: one object (2016), several (2017), or those of the unsupervised task.
        split: which list.

    Raises:
        DataError: no such folder, no annotations in it, or a sequence named that is not there.
    """
    base = _BASES[kind]
    if not folder.is_dir():
        raise DataError(f"there is no annotations folder {folder}; expected DAVIS's root or its {base}/480p")
    others = [name for name in set(_BASES.values()) - {base} if (folder / name).is_dir()]
    if others and not (folder / base).is_dir():
        raise DataError(f"{folder} has {others[0]} and no {base}, which holds the annotations of this task")
    masks_folder, root = _annotations_folder(folder, base)
    lists = [root / "ImageSets" / kind / f"{split}.txt"]
    if kind == "2016":
        lists.append(root / "ImageSets" / "480p" / f"{split}.txt")
    elif kind == "unsupervised":  # its validation set is that of 2017, its test sets are those of 2019
        lists = [root / "ImageSets" / ("2019" if split.startswith("test") else "2017") / f"{split}.txt"]
    listed_by = None if names else next((path for path in lists if path.is_file()), None)
    if names:
        wanted = checked_names(names)
    elif listed_by is not None:
        wanted = _listed(listed_by)
    elif split != "val":
        raise DataError(f"{root} has no list of the split {split!r}: looked for {', '.join(str(p) for p in lists)}")
    else:
        wanted = tuple(folders(masks_folder))
    return collected(masks_folder, {name: files(masks_folder / name, _MASKS) for name in wanted}, listed_by, names)


def find_frames(
    root: Path, names: Sequence[str] = (), kind: Kind = "2017", split: Split = "test-dev"
) -> dict[str, list[Path]]:
    """Find the pictures of a split, or of the sequences named; annotations are not needed.

    Raises:
        DataError: no such folder or list, or a sequence without pictures.
    """
    if not (root / "JPEGImages").is_dir():
        raise DataError(f"{root} has no JPEGImages; expected the root of a DAVIS package")
    base = _inner(root / "JPEGImages", "480p")
    year = "2019" if kind == "unsupervised" and split.startswith("test") else "2017"
    wanted = checked_names(names) or _listed(_list_file(root, int(year), split, "480p"))
    found = {name: files(base / name, _PICTURES) for name in wanted}
    for name, paths in found.items():
        if not paths:
            raise DataError(f"{name} has no pictures: looked for JPEG or PNG files in {base / name}")
    return found


def _remedy(root: Path, annotations: str) -> str:
    other = next((base for base in _BASES.values() if base != annotations and (root / base).is_dir()), None)
    if other:
        return f"ask for its {other}, or unpack the package with {annotations} over it"
    return "the masks of DAVIS lie in Annotations, those of its unsupervised task in Annotations_unsupervised"


def _annotations_folder(folder: Path, base: str) -> tuple[Path, Path]:
    """Give the folder of sequences, and the root of the package that it belongs to."""
    if (folder / base).is_dir():
        return _inner(folder / base, "480p"), folder
    if (folder / "480p").is_dir():
        return folder / "480p", folder.parent
    resolved = folder.resolve()
    return folder, resolved.parent.parent if resolved.name in _RESOLUTIONS else resolved.parent


def _inner(folder: Path, resolution: str) -> Path:
    """Choose the resolution below a folder, or the folder itself in the reduced layout."""
    if (folder / resolution).is_dir():
        return folder / resolution
    others = [name for name in _RESOLUTIONS if (folder / name).is_dir()]
    if others:
        raise DataError(f"{folder} has {', '.join(others)} and no {resolution}; ask for a resolution that is there")
    if not folder.is_dir():
        raise DataError(f"{folder.parent} is no DAVIS package: looked for {folder / resolution} and for {folder}")
    return folder


def _list_file(root: Path, year: int, split: str, resolution: str) -> Path:
    sets = root / "ImageSets"
    places = [sets / str(year) / f"{split}.txt", root / f"{split}.txt"]
    if year == 2016:  # only the package of 2016 has lists by resolution; for another year they would be wrong
        places.insert(1, sets / resolution / f"{split}.txt")
    for place in places:
        if place.is_file():
            return place
    there = sorted(str(path.relative_to(root)) for path in (*sets.glob("*/*.txt"), *root.glob("*.txt")))
    looked = ", ".join(str(place.relative_to(root)) for place in places)
    raise DataError(
        f"{root} has no list of the split {split!r}: looked for {looked}; found {', '.join(there) or 'none'}"
    )


def _listed(path: Path) -> tuple[str, ...]:
    """Read the names of sequences: one a line, or the file lists of the 2016 package, a picture and its mask a line."""
    names = []
    for line in read_lines(path):
        first = line.split(maxsplit=1)[0] if line.strip() else ""
        if first:
            name = Path(first).parent.name if Path(first).suffix.lower() in _PICTURES else first
            names.append(check_name(name, str(path)))
    if not names:
        raise DataError(f"{path} names no sequence; expected one a line")
    return tuple(dict.fromkeys(names))
