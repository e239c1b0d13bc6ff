"""Validation scores whole sequences on their annotated frames, as the benchmark's own command would."""

import numpy as np
import torch
from PIL import Image
from torch import nn

from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.loading import options_of
from rotoscope.inference.model import Model
from rotoscope.metrics.davis16 import score_masks
from rotoscope.models import system
from rotoscope.training.group import Group
from rotoscope.training.recipe import Recipe, RenderedData, RunRecipe, ValidationRecipe, VideoSet
from rotoscope.training.validation import Validation

SIZE = (48, 64)


class Bright(nn.Module):
    """What is brighter than grey is foreground, a little more on each frame than on the one before."""

    def forward(self, clip):
        light = clip.float().mean(dim=1, keepdim=True)
        light = light / 255 if clip.dtype == torch.uint8 else light
        score = light - 0.6 + 0.01 * torch.arange(clip.shape[2]).view(-1, 1, 1)
        return torch.cat([-score, score], dim=1)


def test_sequences_with_frames_that_have_no_mask(tmp_path):
    frames, masks = moving_disc_clip(6, SIZE, seed=3)
    for folder in ("frames", "masks"):
        (tmp_path / folder / "disc").mkdir(parents=True)
    for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        Image.fromarray(frame.image).save(tmp_path / "frames" / "disc" / f"{index}.png")
        if index != 2:
            Image.fromarray(np.asarray(mask, np.uint8)).save(tmp_path / "masks" / "disc" / f"{index}.png")
    recipe = Recipe(
        "3dc-seg",
        "mobile",
        (RenderedData("rendered"),),
        root=str(tmp_path),
        run=RunRecipe(steps=1),
        validation=ValidationRecipe((VideoSet("folder", "."),)),
        inference={"clip": 4, "overlap": 1, "size": "unchanged", "multiple": 16, "last_clip": "shifted"},
    )
    chosen, network = system("3dc-seg"), Bright()
    scores = Validation(recipe).run(network, Group(0, 1, torch.device("cpu")), torch.float32)
    card = Card("same", "3dc-seg", "mobile", options=recipe.inference)
    model = Model(card, chosen, network, options_of(chosen.options, card), torch.device("cpu"), torch.float32)
    found = model.segment([frame.image for frame in frames])
    kept = [0, 1, 3, 4, 5]
    expected = score_masks(
        "disc", [np.asarray(masks[index]) > 0 for index in kept], [found.label_map(index) > 0 for index in kept]
    )
    assert 0 < expected.region_statistics.mean < 1
    assert scores.region == {"disc": expected.region_statistics.mean}
    assert scores.boundary == {"disc": expected.boundary_statistics.mean}
    region, boundary, both = scores.means
    assert both == (region + boundary) / 2
