"""Layers that stand for a 3D convolution and move its kernel points: DCN v1 and v2 in 3D, and D2Conv3D.

Paper: Schmidt, Athar, Mahadevan, Leibe, "D2Conv3D: Dynamic Dilated Convolutions for Object Segmentation in Videos"
(WACV 2022), section 3. A small convolution looks at the input and says, for every output place, either how far each
kernel point moves (DCN) or how much the whole kernel is stretched along time, rows and columns (D2Conv3D), and in the
second versions how much each kernel point counts.

Intended differences to the authors' code: the small convolution is not run again in backward (it keeps nothing but its
input anyway); offsets are formed in float32 at least; a kernel of even size is refused where sizes are predicted, since
its grid is not the convolution's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.ops.conv_geometry import Triple
from rotoscope.ops.deform_conv3d import deform_conv3d

Axes = Literal["", "x", "xy", "xxz", "xyz"]
SizeActivation = Literal["elu", "relu", "relu_plus_one", "linear"]
ModulationActivation = Literal["sigmoid", "relu", "tanh", "linear"]
SIZES = {"x": 1, "xy": 2, "xxz": 2, "xyz": 3}  # channels that say how far the kernel is stretched


@dataclass(frozen=True)
class Version:
    """What a layer predicts.

    Attributes:
        axes: which sizes; "" for free offsets.
        modulated: whether each kernel point has a factor.
        still: axes (0 time, 1 rows, 2 columns) along which free offsets are set to 0.
    """

    axes: Axes = ""
    modulated: bool = False
    still: tuple[int, ...] = ()


def _versions() -> Iterator[tuple[str, Version]]:
    axes: tuple[tuple[str, Axes], ...] = (("", "x"), ("Size", "x"), ("XY", "xy"), ("XXZ", "xxz"), ("XYZ", "xyz"))
    for number, modulated in (("v1", False), ("v2", True)):
        yield f"DCN{number}", Version(modulated=modulated)
        yield f"SpatialDCN{number}", Version(modulated=modulated, still=(0,))
        yield f"TemporalDCN{number}", Version(modulated=modulated, still=(1, 2))
        for name, kind in axes:
            yield f"{name}ConditionedDCN{number}", Version(kind, modulated)


VERSIONS = dict(_versions())
D2CONV3D = "XYZConditionedDCNv2"


def offsets_of_sizes(sizes: Tensor, axes: Axes, kernel: Triple, dilation: Triple) -> Tensor:
    """How far each kernel point moves when the kernel is stretched about its centre: 0 everywhere at size 1.

    Args:
        sizes: (N, S, D, H, W); "x": rows and columns alike; "xy": rows, columns; "xxz": time, then rows and columns;
            "xyz": time, rows, columns.
        axes: which of these.
        kernel: (time, rows, columns), odd.
        dilation: of the convolution.

    Returns:
        (N, 3 K, D, H, W), in the order of `deform_conv3d`.
    """
    batch, _, *places = sizes.shape
    ends = [d * (k // 2) for d, k in zip(dilation, kernel, strict=True)]
    lines = [
        torch.linspace(-end, end, k, dtype=sizes.dtype, device=sizes.device) if k > 1 else sizes.new_zeros(1)
        for end, k in zip(ends, kernel, strict=True)
    ]
    base = torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).view(-1, 3)  # (K, 3)
    moves = base[:, :, None, None, None] * (_three(sizes, axes) - 1)[:, None]  # (N, K, 3, D, H, W)
    return moves.reshape(batch, -1, *places)


def _three(sizes: Tensor, axes: Axes) -> Tensor:
    """(N, S, D, H, W) -> (N, 3, D, H, W): time, rows, columns."""
    if axes not in SIZES or sizes.shape[1] != SIZES[axes]:
        raise ValueError(f"found {sizes.shape[1]} size channels for {axes!r}; expected one of {SIZES}")
    if axes == "xyz":
        return sizes
    if axes == "xxz":
        return sizes[:, [0, 1, 1]]
    spatial = sizes.expand(-1, 2, -1, -1, -1) if axes == "x" else sizes
    return torch.cat([torch.ones_like(sizes[:, :1]), spatial], dim=1)


def stretched(raw: Tensor, activation: SizeActivation) -> Tensor:
    """Raw prediction -> size, element by element; 1 at 0, but 0 for "linear" and 1.001 for "relu_plus_one"."""
    if activation == "elu":
        return functional.elu(raw) + 1
    if activation == "relu":
        return functional.relu(raw + 1)
    if activation == "relu_plus_one":
        return functional.relu(raw + 0.001) + 1
    if activation == "linear":
        return raw
    raise ValueError(f"size activation {activation!r} is not known; choose elu, relu, relu_plus_one or linear")


def modulated(raw: Tensor, activation: ModulationActivation) -> Tensor:
    """Raw prediction -> the factor of a kernel point, element by element."""
    if activation == "sigmoid":
        return raw.sigmoid()
    if activation == "relu":
        return functional.relu(raw)
    if activation == "tanh":
        return raw.tanh()
    if activation == "linear":
        return raw
    raise ValueError(f"modulation {activation!r} is not known; choose sigmoid, relu, tanh or linear")


@dataclass(frozen=True)
class Deformation:
    """How convolutions are replaced.

    Attributes:
        version: a name in `VERSIONS`; "XYZConditionedDCNv2" is D2Conv3D.
        size_activation: see `stretched`.
        modulation: see `modulated`.
        offset_groups: parts of the channels that move apart, for free offsets only.
        norm: what the small convolution's input goes through first: "none", "GroupNorm" or "BatchNorm".
        norm_groups: of a group norm.
        random_modulation: start the modulation from random weights, not from zeros.
    """

    version: str = D2CONV3D
    size_activation: SizeActivation = "elu"
    modulation: ModulationActivation = "sigmoid"
    offset_groups: int = 1
    norm: Literal["none", "GroupNorm", "BatchNorm"] = "none"
    norm_groups: int = 1
    random_modulation: bool = False

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            raise ValueError(f"version {self.version!r} is not known; choose one of {', '.join(VERSIONS)}")
        if VERSIONS[self.version].axes and self.offset_groups != 1:
            raise ValueError(f"{self.version} stretches all channels alike; found {self.offset_groups} offset groups")
        if self.norm not in ("none", "GroupNorm", "BatchNorm"):
            raise ValueError(f"norm {self.norm!r} is not known; choose none, GroupNorm or BatchNorm")
        stretched(torch.zeros(()), self.size_activation)
        modulated(torch.zeros(()), self.modulation)


class DeformableConv3d(nn.Module):
    """A 3D convolution whose kernel points a second one moves; at first they lie where they always did.

    Args:
        host: the convolution that is replaced; its parameters are used, not copied.
        deformation: what is predicted and how.
    """

    def __init__(self, host: nn.Conv3d, deformation: Deformation | None = None) -> None:
        super().__init__()
        self.deformation = chosen = deformation or Deformation()
        self.version = VERSIONS[chosen.version]
        points = host.weight[0, 0].numel()
        if self.version.axes and any(k % 2 == 0 for k in host.kernel_size):
            raise ValueError(f"{chosen.version} needs odd kernels, found {host.kernel_size}")
        if isinstance(host.padding, str) or host.padding_mode != "zeros":
            raise ValueError(f"found padding {host.padding!r} ({host.padding_mode}); expected numbers and zeros")
        self.moves = SIZES[self.version.axes] if self.version.axes else 3 * chosen.offset_groups * points
        factors = chosen.offset_groups * points if self.version.modulated else 0
        self.norm = _norm(chosen, host.in_channels)
        self.deform_params = nn.Conv3d(
            host.in_channels,
            self.moves + factors,
            cast(Triple, host.kernel_size),
            cast(Triple, host.stride),
            cast(Triple, host.padding),
            cast(Triple, host.dilation),
            bias=host.bias is not None,
            device=host.weight.device,
            dtype=host.weight.dtype,
        )
        start = self.moves if chosen.random_modulation else self.moves + factors
        with torch.no_grad():
            for parameter in self.deform_params.parameters():
                parameter[:start] = 0
        self.deform_conv = host  # holds the weights; never called

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, D, H, W) -> (N, O, D', H', W')."""
        offset, factors = self.sampling(x)
        conv = self.deform_conv
        return deform_conv3d(
            x,
            offset,
            conv.weight,
            conv.bias,
            factors,
            stride=conv.stride,
            padding=cast(Triple, conv.padding),
            dilation=conv.dilation,
            groups=conv.groups,
            offset_groups=self.deformation.offset_groups,
        )

    def sampling(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """Where the kernel points go and how much they count: (N, C, D, H, W) -> offsets, modulation or None.

        Returns:
            (N, 3 G K, D', H', W'), (N, G K, D', H', W'), float32 at least.
        """
        raw = self._predicted(x)
        factors = modulated(raw[:, self.moves :], self.deformation.modulation) if self.version.modulated else None
        return self._offsets(raw[:, : self.moves]), factors

    def sizes(self, x: Tensor) -> Tensor:
        """How far the kernel is stretched along time, rows, columns: (N, C, D, H, W) -> (N, 3, D', H', W').

        The result is float32 at least.

        Raises:
            ValueError: the version predicts free offsets.
        """
        if not self.version.axes:
            raise ValueError(f"{self.deformation.version} predicts no sizes")
        raw = self._predicted(x)
        return _three(stretched(raw[:, : self.moves], self.deformation.size_activation), self.version.axes)

    def _predicted(self, x: Tensor) -> Tensor:
        """What the small convolution says, float32 at least: (N, C, D, H, W) -> (N, moves + factors, D', H', W')."""
        raw: Tensor = self.deform_params(x if self.norm is None else self.norm(x))
        return raw if raw.dtype == torch.float64 else raw.float()

    def _offsets(self, raw: Tensor) -> Tensor:
        conv = self.deform_conv
        if self.version.axes:
            kernel, dilation = cast(Triple, conv.kernel_size), cast(Triple, conv.dilation)
            return offsets_of_sizes(
                stretched(raw, self.deformation.size_activation), self.version.axes, kernel, dilation
            )
        if self.version.still:
            free = raw.new_tensor([0.0 if axis in self.version.still else 1.0 for axis in range(3)])
            raw = torch.where(free.repeat(self.moves // 3).bool()[:, None, None, None], raw, 0)
        return raw

    @classmethod
    def replace_in(
        cls,
        parent: nn.Module,
        names: Iterable[str],
        deformation: Deformation | None = None,
        points: bool = False,
    ) -> int:
        """Replace every convolution below the named children, in place; what is replaced already stays.

        Args:
            parent: the module that has them, for example a decoder.
            names: dotted names below `parent`; each a convolution or a module that holds some.
            deformation: what is predicted and how.
            points: 1x1x1 convolutions too.

        Returns:
            How many were replaced.
        """
        count = 0
        for name in names:
            child = parent.get_submodule(name)
            done = {id(part) for layer in parent.modules() if isinstance(layer, cls) for part in layer.modules()}
            paths = [
                name if not path else f"{name}.{path}"
                for path, part in child.named_modules()
                if _wanted(part, points) and id(part) not in done
            ]
            for path in paths:
                host = cast(nn.Conv3d, parent.get_submodule(path))
                holder, _, leaf = path.rpartition(".")
                setattr(parent.get_submodule(holder), leaf, cls(host, deformation))
                count += 1
        return count


def _wanted(module: nn.Module, points: bool) -> bool:
    return isinstance(module, nn.Conv3d) and (points or max(module.kernel_size) > 1)


def _norm(deformation: Deformation, channels: int) -> nn.Module | None:
    if deformation.norm == "GroupNorm":
        return nn.GroupNorm(deformation.norm_groups, channels)
    return nn.BatchNorm3d(channels) if deformation.norm == "BatchNorm" else None
