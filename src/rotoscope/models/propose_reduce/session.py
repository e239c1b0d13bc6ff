"""Propose-Reduce on a video: all its frames are taken, then sequences are proposed and reduced.

What is kept of the frames is their picture at the network's size, beyond a part in memory in a temporary file; features
up to a budget; sequences as run lengths.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rotoscope.errors import OptionError
from rotoscope.masks.run_length import encode
from rotoscope.models.closing import ClosingSession
from rotoscope.models.frame_check import check_frame, check_video
from rotoscope.models.propose_reduce.categories import names_of
from rotoscope.models.propose_reduce.kept_work import KeptWork, fingerprint
from rotoscope.models.propose_reduce.network import FrameMaps, SeqMaskRCNN
from rotoscope.models.propose_reduce.options import WholeVideoOptions, rules_of
from rotoscope.models.propose_reduce.preparation import in_frame
from rotoscope.models.propose_reduce.propagate import SequenceBuilder, followed, found_in, remembered_bytes
from rotoscope.models.propose_reduce.result import Given, given_tracks
from rotoscope.models.propose_reduce.sequences import MaskSequence, choose_key_frames
from rotoscope.models.propose_reduce.shelf import MIB, Shelf
from rotoscope.ops.resize import resize_unsmoothed
from rotoscope.types import Declaration, Frame, FrameResult, ObjectMask, Prompt, RunLength, VideoInfo, Work

_PICTURES = 4  # pictures have one part of so many of the memory budget; further ones lie in a temporary file


def declare(options: WholeVideoOptions) -> Declaration:
    """What Propose-Reduce says of itself under these options."""
    return Declaration(
        task="instances",
        look_ahead=None,
        prompts="none",
        memory="pictures at the network's size, what is remembered of one key frame's objects, packed sequences and "
        "features, together up to memory_budget; further pictures in a temporary file",
        frames_held=options.memory_limit + 1,
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    index: int
    timestamp: float
    name: str | None


class WholeVideoSession(ClosingSession):
    """One video going through Propose-Reduce; see `rotoscope.types.WholeVideo`.

    Args:
        network: in eval mode.
        info: of the video; its size decides the network's size.
        options: see `WholeVideoOptions`.
        device: where the network is.

    Raises:
        OptionError: the video has no pixels, or the work folder cannot be written to.
    """

    def __init__(self, network: SeqMaskRCNN, info: VideoInfo, options: WholeVideoOptions, device: torch.device) -> None:
        check_video(info)
        if options.work_folder:
            KeptWork.check(Path(options.work_folder))
        self.network, self.options, self.device = network, options, device
        self.rules = rules_of(options, network.classes, info.size)
        self.names = names_of(options.categories, network.classes)
        self.sequences: list[MaskSequence] = []
        self.reused = 0  # key frames that were found finished
        self._size = info.size
        self._pictures = Shelf(options.memory_budget * MIB // _PICTURES, None)
        self._features: Shelf | None = None  # its share of memory is known when all pictures are there
        self._remembered = 0  # bytes, of the key frame at work
        self._latest: tuple[int, FrameMaps] | None = None  # most frames are asked for twice, one time after the other
        self._seen: list[_Seen] = []
        self._digest = fingerprint(network, options) if options.work_folder else None
        self._work: Iterator[Work] | None = None
        self._finished = False

    def step(self, frame: Frame, prompt: Prompt | None = None) -> list[FrameResult]:
        """Take the next frame; nothing is known of it before the last.

        Raises:
            OptionError: a prompt; the frame is of another size; the session is over or at work.
        """
        check_frame(frame, self._size, self._finished)
        if prompt is not None:
            raise OptionError("propose-reduce finds objects by itself and takes no prompts; leave them out")
        if self._work is not None:
            raise OptionError("the session is at work on the whole video; open a new one for more frames")
        # The published weights were trained so; other systems' pictures are smoothed when they shrink.
        picture = resize_unsmoothed(frame.image, self.rules.size)
        if self._digest is not None:
            self._digest.update(picture.numpy().tobytes())
        self._pictures.put(len(self._seen), [picture])
        self._seen.append(_Seen(frame.index, frame.timestamp, frame.name))
        return []

    def work(self, key_frames: Sequence[int] | None = None) -> Iterator[Work]:
        """Propose, one key frame after the other; `finish` does what is left of it.

        Args:
            key_frames: of the first call, which ones; None: as the options say.
        """
        if self._work is None:
            self._work = self._begun_anew(key_frames)
        return self._work

    def _begun_anew(self, key_frames: Sequence[int] | None) -> Iterator[Work]:
        """`_propose`; where it does not come to its end, the next call of `work` begins anew."""
        try:
            yield from self._propose(key_frames)
        except BaseException:
            self._work = None
            self.sequences = []
            raise

    def finish(self) -> list[FrameResult]:
        """Reduce, and answer every frame."""
        if self._finished:
            return []
        for _ in self.work():
            pass
        self._finished = True
        self._let_go()
        tracks = given_tracks(self.sequences, len(self._seen), self.rules, self.options)
        return [self._result(number, seen, tracks) for number, seen in enumerate(self._seen)]

    def maps_of(self, number: int) -> FrameMaps:
        """A frame, encoded; kept where the budgets allow it."""
        if self._latest is None or self._latest[0] != number:
            self._latest = number, self._maps_of(number)
        return self._latest[1]

    def _maps_of(self, number: int) -> FrameMaps:
        if self._features is None:
            self._features = Shelf(self._room(), self.options.disk_budget * MIB)
        kept = self._features.get(number)
        if kept is not None:
            return FrameMaps.of_tensors(kept, self.rules.size)
        pictures = self._pictures.get(number)
        if pictures is None:
            raise AssertionError(f"frame {number} was not taken")
        with torch.inference_mode():
            maps = self.network.encode(pictures[0][None].to(self.device))
        self._features.put(number, maps.tensors())
        return maps

    def _room(self) -> int:
        """Bytes of the budget that everything else leaves for features."""
        sequences = sum(one.masks.nbytes for one in self.sequences)
        return max(0, self.options.memory_budget * MIB - self._pictures.held - sequences - self._remembered)

    def _propose(self, chosen: Sequence[int] | None) -> Iterator[Work]:
        frames = len(self._seen)
        if not frames:
            return
        keys = choose_key_frames(frames, self.rules.key_frames) if chosen is None else chosen
        kept = None
        if self._digest is not None:
            kept = KeptWork(Path(self.options.work_folder), self._digest.hexdigest()[:32])
        done, total, self.reused = 0, frames * len(keys), 0
        for number, key in enumerate(keys, start=1):
            what = f"key frame {number} of {len(keys)}"
            found = None if kept is None else kept.load(key)
            self.reused += found is not None
            if found is None:
                masks = found_in(self.network, self.maps_of(key), self.options)
                builder = SequenceBuilder(self.network, key, len(masks))
                for frame, parts in self._followed(key, masks):
                    builder.add(frame, self.maps_of(frame), parts)
                    done += 1
                    yield Work(done, total, what, self.reused * frames)
                found = builder.sequences()
                if kept is not None:
                    kept.save(key, found)
            self.sequences += found
            if done < number * frames:
                done = number * frames
                yield Work(done, total, what, self.reused * frames)

    def _followed(self, key: int, masks: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Every frame of the video with what is seen of a key frame's objects; none where there are none."""
        if len(masks):
            frames, limit = len(self._seen), self.options.memory_limit
            every = self.rules.memory_every(self.options, frames)
            maps = self.maps_of(key)
            self._remembered = remembered_bytes(self.network, maps, len(masks), key, frames, every, limit)
            if self._features is not None:
                self._features.resize(self._room())
            yield from followed(self.network, self.maps_of, masks, key, frames, every, limit)

    def _result(self, number: int, seen: _Seen, tracks: list[Given]) -> FrameResult:
        taken: NDArray[np.bool_] = np.zeros(self._size, np.bool_)
        made: dict[int, RunLength] = {}  # of sequences that are given under several labels
        objects = []
        for track_id, track in enumerate(tracks, start=1):
            mask = track.sequence.masks.get(number)
            if mask is None:
                continue
            found = made.get(id(track.sequence))
            if found is None:
                large = in_frame(mask, self.rules.size, self._size)
                if not self.rules.overlapping:
                    large = large & ~taken
                    taken |= large
                found = encode(large)
                if self.rules.overlapping:
                    made[id(track.sequence)] = found
            if found.area:
                objects.append(ObjectMask(track_id, found, track.score, self.names[track.label]))
        return FrameResult(seen.index, seen.timestamp, self._size, tuple(objects), seen.name)

    def _let_go(self) -> None:
        self._pictures.close()
        if self._features is not None:
            self._features.close()
        self._latest = None
