"""DAVIS on disk: the official packages of 2016 and 2017, and the reduced layout without resolution folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rotoscope.errors import DataError

Split = Literal["train", "val", "trainval", "test-dev", "test-challenge"]
Resolution = Literal["480p", "1080p", "Full-Resolution"]

_PICTURES = (".jpg", ".jpeg", ".png")
_MASKS = (".png",)
_RESOLUTIONS = ("480p", "1080p", "Full-Resolution")


@dataclass(frozen=True, slots=True)
class VideoSequence:
    """The files of one sequence.

    Attributes:
        name: of the sequence.
        frames: pictures in order.
        masks: for each frame its annotation, None where it has none.
    """

    name: str
    frames: list[Path]
    masks: list[Path | None]


@dataclass(frozen=True, slots=True)
class AnnotationSet:
    """Annotations found for an evaluation.

    Attributes:
        folder: holds a folder of masks for each sequence.
        sequences: name to annotation files in order of frames.
        listed_by: the file that names the sequences, None where the folders do.
        left_out: sequences of that file, or folders, without annotations.
    """

    folder: Path
    sequences: dict[str, list[Path]]
    listed_by: Path | None
    left_out: tuple[str, ...]


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
        self, root: Path | str, year: int = 2016, split: Split = "val", resolution: Resolution = "480p"
    ) -> None:
        """Find the layout and read the list of sequences.

        Raises:
            DataError: no such folder, no such list, or no pictures; it says what was looked for.
        """
        self.root = Path(root)
        if not self.root.is_dir():
            raise DataError(f"there is no folder {self.root}; expected the root of a DAVIS package")
        self.frames_folder = _inner(self.root / "JPEGImages", resolution)
        self.masks_folder = _inner(self.root / "Annotations", resolution)
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
        folder = self.frames_folder / name
        frames = _files(folder, _PICTURES)
        if not frames:
            raise DataError(f"{name} has no pictures: looked for JPEG or PNG files in {folder}")
        masks = {path.stem: path for path in _files(self.masks_folder / name, _MASKS)}
        lost = masks.keys() - {path.stem for path in frames}
        if lost:
            raise DataError(f"{masks[min(lost)]} has no picture in {folder}; the package is not complete")
        return VideoSequence(name, frames, [masks.get(path.stem) for path in frames])


def find_annotations(folder: Path, names: Sequence[str] = ()) -> AnnotationSet:
    """Find the annotations of DAVIS 2016's validation set, or of the sequences named; pictures are not needed.

    Args:
        folder: root of the package, its `Annotations` or a resolution below that.
        names: the sequences wanted. Without them, those of the package's list, or every folder where it has no list.

    Raises:
        DataError: no such folder, no annotations in it, or a sequence named that is not there.
    """
    if not folder.is_dir():
        raise DataError(f"there is no annotations folder {folder}; expected DAVIS's root or its Annotations/480p")
    masks_folder, root = _annotations_folder(folder)
    lists = (root / "ImageSets" / "2016" / "val.txt", root / "ImageSets" / "480p" / "val.txt")
    listed_by = None if names else next((path for path in lists if path.is_file()), None)
    if names:
        wanted = tuple(dict.fromkeys(names))
    elif listed_by is not None:
        wanted = _listed(listed_by)
    else:
        wanted = tuple(sorted(path.name for path in masks_folder.iterdir() if path.is_dir() and path.name[0] != "."))
    sequences = {name: _files(masks_folder / name, _MASKS) for name in wanted}
    absent = tuple(name for name, files in sequences.items() if not files)
    if names and absent:
        raise DataError(f"no annotations of {', '.join(absent)}: looked for PNG files in {masks_folder / absent[0]}")
    found = {name: files for name, files in sequences.items() if files}
    if not found:
        raise DataError(
            f"{masks_folder} has no annotations: looked for a folder of PNG files for each sequence"
            + (f" of {listed_by}" if listed_by else "")
        )
    return AnnotationSet(masks_folder, found, listed_by, absent)


def _annotations_folder(folder: Path) -> tuple[Path, Path]:
    """Give the folder of sequences, and the root of the package that it belongs to."""
    if (folder / "Annotations").is_dir():
        return _inner(folder / "Annotations", "480p"), folder
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
    for line in path.read_text("utf-8").splitlines():
        first = line.split(maxsplit=1)[0] if line.strip() else ""
        if first:
            names.append(Path(first).parent.name if Path(first).suffix.lower() in _PICTURES else first)
    if not names:
        raise DataError(f"{path} names no sequence; expected one a line")
    return tuple(dict.fromkeys(names))


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """List the files of a folder in order of name; none where there is no such folder. Hidden files are passed over."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in suffixes and path.name[0] != ".")
