"""Finished key frames in files, so that a run that was stopped goes on from them."""

from __future__ import annotations

import hashlib
import io
import tempfile
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from torch import Tensor, nn

from rotoscope.errors import OptionError
from rotoscope.files import write_whole
from rotoscope.models.propose_reduce.options import WholeVideoOptions
from rotoscope.models.propose_reduce.sequences import MaskSequence
from rotoscope.types import RunLength

_FORM = 1  # of the files; another number is another form
# These do not change what a key frame proposes.
_IRRELEVANT = (
    *("work_folder", "memory_budget", "disk_budget", "reduce", "overlap", "least_score", "most", "labels"),
    *("overlapping", "categories"),
)


def fingerprint(network: nn.Module, options: WholeVideoOptions) -> hashlib._Hash:
    """What sequences depend on besides the frames; these are to be added."""
    digest = hashlib.sha256()
    digest.update(repr((_FORM, {k: v for k, v in asdict(options).items() if k not in _IRRELEVANT})).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(_bytes(tensor))
    return digest


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().float().cpu().contiguous().numpy().tobytes()


class KeptWork:
    """The sequences of the finished key frames of one video.

    Args:
        folder: is made when it is needed.
        name: tells the video, the network and the options apart from others; see `fingerprint`.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    @staticmethod
    def check(folder: Path) -> None:
        """Make the folder, and see whether files can be written there, before work is done that they should keep.

        Raises:
            OptionError: they cannot.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder):
                pass
        except OSError as error:
            raise OptionError(
                f"work_folder {str(folder)!r} cannot be written to: {error.strerror or error}; name another folder"
            ) from error

    def path(self, key_frame: int) -> Path:
        """The file of a key frame."""
        return self._folder / f"{self._name}-{key_frame:06d}.npz"

    def save(self, key_frame: int, sequences: list[MaskSequence]) -> None:
        """Keep a finished key frame, whole or not at all.

        Raises:
            OutputError: the folder cannot be written to.
        """
        masks = [(number, frame, mask) for number, one in enumerate(sequences) for frame, mask in one.masks.items()]
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            scores=np.array([one.scores for one in sequences], np.float32),
            places=np.array([(number, frame) for number, frame, _ in masks], np.int64).reshape(-1, 2),
            size=np.array(masks[0][2].size if masks else (0, 0), np.int64),
            lengths=np.array([len(mask.counts) for _, _, mask in masks], np.int64),
            counts=np.concatenate([np.zeros(0, np.uint32), *(mask.counts for _, _, mask in masks)]),
        )
        write_whole(self.path(key_frame), buffer.getvalue())

    def load(self, key_frame: int) -> list[MaskSequence] | None:
        """A finished key frame; None when it is not there or its file is damaged."""
        try:
            with np.load(io.BytesIO(self.path(key_frame).read_bytes())) as stored:
                arrays = dict(stored)
            height, width = arrays["size"].tolist()
            found = [MaskSequence(key_frame, scores) for scores in arrays["scores"]]
            stops = np.cumsum(arrays["lengths"])
            for (number, frame), stop, length in zip(arrays["places"].tolist(), stops, arrays["lengths"], strict=True):
                found[number].masks.put(frame, RunLength((height, width), arrays["counts"][stop - length : stop]))
        except (OSError, KeyError, ValueError, IndexError, EOFError, BadZipFile):
            return None
        return found
