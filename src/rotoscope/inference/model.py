"""A system with its weights, ready to use: the object that `rotoscope.load` gives."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from rotoscope.errors import OptionError
from rotoscope.files import refuse_frames
from rotoscope.inference.both_ways import answered_both_ways
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.pipeline import Prompts, Report, answered, reported
from rotoscope.inference.segmentation import Segmentation
from rotoscope.inference.sinks import Sink, SoftSink, WriteBehind
from rotoscope.models.contract import System
from rotoscope.types import Declaration, Frame, FrameResult, Prompt, Session, VideoInfo
from rotoscope.video import Video, open_video

if TYPE_CHECKING:
    from rotoscope.video.opening import Source


class Model:
    """A loaded system.

    Attributes:
        card: what its weights say of themselves.
        system: the published system.
        network: prepared for inference, on `device`.
        options: the system's inference options, a frozen dataclass.
        device: where it runs.
        dtype: torch.float32 or torch.bfloat16.
    """

    def __init__(
        self,
        card: Card,
        system: System[Any],
        network: nn.Module,
        options: Any,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.card = card
        self.system = system
        self.network = network
        self.options = options
        self.device = device
        self.dtype = dtype

    @property
    def name(self) -> str:
        """Of the model."""
        return self.card.name

    @property
    def declaration(self) -> Declaration:
        """What the system says of itself: task, look-ahead, prompts, memory."""
        return self.system.declare(self.options)

    @property
    def categories(self) -> dict[str, int]:
        """Name to number, from 1, of the categories that it tells apart; {} where it names none."""
        if self.system.categories is None:
            return {}
        names = self.system.categories(self.network, self.options)
        return {name: number for number, name in enumerate(names, start=1)}

    def with_options(self, **changes: Any) -> Model:
        """The same model with other inference options; the network is shared.

        Raises:
            OptionError: the system has no such option, or the value is out of range.
        """
        known = [field.name for field in fields(self.options)]
        for name in changes:
            if name not in known:
                raise OptionError(f"{self.system.name} has no option {name!r}; its options are {', '.join(known)}")
        options = replace(self.options, **changes)
        return Model(self.card, self.system, self.network, options, self.device, self.dtype)

    def session(self, info: VideoInfo, prompts: Sequence[Prompt] = ()) -> Session:
        """Open a video to go through frame by frame, in bounded memory.

        Args:
            info: name and size of the frames to come.
            prompts: objects on frame 0 and later; more can be given with any `step`.

        Raises:
            OptionError: prompts for a system that takes none.
        """
        self._check(prompts)
        session = self.system.session(self.network, info, self.options, self.device)
        return _WithPrompts(session, prompts) if prompts else session

    def stream(
        self,
        source: Source,
        prompts: Sequence[Prompt] = (),
        progress: Report | None = None,
        both_ways: bool = False,
    ) -> Generator[tuple[Frame, FrameResult]]:
        """Segment a video and give every frame with its result, in order, as they become final.

        Args:
            source: see `rotoscope.open_video`.
            prompts: for systems that follow given objects.
            progress: called after every frame.
            both_ways: follow the objects backwards from the first prompt too.

        Raises:
            VideoError: the source cannot be read or has no frame.
            OptionError: prompts for a system that takes none, or none for one that needs them.
        """
        self._check(prompts)
        if not prompts and self.system.task == "propagate":
            raise OptionError(f"{self.system.name} follows objects that it is shown; give the masks of some on a frame")
        with open_video(source) as video:
            if both_ways:
                pairs = answered_both_ways(lambda: self.session(video.info), video, self.declaration, prompts)
                yield from reported(pairs, video.info.frame_count, progress, prepared=True)
                return
            with self.session(video.info) as session:
                pairs = answered(session, video, self.declaration, prompts, progress)
                prepared = self.declaration.look_ahead is None
                yield from reported(pairs, video.info.frame_count, progress, prepared)

    def segment(
        self,
        source: Source,
        prompts: Sequence[Prompt] = (),
        *,
        progress: Report | None = None,
        sinks: Sequence[Sink] = (),
        soft_folder: str | Path | None = None,
        both_ways: bool = False,
        **options: Any,
    ) -> Segmentation:
        """Segment a video.

        Args:
            source: a video file, a folder of pictures, a list of (H, W, 3) uint8 RGB arrays, an open video.
            prompts: for systems that follow given objects.
            progress: called after every frame with a `Progress`.
            sinks: also write as the results come; see `rotoscope.inference.sinks`.
            soft_folder: stream 8-bit foreground maps there, one PNG a frame.
            both_ways: follow the objects backwards from the first prompt too.
            options: changes to the model's options, for example `overlap=7` or `size="360"`.

        Returns:
            Tracks with run-length masks, labels and scores.

        Raises:
            VideoError: the source cannot be read or has no frame.
            OptionError: an option is unknown or out of range.
            OutputError: a sink cannot write.
        """
        changes = options if soft_folder is None else {**options, "soft": True}
        model = self.with_options(**changes) if changes else self
        outputs = [*sinks, *([SoftSink(Path(soft_folder))] if soft_folder is not None else [])]
        with open_video(source) as video, closing(model.stream(video, prompts, progress, both_ways)) as pairs:
            if soft_folder is not None:
                refuse_frames(Path(soft_folder), video.source)
            results = written(pairs, outputs)
            return Segmentation.collect(_true_info(video), results, video.source, model.categories)

    def _check(self, prompts: Sequence[Prompt]) -> None:
        if prompts and self.declaration.prompts == "none":
            raise OptionError(f"{self.system.name} finds objects by itself and takes no prompts; leave them out")


def _true_info(video: Video) -> VideoInfo:
    return replace(video.info, frame_count=None)


def written(pairs: Iterator[tuple[Frame, FrameResult]], sinks: Sequence[Sink]) -> Generator[FrameResult]:
    """The results, each handed to the sinks with its frame; the sinks work in a thread beside."""
    if not sinks:
        yield from (result for _, result in pairs)
        return
    with WriteBehind(sinks) as behind:
        for frame, result in pairs:
            behind.write(frame, result)
            yield result


class _WithPrompts:
    """A session that hands prompts given beforehand over with their frames."""

    def __init__(self, session: Session, prompts: Sequence[Prompt]) -> None:
        self._session = session
        self._prompts = Prompts(prompts)

    def step(self, frame: Frame, prompt: Prompt | None = None) -> Sequence[FrameResult]:
        return self._session.step(frame, self._prompts.take(frame.index, prompt))

    def finish(self) -> Sequence[FrameResult]:
        return self._session.finish()

    def __enter__(self) -> _WithPrompts:
        self._session.__enter__()
        return self

    def __exit__(self, *failure: Any) -> None:
        self._session.__exit__(*failure)
