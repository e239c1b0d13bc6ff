"""What an embedding is made of: learnt dimensions, free dimensions, and the place in the clip added to some of them.

Paper: Athar et al., STEm-Seg (ECCV 2020), section 3.3, whose name for this is the mixing function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from rotoscope.bounds import told
from rotoscope.errors import OptionError
from rotoscope.models.option_checks import is_positive

FREE_DIM_STDS = (0.3,)  # standard deviation of every free dimension in the published networks


@dataclass(frozen=True)
class Mode:
    """One mixing function.

    Attributes:
        axes: for each dimension the coordinate that is added, "t", "y" or "x", "" for none.
        free: how many of the last dimensions have no learnt bandwidth.
    """

    axes: tuple[str, ...]
    free: int

    @property
    def dimensions(self) -> int:
        """E."""
        return len(self.axes)

    @property
    def learnt(self) -> int:
        """Dimensions with a learnt bandwidth, E - F."""
        return self.dimensions - self.free


MODES: Mapping[str, Mode] = MappingProxyType(
    {
        "ff": Mode(("", ""), 0),  # both bandwidths are learnt, whatever the name says
        "xy": Mode(("y", "x"), 0),
        "xyt": Mode(("t", "y", "x"), 0),
        "xyf": Mode(("y", "x", ""), 1),
        "xyff": Mode(("y", "x", "", ""), 2),
        "xytf": Mode(("t", "y", "x", ""), 1),
        "xytff": Mode(("t", "y", "x", "", ""), 2),
        "xyfff": Mode(("y", "x", "", "", ""), 3),
    }
)


def mode_of(name: str) -> Mode:
    """The mixing function of a name.

    Raises:
        OptionError: there is none.
    """
    if name not in MODES:
        raise OptionError(f"embedding mode {name!r} is not known; choose one of {', '.join(MODES)}")
    return MODES[name]


def checked_stds(stds: object) -> tuple[float, ...]:
    """Standard deviations of free dimensions as an option gives them.

    Raises:
        OptionError: no list of numbers above 0.
    """
    if not isinstance(stds, list | tuple) or not stds or not all(is_positive(std) for std in stds):
        raise OptionError(
            f"free_dim_stds {told(stds)}: expected a list of numbers above 0, one for all or one for each"
        )
    return tuple(stds)


def free_bandwidths(stds: Sequence[float], free: int) -> Tensor:
    """Inverse variances of the free dimensions.

    Args:
        stds: standard deviations, one for all of them or one for each.
        free: F, how many there are.

    Returns:
        (F,) float32.

    Raises:
        OptionError: another number of them.
    """
    if len(stds) not in (1, free):
        raise OptionError(
            f"free_dim_stds has {len(stds)} values, the network {free} free dimension{'' if free == 1 else 's'}; "
            "give one value for all or one for each"
        )
    return torch.tensor([1 / std**2 for std in stds]).expand(free)


def coordinates(mode: Mode, size: tuple[int, int, int], like: Tensor) -> Tensor:
    """The place of every pixel, for the dimensions of a mode.

    The shorter side of the map goes from -1 to 1, the longer further, as far as the aspect ratio says; time goes from
    -1 to 1 whatever its length.

    Args:
        mode: which coordinates.
        size: (T, h, w) of the map, padding included.
        like: whose type and device the result has.

    Returns:
        (E, T, h, w).
    """
    length, height, width = size
    ends = {"t": 1.0, "y": max(1.0, height / width), "x": max(1.0, width / height)}
    counts = {"t": length, "y": height, "x": width}
    shapes = {"t": (-1, 1, 1), "y": (1, -1, 1), "x": (1, 1, -1)}
    planes = []
    for axis in mode.axes:
        if not axis:
            planes.append(torch.zeros(size, device=like.device))
            continue
        line = torch.linspace(-ends[axis], ends[axis], counts[axis], device=like.device)
        planes.append(line.view(shapes[axis]).expand(size))
    return torch.stack(planes).to(like.dtype)
