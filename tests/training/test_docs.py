"""docs/training.md names every value that a recipe may hold."""

import dataclasses
from pathlib import Path

import pytest

from rotoscope.models.dmn_aoa.training import AlignmentTraining
from rotoscope.models.memory.training import TrainingOptions as StmOptions
from rotoscope.models.stem_seg.training import TrainingOptions as StemSegOptions
from rotoscope.models.three_dc_seg.training import TrainingOptions
from rotoscope.models.visolo.training import TrainingOptions as VisoloOptions
from rotoscope.training import recipe

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text("utf-8")
TABLES = [
    kind for kind in vars(recipe).values() if dataclasses.is_dataclass(kind) and kind.__module__ == recipe.__name__
]


@pytest.mark.parametrize(
    "kind",
    [
        *TABLES,
        TrainingOptions,
        StmOptions,
        AlignmentTraining,
        StemSegOptions,
        VisoloOptions,
        recipe.SceneOptions,
        recipe.WarpOptions,
    ],
    ids=lambda kind: f"{kind.__module__}.{kind.__name__}",
)
def test_every_field_is_documented(kind):
    missing = [field.name for field in dataclasses.fields(kind) if f"`{field.name}`" not in PAGE]
    tables = {"clips", "data", "model", "optimiser", "schedule", "run", "validation", "inference", "card", "scene"}
    assert not [name for name in missing if not (name in tables and f"{name}]" in PAGE)]
