"""Maps of what is salient in pictures, by a public network that teaches ours: pseudo-labels.

The teacher is an ONNX file of the kind of U2-Net (Qin et al., "U2-Net: Going Deeper with Nested U-Structure for Salient
Object Detection", Pattern Recognition 2020), run by onnxruntime, which only this needs. What it says of a picture is
kept as an 8-bit grey PNG, so that a training reads maps and never runs the teacher.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rotoscope.data.teacher_maps import INDEX, find_pictures, map_of, measures
from rotoscope.errors import DataError, OptionError, VideoError, WeightsError
from rotoscope.files import append_whole, refuse_inside, write_whole
from rotoscope.video.pictures import read_picture

_SIDE = 320  # pixels, of what the teacher sees
_MEAN, _SPREAD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


class Session(Protocol):
    """The part of onnxruntime's session that is used."""

    def get_inputs(self) -> Any:
        """What the network is given, each with a `name`."""
        ...

    def run(self, outputs: None, given: Mapping[str, NDArray[np.float32]]) -> Any:
        """All outputs; the first is the map, (1, 1, h, w)."""
        ...


@dataclass(frozen=True)
class Teacher:
    """A network that says what is salient in a picture.

    Attributes:
        session: that runs it.
        sha256: of its file, by which its maps are told from those of another.
    """

    session: Session
    sha256: str

    @classmethod
    def load(cls, path: Path, threads: int = 1) -> Teacher:
        """Open an ONNX file.

        Raises:
            OptionError: onnxruntime is not installed.
            WeightsError: the file is not there, or no network that onnxruntime takes.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise OptionError("a teacher is run by onnxruntime; install it with `pip install onnxruntime`") from error
        if not path.is_file():
            raise WeightsError(f"there is no file {path}; expected a teacher such as u2netp.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own kinds, derived from Exception alone
            raise WeightsError(f"{path} is no network that onnxruntime takes: {str(error).splitlines()[0]}") from error
        return cls(session, hashlib.sha256(path.read_bytes()).hexdigest())

    def look(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Say what is salient.

        Args:
            picture: (H, W, 3) uint8 RGB.

        Returns:
            (H, W) uint8, 0 surely not, 255 surely.
        """
        height, width = picture.shape[:2]
        small = Image.fromarray(picture).resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)
        pixels = np.asarray(small, np.float32)
        pixels = (pixels / max(float(pixels.max()), 1.0) - _MEAN) / _SPREAD  # (h, w, 3)
        given = {self.session.get_inputs()[0].name: pixels.transpose(2, 0, 1)[None]}
        found = np.asarray(self.session.run(None, given)[0][0, 0], np.float32)  # (h, w)
        found = (found - found.min()) / max(float(found.max() - found.min()), 1e-6)
        grey = Image.fromarray(np.round(found * 255).astype(np.uint8))
        return np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))


def label_pictures(
    pictures: Path, folder: Path, teacher: Teacher, told: Callable[[str, int], None] = lambda name, of: None
) -> tuple[int, list[str]]:
    """Keep a map of every picture of a folder; those that are there already are not made again.

    Args:
        pictures: folder, with all that lies below it.
        folder: gets the maps, by the pictures' paths, and an index.
        teacher: makes them.
        told: called after each picture with its path and the number of all.

    Returns:
        How many maps were made, and which pictures cannot be read.

    Raises:
        DataError: no picture is there, or `folder` holds the maps of another teacher.
        OutputError: a map cannot be written, or would become one of the pictures.
    """
    refuse_inside(folder, pictures, "pictures")
    files = find_pictures(pictures)
    index = _Index(folder / INDEX, teacher.sha256)
    made, unread = 0, []
    for file in files:
        name = file.relative_to(pictures).as_posix()
        if name not in index.names or not map_of(folder, name).is_file():
            try:
                picture = read_picture(file)
            except VideoError:
                unread.append(name)
                continue
            found = teacher.look(picture)
            stream = BytesIO()
            Image.fromarray(found).save(stream, "PNG")
            write_whole(map_of(folder, name), stream.getvalue())
            index.add(name, measures(found))
            made += 1
        told(name, len(files))
    return made, unread


class _Index:
    """The list of maps, a line of JSON each, written after the map that it vouches for: a stop loses nothing."""

    def __init__(self, path: Path, sha256: str) -> None:
        self._path = path
        head, *rest = (list(_read(path)) if path.is_file() else []) or [{"teacher": sha256}]
        if head.get("teacher") != sha256:
            raise DataError(f"{path.parent} holds maps of another teacher; choose another folder for these")
        self.names = {line["name"] for line in rest if "name" in line}
        # Anew, so that no line begins behind one that a kill left half written.
        write_whole(path, "".join(json.dumps(line) + "\n" for line in (head, *rest)).encode())

    def add(self, name: str, values: Mapping[str, float]) -> None:
        append_whole(self._path, (json.dumps({"name": name, **values}) + "\n").encode())
        self.names.add(name)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines; the last one may be half written."""
    for line in path.read_text("utf-8", errors="replace").splitlines():
        try:
            content = json.loads(line)
        except ValueError:
            continue
        if isinstance(content, dict):
            yield content
