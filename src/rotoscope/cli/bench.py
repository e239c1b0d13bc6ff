"""`rotoscope bench`: the papers' runtime tables, on one's own machine."""

from __future__ import annotations

from typing import Annotated, Literal

import tyro


def bench(
    *,
    model: Annotated[str, tyro.conf.arg(aliases=["-m"])] = "3dc-seg-mobile",
    size: str = "480x854",
    device: str = "auto",
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    repeat: int = 5,
) -> None:
    """Time a model on this machine, stage by stage: parameters, multiply-adds, seconds a frame, peak memory.

    Args:
        model: A bundled name, a weights file, or SYSTEM/NETWORK (3dc-seg/csn_gc3d) with random weights.
        size: Of the frames, height x width.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32 or bf16.
        repeat: Runs that are timed, after one that is not; the median counts.

    Raises:
        RotoscopeError: an option that cannot be used.
    """
    from rich.console import Console
    from rich.table import Table

    from rotoscope import bounds
    from rotoscope.errors import OptionError
    from rotoscope.inference.bench import measure
    from rotoscope.ops.resize import SizeRule

    frame = SizeRule.parse(size).exact
    if frame is None:
        raise OptionError(f'size {size!r}: give the frames\' height x width, for example "480x854"')
    bounds.whole("repeat", repeat, 1, 10_000)
    found = measure(model, frame, device, precision, repeat)
    table = Table(title=f"{found.name} on {found.device}, {found.precision}, frames of {frame[1]}x{frame[0]}")
    table.add_column("stage")
    table.add_column("ms/frame", justify="right")
    table.add_column("share", justify="right")
    whole = sum(found.stages.values())
    for stage, seconds in found.stages.items():
        table.add_row(stage, f"{seconds * 1e3:.2f}", f"{seconds / whole:.0%}")
    table.add_section()
    table.add_row("all", f"{whole * 1e3:.2f}", f"{1 / whole:.1f} frames/s")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"parameters      {found.parameters / 1e6:.2f} M")
    adds = f"multiply-adds   {found.multiply_adds / 1e9:.1f} G {found.passed}"
    if found.fresh > 1 or found.passed != "a frame":
        adds += f", {found.multiply_adds / found.fresh / 1e9:.1f} G a frame ({found.fresh} new frames a clip)"
    console.print(adds)
    console.print(f"peak memory     {found.peak_bytes / 2**20:.0f} MiB {found.peak_of}")
