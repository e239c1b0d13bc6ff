"""`rotoscope convert`: an authors' checkpoint into our format."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro


def convert(
    file: tyro.conf.Positional[Path],
    *,
    system: str,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    source: str = "",
    licence: str = "",
) -> None:
    """Read an authors' checkpoint, check every key, and store it as safetensors with a card.

    Args:
        file: A .pth or .pt checkpoint, a safetensors file, or a Caffe2 .pkl of encoder weights.
        system: The system that it belongs to, for example 3dc-seg.
        output: The file to write, .safetensors.
        source: Where the file came from, for the card.
        licence: Of the weights, for the card.

    Raises:
        RotoscopeError: the file is unsafe, of another system, or incomplete.
    """
    from dataclasses import replace

    from rich.console import Console

    from rotoscope.errors import OptionError
    from rotoscope.inference.checkpoint import save_weights
    from rotoscope.inference.loading import convert as read

    if output.suffix != ".safetensors":
        raise OptionError(f"{output} does not end in .safetensors; name the output so")
    if output.resolve() == file.resolve():
        raise OptionError(f"{output} is the source itself; choose another name")
    state, card, report = read(file, system)
    named = replace(card, name=output.stem, source=source or card.source, licence=licence or card.licence)
    card = save_weights(output, state, named)
    console = Console(highlight=False, soft_wrap=True)
    if report is not None:
        console.print(str(report), markup=False)
    else:
        console.print(f"{system}: {len(state)} tensors of the encoder, to start a training from", markup=False)
    console.print(f"{card.parameters / 1e6:.1f} M numbers -> {output} (sha256 {card.sha256[:16]})", markup=False)
