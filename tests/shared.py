"""Where real pictures, video and weights lie, for tests that use them where they are."""

import os
from pathlib import Path

import pytest

BESIDE = Path(__file__).parent.parent.parent / "shared"


def shared(kind: str, *parts: str) -> Path:
    """`data` or `weights` beside the checkout, or under ROTOSCOPE_DATA / ROTOSCOPE_WEIGHTS; skips where absent."""
    path = Path(os.environ.get(f"ROTOSCOPE_{kind.upper()}", BESIDE / kind)).joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no {'/'.join((kind, *parts))} here; set ROTOSCOPE_{kind.upper()} to run this test")
    return path
