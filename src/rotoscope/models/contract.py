"""What every system offers the rest of the house, so that nothing outside it needs a special case."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rotoscope.errors import OptionError
from rotoscope.figures import Figure
from rotoscope.models.published import KeyTable
from rotoscope.types import Declaration, Frame, Prompt, Session, Task, VideoInfo

Options = TypeVar("Options")


@dataclass(frozen=True)
class PublishedNetwork:
    """How to read the authors' files of one network.

    Attributes:
        network: our name of the network.
        table: their keys to ours.
        constants: pattern of our keys that a file may lack; see `load_published`.
    """

    network: str
    table: KeyTable
    constants: str = ""


@dataclass(frozen=True)
class Subject(Generic[Options]):
    """What an analysis looks at: a network at work on one video.

    Attributes:
        network: prepared for inference, on `device`.
        options: the system's inference options.
        device: where the network is.
        info: of the video.
        frames: reads the video from its start; may be called again.
        prompts: for systems that follow given objects.
        truth: frame index to (H, W) map of object ids, 0 background, of the frame's size; {} where none was given.
    """

    network: nn.Module
    options: Options
    device: torch.device
    info: VideoInfo
    frames: Callable[[], Iterator[Frame]]
    prompts: Sequence[Prompt] = ()
    truth: Mapping[int, NDArray[np.integer]] = field(default_factory=dict)


@dataclass(frozen=True)
class Findings:
    """What an analysis found.

    Attributes:
        numbers: what JSON can hold: mappings, lists, numbers, words.
        figures: a file's stem to what is drawn there.
    """

    numbers: Mapping[str, Any]
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class NoOptions:
    """Of an analysis that has none."""


@dataclass(frozen=True)
class Analysis:
    """Something to look at in a system at work, such as a figure of its paper; `rotoscope look` runs it.

    Attributes:
        title: one line.
        run: looks at one video, with options of the class `options`.
        options: a frozen dataclass; every field has a default; `--set name=value` fills it.
        needs_truth: it compares with true masks.
        plotted: some of its figures are bars or curves.
        joined: the findings on several videos as one; None where they stay apart.
    """

    title: str
    run: Callable[[Subject[Any], Any], Findings]
    options: type[Any] = NoOptions
    needs_truth: bool = False
    plotted: bool = False
    joined: Callable[[Sequence[Findings]], Findings] | None = None


@dataclass(frozen=True)
class System(Generic[Options]):
    """One published system.

    Attributes:
        name: as users write it.
        title: one line.
        paper: where it was published.
        task: what it does.
        networks: our names to builders; weights are random until loaded.
        options: the frozen dataclass of inference options; every field has a default.
        declare: what the system says of itself under given options.
        session: opens one video.
        identify: which network an authors' state dict belongs to; None when it is not this system's.
        tidy: makes an authors' state dict flat and free of second copies.
        published: how to read the authors' file of a network; legacy names are known too.
        encoder_weights: from a classifier file's arrays, a network with that encoder, and the weights under the names
            of its encoder; None when the file is something else.
        analyses: what can be looked at, by the name that users give.
        categories: names that a network under some options gives objects, in the order of their numbers from 1; None
            where the system names nothing.
        published_options: options that the authors' results were made with where they are not the defaults, by network;
            cards of converted files carry them.
    """

    name: str
    title: str
    paper: str
    task: Task
    networks: Mapping[str, Callable[[], nn.Module]]
    options: type[Options]
    declare: Callable[[Options], Declaration]
    session: Callable[[nn.Module, VideoInfo, Options, torch.device], Session]
    identify: Callable[[Mapping[str, Tensor]], str | None]
    tidy: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    published: Callable[[str], PublishedNetwork]
    encoder_weights: Callable[[Mapping[str, Any]], tuple[str, dict[str, Tensor]] | None] | None = None
    analyses: Mapping[str, Analysis] = field(default_factory=dict)
    categories: Callable[[nn.Module, Options], tuple[str, ...]] | None = None
    published_options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def build(self, network: str) -> nn.Module:
        """Build a network with random weights.

        Raises:
            OptionError: the system has none of that name.
        """
        if network not in self.networks:
            raise OptionError(f"{self.name} has no network {network!r}; it has {', '.join(self.networks)}")
        return self.networks[network]()


@dataclass(frozen=True)
class StepResult:
    """What one batch gave.

    Attributes:
        loss: scalar with gradient, the mean over the batch.
        score: scalar without gradient, the system's own measure of how good the batch was, 0 to 1.
    """

    loss: Tensor
    score: Tensor


@dataclass(frozen=True)
class Trainable(Generic[Options]):
    """How a system is trained.

    Attributes:
        options: the frozen dataclass of its training options, such as the loss; every field has a default.
        begin: makes a network ready: what is to have no gradient.
        mode: puts it in train mode, but for what stays in eval mode; called before every step.
        step: a batch of clips through the network, compared with its labels. The network may be wrapped for several
            processes; the batch is a `data.clips.ClipBatch`; the type is that of autocast, None for float32.
        at: the options as they are at a step, counted from 0, where some change while training.
    """

    options: type[Options]
    begin: Callable[[nn.Module, Options], None]
    mode: Callable[[nn.Module, Options], None]
    step: Callable[[nn.Module, Any, Options, torch.dtype | None], StepResult]
    at: Callable[[Options, int], Options] = lambda options, step: options
