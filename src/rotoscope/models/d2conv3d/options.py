"""How D2Conv3D is run on a video; frozen, from defaults, a weights file's card, the command line."""

from __future__ import annotations

from dataclasses import dataclass

from rotoscope.errors import OptionError
from rotoscope.models.clip_options import ClipOptions
from rotoscope.models.option_checks import check_kinds


@dataclass(frozen=True)
class GapOptions(ClipOptions):
    """Inference options; the defaults are those of the authors' scripts.

    Attributes:
        size: as in `ClipOptions`; frames keep their size here.
        gap: frames from one clip's start to the next, the authors' word for clip - overlap, at most the clip's length;
            5 is their default, 1 their dense setting. None goes by `overlap`.
    """

    size: str = "unchanged"
    gap: int | None = None

    def __post_init__(self) -> None:
        check_kinds(self)
        if self.gap is not None and self.gap < 1:
            raise OptionError(f"gap {self.gap}: expected 1 or more frames between the starts of clips")
        super().__post_init__()

    @property
    def shared(self) -> int:
        """The overlap that is used."""
        return super().shared if self.gap is None else self.clip - min(self.clip, self.gap)
