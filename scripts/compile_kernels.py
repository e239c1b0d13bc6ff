"""Compile the Triton kernels of the deformable convolution for a GPU that need not be there, and say what they take.

python scripts/compile_kernels.py [--capability 90] [--channels 256] [--outputs 256]

One line a kernel, as JSON: registers a thread, bytes a thread spills, shared memory, and how many instructions of the
tensor cores there are (wgmma, mma).
This is how the tiles in `rotoscope.ops.deform_conv3d_triton` were chosen; it says nothing of time.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path

import triton.backends.nvidia
import triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.compiler import compile as compiled

from rotoscope.ops import deform_conv3d_kernels as kernels
from rotoscope.ops.deform_conv3d_triton import Tiles, tiles_for

TOOL = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
FLOATS = ("base", "point", "grad_x", "partial", "offset", "modulation", "grad_offset", "grad_modulation")
SIZES = ("rows", "places", "depth", "height", "width", "share")
NEEDS = {"BIASED": True, "MODULATED": True, "NEED_X": True, "NEED_OFFSET": True, "NEED_MODULATION": True}


def source(name: str, narrow: bool, precision: str, tiles: Tiles, channels: int, outputs: int) -> ASTSource:
    """A kernel with the arguments of a modulated 3x3x3 layer, whose offsets are float32."""
    kernel, kind = getattr(kernels, name), tl.bfloat16 if narrow else tl.float32
    constants = {
        **NEEDS,
        **{"CHANNELS": channels, "INPUTS": channels, "SEGMENT": channels, "OUTPUTS": outputs},
        **{"POINTS": 27, "GROUPS": 1, "PARTS": 1, "NARROW": kind, "WIDE": kind, "PRECISION": precision},
        **{"BLOCK_M": tiles.rows, "BLOCK_O": tiles.outputs, "BLOCK_C": tiles.channels},
    }
    constants = {key: value for key, value in constants.items() if key in kernel.arg_names}
    signature, aligned = {}, {}
    for number, argument in enumerate(kernel.arg_names):
        if argument in constants:
            signature[argument] = "constexpr"
        elif argument in SIZES:
            signature[argument] = "i32"
        else:
            signature[argument] = "*bf16" if narrow and argument not in FLOATS else "*fp32"
            aligned[(number,)] = [["tt.divisibility", 16]]
    return ASTSource(kernel, signature, constexprs=constants, attrs=aligned)


def report(name: str, narrow: bool, precision: str, capability: int, channels: int, outputs: int) -> dict[str, object]:
    tiles = tiles_for(name, narrow, outputs, channels)[0]
    found = compiled(
        source(name, narrow, precision, tiles, channels, outputs),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": tiles.warps, "num_stages": tiles.stages},
    )
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        Path(file.name).write_bytes(found.asm["cubin"])
        usage, code = (
            subprocess.run([TOOL, what, file.name], capture_output=True, text=True, check=True).stdout
            for what in ("-res-usage", "-sass")
        )
    registers, stack = re.findall(r"REG:(\d+) STACK:(\d+)", usage)[0]
    return {
        "kernel": name,
        "factors": "bfloat16" if narrow else precision,
        "tiles": tiles,
        "registers": int(registers),
        "spilled": int(stack),
        "shared": found.metadata.shared,
        "wgmma": len(re.findall(r"\bHGMMA", code)),
        "mma": len(re.findall(r"\bHMMA", code)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capability", type=int, default=90)
    parser.add_argument("--channels", type=int, default=256)
    parser.add_argument("--outputs", type=int, default=256)
    given = parser.parse_args()
    for name in ("convolve", "scatter", "weigh"):
        for narrow, precision in ((True, "ieee"), (False, "ieee"), (False, "tf32")):
            print(
                json.dumps(report(name, narrow, precision, given.capability, given.channels, given.outputs)), flush=True
            )


if __name__ == "__main__":
    main()
