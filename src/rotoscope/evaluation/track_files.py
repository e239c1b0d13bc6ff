"""Where YouTube-VIS annotations and results are found: a file, an archive, or a folder of either."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rotoscope.errors import DataError, MaskError
from rotoscope.masks.youtube_vis import ResultTrack, VideoSet, read_results, read_video_set
from rotoscope.metrics.prediction_files import Missing

_ANNOTATIONS = ("instances.json", "annotations.json", "train.json", "valid.json", "val.json", "test.json")
_RESULTS = "results.json"
_MARKER = ".done.json"


def read_annotations(place: Path) -> VideoSet:
    """Read an annotation file, or the only one of a folder.

    Raises:
        DataError: no such file, several, or what is wrong with it.
    """
    path = place
    if place.is_dir():
        files = sorted(place.glob("*.json"))
        known = [path for path in files if path.name in _ANNOTATIONS]
        chosen = known or files
        if not chosen:
            raise DataError(f"{place} has no annotation file; expected the benchmark's .json")
        if len(chosen) > 1:
            names = ", ".join(path.name for path in chosen[:5])
            raise DataError(f"{place} has several annotation files, {names}; name the one")
        path = chosen[0]
    try:
        return read_video_set(path)
    except MaskError as error:
        raise DataError(str(error)) from error


def read_predictions(place: Path, truth: VideoSet, missing: Missing = "error") -> list[ResultTrack]:
    """Read results: one file for all videos, a zip archive of it, or a folder.

    A folder holds `results.json`, or a file for each video that bears the video's name, as `rotoscope segment` writes
    them: the number of the video within is then that of the video of this name. Of what `rotoscope segment` left, which
    may be both, the single files are taken.

    Args:
        place: the file, archive or folder.
        truth: the videos.
        missing: whether a folder with a file for each video may lack some.

    Raises:
        DataError: no such file, a name that is no video's, or what is wrong with the content.
    """
    try:
        if place.is_dir():
            return _of_folder(place, truth, missing)
        if place.suffix.lower() == ".zip":
            return _of_archive(place)
        return read_results(place)
    except MaskError as error:
        raise DataError(str(error)) from error


def _of_folder(place: Path, truth: VideoSet, missing: Missing) -> list[ResultTrack]:
    numbers: Mapping[str, int] = {video.name: number for number, video in truth.videos.items()}
    found = sorted(path for path in place.glob("*.json") if path.name != _RESULTS)
    files = [path for path in found if not path.name.endswith(_MARKER)]
    # Of a run of ours the names of the files say which videos they are, whatever numbers that run gave them.
    ours = any(path.name.endswith(_MARKER) for path in found) and any(path.stem in numbers for path in files)
    if (place / _RESULTS).is_file() and not ours:
        return read_results(place / _RESULTS)
    if not files:
        raise DataError(f"{place} has no results: looked for {_RESULTS}, or a .json file with each video's name")
    lost = [path.name for path in files if path.stem not in numbers]
    if lost:
        raise DataError(
            f"{place} has {lost[0]}, which is neither {_RESULTS} nor named like one of the {len(numbers)} videos "
            f"({', '.join(list(numbers)[:3])} ...)"
        )
    absent = sorted(numbers.keys() - {path.stem for path in files})
    if absent and missing == "error":
        raise DataError(
            f"{place} has no file of {len(absent)} videos: {', '.join(absent[:5])}; write an empty list where nothing "
            "was found, or count missing ones as empty (--missing empty)"
        )
    return [replace(one, video_id=numbers[path.stem]) for path in files for one in read_results(path)]


def _of_archive(place: Path) -> list[ResultTrack]:
    try:
        with zipfile.ZipFile(place) as archive, TemporaryDirectory() as folder:
            names = [name for name in archive.namelist() if Path(name).name == _RESULTS]
            if len(names) != 1:
                raise DataError(f"{place} does not hold one {_RESULTS}, but {len(names)}")
            path = Path(folder, _RESULTS)
            path.write_bytes(archive.read(names[0]))
            return read_results(path)
    except (OSError, RuntimeError, zipfile.BadZipFile) as error:  # RuntimeError: encrypted, or packed unknowably
        raise DataError(f"cannot read {place}: {error}") from error
