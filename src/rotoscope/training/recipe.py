"""What a training is made of: frozen dataclasses, filled from a TOML recipe and from `--set`.

The classes say what every table may hold; the defaults are those of a plain run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rotoscope.data.stills.scenes import SceneOptions
from rotoscope.data.stills.warps import WarpOptions
from rotoscope.errors import OptionError
from rotoscope.training.recipe_bounds import check_numbers


@dataclass(frozen=True)
class VideoSet:
    """Annotated sequences on disk.

    Attributes:
        kind: layout.
        path: folder, below the recipe's `root`.
        split: which list, where the layout has lists.
        year: of DAVIS.
        annotations: folder of DAVIS's masks.
        sequences: only these.
        leave_out: not these.
        frames: annotated frames that the published set has, told by a dry run where the set is not at hand.
        classes: which categories are kept, as what; see `data.categories.class_map`. All as they are without it.
        void_background: pixels of no object do not count; for sets whose annotation leaves objects out.
    """

    kind: Literal["davis", "youtube-vos", "youtube-vis", "ovis", "kitti-mots", "fbms", "visal", "folder"]
    path: str
    split: str = "train"
    year: int = 2016
    annotations: Literal["Annotations", "Annotations_unsupervised"] = "Annotations"
    sequences: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    frames: int = 0
    classes: str = ""
    void_background: bool = False


@dataclass(frozen=True)
class PictureSet:
    """Pictures with masks on disk.

    Attributes:
        kind: "coco": a file of instances; "pictures": a folder, see `data.folder`; "maps": a folder of a teacher's
            maps, see `data.teacher_maps`.
        path: the file or folder, below the recipe's `root`.
        images: folder of the pictures of a COCO file, found beside it when empty; of maps.
        split: keep the pictures that say they belong to this split.
        count: pictures that the published set has, told by a dry run where the set is not at hand.
        classes: which categories of a COCO file are kept, as what; see `data.categories.class_map`.
        least_side: objects of a COCO file whose box is less wide or high are left out.
        category: of all objects of a folder; 0 where it is not known.
        hold_out: every picture of a folder whose place in the order of names this divides is left out, to measure on;
            0: none is.
        least_sure: maps that are less sure are left out.
    """

    kind: Literal["coco", "pictures", "maps"]
    path: str
    images: str = ""
    split: str = ""
    count: int = 0
    classes: str = ""
    least_side: float = 30.0
    category: int = 0
    hold_out: int = 0
    least_sure: float = 0.7


@dataclass(frozen=True)
class TurnRecipe:
    """How VISOLO cuts the frames of a clip, each by itself; see `data.rotated.RotatedCrop`.

    Attributes:
        short_edges, longest, flip, flip_each, degrees: see there.
    """

    short_edges: tuple[int, ...] = (360, 480)
    longest: int = 1333
    flip: float = 0.5
    flip_each: bool = False
    degrees: float = 15.0


@dataclass(frozen=True)
class VideoData:
    """Clips of annotated videos.

    Attributes:
        kind: tells this table from the others.
        sets: where the sequences are.
        weight: how often it is drawn from, against the other tables.
        spans: how far a clip may reach, in annotated frames; one is drawn for each clip.
        growing: share of the training in which the spans come in one by one, in the order of the list; 0: all from the
            start.
        rule: "released", "paper", "spaced", "drawn" or "around"; see `data.clips`. "paired": two frames, see
            `data.pairs`.
        even: every sequence counts alike, however long it is.
        duplicate: clips of one object get a copy of it as a second, as STEm-Seg trains.
        crop: "window": a window anywhere, see the next; "whole": frames as they are, brought to the clip's size;
            "released": the published code's crop around the object; "rotated": VISOLO's, see `turn`;
            "scaled": DMN-AOA's, one scale and one window for all frames, see `data.scaled_crop`;
            "fitted": Propose-Reduce's, whole frames with their objects, see `data.fitted`.
        zoom, stretch, flip, reverse, tone: see `data.clips.Augmentation`; for "window", flip and reverse for "scaled"
            and "fitted".
        changes: chance of each of four changes of every frame by itself, see `data.frame_changes`; for "window" only.
        repair: mend the published crop's slip; for "released" only.
        turn: for "rotated" only.
        factors, short_side: see `data.scaled_crop.ScaledCrop`; for "scaled" only.
        proposals: folder of proposals by sequence name, below the recipe's `root`, as `rotoscope propose` writes them;
            for "scaled" only. "": none.
    """

    kind: Literal["videos"]
    sets: tuple[VideoSet, ...]
    weight: float = 1.0
    spans: tuple[int, ...] = (12,)
    growing: float = 0.0
    rule: Literal["released", "paper", "spaced", "drawn", "around", "paired"] = "released"
    even: bool = False
    duplicate: bool = False
    crop: Literal["window", "whole", "released", "rotated", "scaled", "fitted"] = "window"
    zoom: tuple[float, float] = (0.8, 1.4)
    stretch: float = 0.1
    flip: float = 0.5
    reverse: float = 0.5
    tone: float = 0.15
    changes: float = 0.0
    repair: bool = False
    turn: TurnRecipe = field(default_factory=TurnRecipe)
    factors: tuple[float, float] = (1.0, 1.5)
    short_side: int = 480
    proposals: str = ""


@dataclass(frozen=True)
class StillData:
    """Clips made from pictures; see `data.stills`.

    Attributes:
        kind: tells this table from the others.
        pictures: moved as a whole.
        weight: how often it is drawn from, against the other tables.
        engine: "scenes": ours; "released": the published 3DC-Seg's chain of changes; "warps": STEm-Seg's; "rotated":
            each picture several times, see `turn`; "pasted": pictures that move with their own objects, and `things`
            before them, each of them an instance, see `data.pasted`.
        backgrounds: what compositions stand before; the pictures themselves where there are none.
        things: pictures whose objects are put before them.
        pasted: fewest and most things put before a picture; for "pasted" only.
        moving: sequences whose objects are put before them, and whose frames are backgrounds too.
        scene: chances and reaches; for "scenes" and "pasted" only.
        warps: likewise, for "warps" only.
        turn: for "rotated" only.
    """

    kind: Literal["stills"]
    pictures: tuple[PictureSet, ...]
    weight: float = 1.0
    engine: Literal["scenes", "released", "warps", "rotated", "pasted"] = "scenes"
    backgrounds: tuple[PictureSet, ...] = ()
    things: tuple[PictureSet, ...] = ()
    pasted: tuple[int, int] = (0, 4)
    moving: tuple[VideoSet, ...] = ()
    scene: SceneOptions = field(default_factory=SceneOptions)
    warps: WarpOptions = field(default_factory=WarpOptions)
    turn: TurnRecipe = field(default_factory=TurnRecipe)


@dataclass(frozen=True)
class RenderedData:
    """Clips that the package draws itself: for tests and stand-ins.

    Attributes:
        kind: tells this table from the others.
        clips: how many different ones.
        weight: how often it is drawn from, against the other tables.
        seed: of the first clip.
    """

    kind: Literal["rendered"]
    clips: int = 4
    weight: float = 1.0
    seed: int = 0


Data = VideoData | StillData | RenderedData


@dataclass(frozen=True)
class ClipShape:
    """Of every training clip.

    Attributes:
        length: frames, T_c.
        size: (height, width) in pixels.
    """

    length: int = 8
    size: tuple[int, int] = (480, 854)


@dataclass(frozen=True)
class OptimiserRecipe:
    """How gradients become steps.

    Attributes:
        kind: the rule; betas are torch's defaults.
        rate: peak learning rate.
        rates: other peak rates, by how a parameter's name begins ("encoder", "encoder.blocks.*.depthwise"); the longest
            fitting one counts.
        weight_decay: of the rule.
        momentum: of sgd.
        nesterov: whether sgd looks ahead along its momentum.
        clip_norm: longest gradient; 0 leaves gradients as they are.
    """

    kind: Literal["adam", "adamw", "sgd"] = "adam"
    rate: float = 5e-5
    rates: Mapping[str, float] = field(default_factory=dict)
    weight_decay: float = 0.0
    momentum: float = 0.9
    nesterov: bool = False
    clip_norm: float = 0.0


@dataclass(frozen=True)
class ScheduleRecipe:
    """How the learning rate changes, as a factor of its peak.

    Attributes:
        kind: "constant"; "steps": times `factor` from each epoch of `drops` and each step of `drop_steps` on;
            "exponential": times `factor` after every epoch; "decay": times `factor` over every `per` steps, a little
            at each from step `begin` on; "cosine": to `floor` at the last step; "polynomial": (1 - done) ** `power`.
        warm_up: steps of linear rise before all of these.
        drops: epochs, counted from 0, that begin with a lower rate.
        drop_steps: steps, counted from 0, that do.
        factor: see `kind`.
        floor: see `kind`.
        power: see `kind`.
        begin: see `kind`.
        per: see `kind`.
    """

    kind: Literal["constant", "steps", "exponential", "decay", "cosine", "polynomial"] = "constant"
    warm_up: int = 0
    drops: tuple[float, ...] = ()
    drop_steps: tuple[int, ...] = ()
    factor: float = 0.1
    floor: float = 0.01
    power: float = 0.9
    begin: int = 0
    per: int = 10000


@dataclass(frozen=True)
class RunRecipe:
    """How long, how much at once, how often what is told and kept.

    Attributes:
        steps: of the optimiser; or
        epochs: passes over the data.
        batch: clips of a step in each process at once.
        accumulate: such batches whose gradients make one step.
        precision: "bf16" runs the network under autocast, where the device can; weights and the optimiser stay in
            float32.
        average: decay of the weights' moving average, which is validated and kept; 0 keeps the weights themselves.
        mixing: how clips of several sources are mixed, see `data.batches.Mixture`.
        workers: processes that draw clips; 0 draws between steps.
        log_every: steps between lines of the log.
        save_every: steps between checkpoints.
        deterministic: only operators that give the same bits on a GPU again.
    """

    steps: int = 0
    epochs: float = 0.0
    batch: int = 2
    accumulate: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    average: float = 0.0
    mixing: Literal["drawn", "counted"] = "drawn"
    workers: int = 2
    log_every: int = 50
    save_every: int = 500
    deterministic: bool = False


@dataclass(frozen=True)
class ValidationRecipe:
    """Sequences that are segmented and scored while training, to choose the best weights.

    Attributes:
        sets: where they are.
        every: steps between validations; the last step is always validated.
        start_at: first step that may be validated.
        rendered: clips of the package instead of sets.
    """

    sets: tuple[VideoSet, ...] = ()
    every: int = 1000
    start_at: int = 0
    rendered: int = 0


@dataclass(frozen=True)
class CardRecipe:
    """What the weights say of themselves; see `inference.checkpoint.Card`."""

    name: str = ""
    source: str = ""
    licence: str = ""
    bf16: bool = False


@dataclass(frozen=True)
class Recipe:
    """A whole training.

    Attributes:
        system: whose network it is.
        network: which of its networks.
        start: weights to start from; see `training.start`.
        root: folder that the data's paths begin in.
        seed: of everything that is drawn.
        clips: shape of a clip.
        data: where they come from.
        model: the system's own training options, such as its loss.
        optimiser, schedule, run, validation, card: see their classes.
        inference: inference options that belong to the weights.
    """

    system: str
    network: str
    data: tuple[Data, ...]
    start: str = ""
    root: str = "."
    seed: int = 0
    clips: ClipShape = field(default_factory=ClipShape)
    model: Mapping[str, Any] = field(default_factory=dict)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    run: RunRecipe = field(default_factory=RunRecipe)
    validation: ValidationRecipe | None = None
    inference: Mapping[str, Any] = field(default_factory=dict)
    card: CardRecipe = field(default_factory=CardRecipe)

    def __post_init__(self) -> None:
        if not self.data:
            raise OptionError("the recipe names no [[data]]; a training needs some")
        if (self.run.steps > 0) == (self.run.epochs > 0):
            raise OptionError("give either run.steps or run.epochs, above 0")
        check_numbers(self)
        if not any(table.weight for table in self.data):
            raise OptionError("all data has the weight 0; give one table some")
