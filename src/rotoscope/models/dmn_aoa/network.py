"""DMN-AOA: proposals of a frame are matched with what a memory says that objects look like, then refined.

Paper: Liang, Shen, Huang, Hua, "Video Object Segmentation with Dynamic Memory Networks and Adaptive Object Alignment"
(ICCV 2021). Neither code nor weights were published; docs/dmn-aoa.md tells which parts are known and which are ours.

Intended differences to the paper: the memory, its encoders and the decoder are STM's, by STM's names, so that its
published weights load; what is new starts so that the network first does exactly what STM does. The template, the
alignment both ways and the start of the solver are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.backbones.space_time_memory import STRIDE, Query, SpaceTimeMemory, other_objects
from rotoscope.models.dmn_aoa import alignment, matching, template
from rotoscope.models.dmn_aoa.regions import block_means, cells_in_boxes
from rotoscope.models.dmn_aoa.template import Template, Views, template_of
from rotoscope.ops.box_masks import tight_boxes
from rotoscope.ops.memory_read import Recall, memory_recall
from rotoscope.ops.soft_aggregation import soft_aggregation

DATASETS = ("default", "davis", "ytvos")
KAPPA, KAPPA_RANGE = 0.05, (0.01, 1.0)
OVERLAP_SHARE = 0.3


@dataclass(frozen=True)
class MatchRule:
    """How objects are matched; the defaults are those of docs/dmn-aoa.md.

    Attributes:
        cells: of a box, a side.
        template: see `template.template_of`.
        align: see `alignment`.
        mask_cells: whether cells count by how much of them is the object.
        solver: see `matching.match`.
        floor: likeness below which an object rather gets no proposal.
        dataset: whose learnt weight of overlaps is taken.
        overlap_weight: that weight itself, from 0 to 1; below 0: the learnt one.
        motion: what overlaps are taken with: the object's previous mask, or where the memory says that it is.
        refine: whether the decoder makes the final masks; else the coarse ones are.
        best: see `memory_read`.
    """

    cells: int = 7
    template: template.Mode = "dynamic"
    align: alignment.Mode = "mutual"
    mask_cells: bool = True
    solver: matching.Solver = "ours"
    floor: float = 0.2
    dataset: str = "default"
    overlap_weight: float = -1.0
    motion: Literal["previous", "memory"] = "previous"
    refine: bool = True
    best: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Proposals:
    """What a detector proposes of a frame.

    Attributes:
        masks: (P, H, W) float in [0, 1], of the padded frame.
        boxes: (P, 4) float left, top, right, bottom of what is above 0.4, ends exclusive.
        scores: (P,) float in [0, 1].
    """

    masks: Tensor
    boxes: Tensor
    scores: Tensor

    @classmethod
    def none(cls, size: tuple[int, int], device: torch.device | str = "cpu") -> Proposals:
        """No proposals for a frame of `size` (H, W)."""
        return cls(*(torch.zeros(0, *shape, device=device) for shape in (size, (4,), ())))

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True, eq=False)
class Remembered:
    """One object's memory.

    Attributes:
        keys: (M, key) of all frames, one after the other.
        values: (M, value).
        masks: (M,) in [0, 1].
        views: see `Views`.
        first: place of the first frame.
        previous: place of the latest frame.
    """

    keys: Tensor
    values: Tensor
    masks: Tensor
    views: Views
    first: int = 0
    previous: int = -1


Entry = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]  # see `DMNAOA.remember`
Followed = tuple[Tensor, list[list[Tensor]], list[list[Tensor]]]  # see `DMNAOA.forward`


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a frame says of the objects, and how it came to be.

    Attributes:
        probabilities: (O, H, W) float32, each object's against everything else.
        match: assignment and coarse masks.
        prior: (O, h, w).
        relevance: for each object (T, h, w).
        templates: one an object.
        template_tokens: (O, S * S, width) as they were compared; empty without proposals.
        proposal_tokens: (P, S * S, width).
        proposal_cells: (P, S * S) how much of each cell is the proposal.
        scores: (O, P) likeness by features.
        overlaps: (O, P).
        similarity: (O, P) both together.
    """

    probabilities: Tensor
    match: matching.Match
    prior: Tensor
    relevance: list[Tensor]
    templates: list[Template]
    template_tokens: Tensor
    proposal_tokens: Tensor
    proposal_cells: Tensor
    scores: Tensor
    overlaps: Tensor
    similarity: Tensor


class Matcher(nn.Module):
    """What is learnt of matching: two projections, the temperature, the weight of overlaps in each dataset.

    Args:
        key: channels of a key.
        value: channels of a value.
        width: of a token.
    """

    def __init__(self, key: int, value: int, width: int = 256) -> None:
        super().__init__()
        self.template_proj = nn.Linear(key + value, width)
        self.proposal_proj = nn.Linear(key + value, width)
        for layer in (self.template_proj, self.proposal_proj):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
            with torch.no_grad():  # keys of both encoders are trained to agree, so they come first and as they are
                layer.weight[: min(key, width)] = torch.eye(key, key + value)[:width]
        self.log_kappa = nn.Parameter(torch.tensor(math.log(KAPPA)))
        share = math.log(OVERLAP_SHARE / (1 - OVERLAP_SHARE))
        self.lambda_logit = nn.ParameterDict({name: nn.Parameter(torch.tensor(share)) for name in DATASETS})

    @property
    def kappa(self) -> Tensor:
        """The temperature of the alignment."""
        least, most = KAPPA_RANGE
        return self.log_kappa.float().exp().clamp(least, most)

    def overlap_weight(self, dataset: str) -> Tensor:
        """The share of overlaps in likeness."""
        share: Tensor = self.lambda_logit[dataset].float().sigmoid()
        return share

    def project(self, tokens: Tensor, layer: nn.Linear) -> Tensor:
        """(..., key + value) -> (..., width) float32."""
        projected: Tensor = functional.linear(tokens.float(), layer.weight.float(), layer.bias.float())
        return projected


class CoarseInput(nn.Module):
    """What the decoder is told of the coarse masks, at three strides; at first nothing.

    Args:
        channels: of the decoder.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        for stage in (4, 3, 2):
            conv = nn.Conv2d(2, channels, 3, padding=1, bias=False)
            nn.init.zeros_(conv.weight)
            self.add_module(f"conv{stage}", conv)

    def forward(self, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(O, 2, H, W): the object, the largest of the others -> (O, C, H / s, W / s) for s = 16, 8, 4."""
        kind = next(self.parameters()).dtype
        m4, m3, m2 = (
            self.get_submodule(f"conv{stage}")(block_means(coarse, stride).to(kind))
            for stage, stride in ((4, STRIDE), (3, 8), (2, 4))
        )
        return m4, m3, m2


class DMNAOA(SpaceTimeMemory):
    """STM's network with proposals, templates, alignment and matching between its memory and its decoder.

    Args:
        layers, width, key, value, decoder: see `SpaceTimeMemory`.
        tokens: width of a token.

    Attributes:
        start: the network of STM whose weights it can begin with, as system/network.
        looks: how many channels of a key and of a value, the first ones, tell what something looks like.
        detector: what proposes objects with the choice "built-in", set by whoever has its weights; None: nothing. It
            is no part of this network's weights.
    """

    start = "stm/stm"
    detector: Any = None

    def __init__(
        self,
        layers: Sequence[int] = (3, 4, 6),
        width: int = 64,
        key: int = 128,
        value: int = 512,
        decoder: int = 256,
        tokens: int = 256,
    ) -> None:
        super().__init__(layers, width, key, value, decoder)
        self.looks = (key, value)
        self.matcher = Matcher(key, value, tokens)
        self.coarse = CoarseInput(decoder)

    def state_from(self, whose: str, state: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
        """Weights of STM as weights of this network; what is new keeps what it has.

        Args:
            whose: system and network of the weights, as "stm/mobile".
            state: the weights.

        Returns:
            None where it cannot begin with these.
        """
        if whose != self.start:
            return None
        own = {name: value for name, value in self.state_dict().items() if name.startswith(("matcher.", "coarse."))}
        return own | dict(state)

    def remember(self, frame: Tensor, masks: Tensor, others: Tensor, rule: MatchRule) -> Entry:
        """Turn a frame and masks into memory, with the objects as seen in their boxes.

        Args:
            frame: (1, 3, H, W), see `memorise`.
            masks: (O, H, W), see `memorise`.
            others: (O, H, W), see `memorise`.
            rule: see `MatchRule`.

        Returns:
            Of each object, along the first axis: keys (h * w, key), values (h * w, value), masks (h * w,), then those
            of `Views`: tokens (S * S, key + value), cells (S * S,), box (4,), present ().
        """
        keys, values = self.memorise(frame, masks, others)
        size = frame.shape[-2] // STRIDE, frame.shape[-1] // STRIDE
        boxes, present = tight_boxes(masks > 0.5)
        coarse = block_means(masks, STRIDE)  # (O, h, w)
        key, value = self.looks
        looks = torch.cat([keys[:, :, :key], values[:, :, :value]], dim=2)  # (O, h * w, key + value)
        maps = looks.transpose(1, 2).reshape(len(keys), -1, *size)  # (O, key + value, h, w)
        tokens = cells_in_boxes(maps, boxes, rule.cells, STRIDE).flatten(2).transpose(1, 2)
        cells = cells_in_boxes(coarse[:, None], boxes, rule.cells, STRIDE).flatten(1)
        return keys, values, coarse.flatten(1), tokens.to(values.dtype), cells, boxes, present.float()

    def forward(  # type: ignore[override]
        self,
        clips: Tensor,
        masks: Tensor,
        counts: Sequence[int],
        proposals: Sequence[Sequence[Proposals]] | None = None,
        rules: Sequence[MatchRule] | None = None,
    ) -> Followed:
        """Follow objects through short clips with gradients, as in training.

        Args:
            clips: (B, 3, T, H, W), see `SpaceTimeMemory.forward`.
            masks: (B, O, H, W), those of each clip's first frame.
            counts: how many of the O masks each clip has, at least 1.
            proposals: of each frame of each clip; None: none.
            rules: one for each clip; None: the defaults.

        Returns:
            Aggregated logits (B, T - 1, 1 + O, H, W) float32 for frames 1 to T - 1, background first; for each clip and
            frame the likeness by features (o, P) and the coarse masks (o, H, W) of its own objects.
        """
        channels = 1 + masks.shape[1]
        size = clips.shape[-2], clips.shape[-1]
        logits, scores, coarse = [], [], []
        for number, (clip, own, count) in enumerate(zip(clips, masks, counts, strict=True)):
            of_frames = [Proposals.none(size, clip.device)] * clip.shape[1] if proposals is None else proposals[number]
            rule = MatchRule() if rules is None else rules[number]
            found = self._follow_matched(clip, own[:count], of_frames, rule, channels)
            logits.append(torch.stack([one[0] for one in found]))
            scores.append([one[1].scores for one in found])
            coarse.append([one[1].match.coarse for one in found])
        return torch.stack(logits), scores, coarse

    def _follow_matched(
        self, clip: Tensor, masks: Tensor, proposals: Sequence[Proposals], rule: MatchRule, channels: int
    ) -> list[tuple[Tensor, Found]]:
        """(3, T, H, W), (O, H, W) -> aggregated logits (channels, H, W) and what was found of frames 1 to T - 1."""
        entries: list[Entry] = []
        steps = []
        previous = masks > 0.5
        for before, now, own in zip(clip.unbind(1)[:-1], clip.unbind(1)[1:], proposals[1:], strict=True):
            entries.append(self.remember(before[None], masks, other_objects(masks), rule))
            found = self.find(self.query(now[None]), _memories(entries), own, previous, rule, soft=True)
            logits = soft_aggregation(found.probabilities, channels)
            steps.append((logits, found))
            masks = logits.softmax(dim=0)[1 : 1 + len(masks)]
            hard = masks.detach() > 0.5
            previous = torch.where(hard.flatten(1).any(dim=1)[:, None, None], hard, previous)
        return steps

    def find(
        self,
        query: Query,
        memories: Sequence[Remembered],
        proposals: Proposals,
        previous: Tensor,
        rule: MatchRule,
        *,
        soft: bool = False,
        together: int = 8,
    ) -> Found:
        """Find objects in a frame.

        Args:
            query: see `query`.
            memories: one an object, at least one.
            proposals: of the frame.
            previous: (O, H, W) bool or in [0, 1], each object's last mask that was not empty.
            rule: see `MatchRule`.
            soft: as in training; see `matching.match`.
            together: objects that are decoded at once.
        """
        height, width = query.value.shape[-2:]
        recalls = [memory_recall(query.key, m.keys, m.values, m.masks, rule.best) for m in memories]
        prior = torch.stack([recall.prior for recall in recalls]).view(-1, height, width)  # (O, h, w)
        relevance = [recall.relevance.view(-1, height, width) for recall in recalls]
        templates = [self._template(m, drawn, rule) for m, drawn in zip(memories, relevance, strict=True)]
        enlarged = functional.interpolate(
            prior[None], scale_factor=float(STRIDE), mode="bilinear", align_corners=False
        )[0]
        own, tokens, cells = self._tokens(query, templates, proposals, rule)
        masks = torch.stack([one.masks for one in templates]) if rule.mask_cells else None
        scores = alignment.alignment_scores(
            own, masks, tokens, cells if rule.mask_cells else None, self.matcher.kappa, rule.align
        )
        overlaps = matching.mask_overlaps(enlarged if rule.motion == "memory" else previous, proposals.masks)
        share = self.matcher.overlap_weight(rule.dataset) if rule.overlap_weight < 0 else rule.overlap_weight
        similarity = (1 - share) * scores + share * overlaps
        match = matching.match(similarity, proposals.masks, enlarged, soft=soft, floor=rule.floor, solver=rule.solver)
        probabilities = match.coarse.clamp(0, 1)
        if rule.refine:
            probabilities = self._refined(query, recalls, match.coarse, together)
        return Found(
            probabilities, match, prior, relevance, templates, own, tokens, cells, scores, overlaps, similarity
        )

    def _template(self, memory: Remembered, relevance: Tensor, rule: MatchRule) -> Template:
        """(T, h, w) relevance -> the template."""
        drawn = cells_in_boxes(relevance[:, None], memory.views.boxes, rule.cells, STRIDE).flatten(1)
        return template_of(memory.views, drawn, rule.template, memory.first, memory.previous)

    def _tokens(
        self, query: Query, templates: Sequence[Template], proposals: Proposals, rule: MatchRule
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens of the templates and of the proposals, and how much of a proposal's cells it is."""
        matcher = self.matcher
        own = matcher.project(torch.stack([one.tokens for one in templates]), matcher.template_proj)
        height, width = query.value.shape[-2:]
        own_key, own_value = self.looks
        key = query.key[:, :own_key].T.reshape(-1, height, width)
        maps = torch.cat([key, query.value[0, :own_value].to(key.dtype)])  # (key + value, h, w)
        tokens = cells_in_boxes(maps, proposals.boxes, rule.cells, STRIDE).flatten(2).transpose(1, 2)
        coarse = block_means(proposals.masks[:, None], STRIDE)
        cells = cells_in_boxes(coarse, proposals.boxes, rule.cells, STRIDE).flatten(1)
        return own, matcher.project(tokens, matcher.proposal_proj), cells

    def _refined(self, query: Query, recalls: Sequence[Recall], coarse: Tensor, together: int) -> Tensor:
        """Decode: what was read and the coarse masks -> (O, H, W) probabilities."""
        height, width = query.value.shape[-2:]
        told = torch.stack([coarse, _largest_of_others(coarse)], dim=1)  # (O, 2, H, W)
        parts = []
        for start in range(0, len(recalls), together):
            reads = torch.stack([recall.read for recall in recalls[start : start + together]])
            maps = reads.transpose(1, 2).reshape(len(reads), -1, height, width)
            x = torch.cat([maps, query.value.expand(len(maps), -1, -1, -1)], dim=1)
            added = self.coarse(told[start : start + together])
            parts.append(self.decoder(x, query.r3, query.r2, added).softmax(dim=1)[:, 1])
        return torch.cat(parts)


def _memories(entries: Sequence[Entry]) -> list[Remembered]:
    """Frames' entries of all objects -> one memory an object."""
    keys, values, masks, *views = (torch.stack(parts, dim=1) for parts in zip(*entries, strict=True))  # (O, T, ...)
    return [
        Remembered(
            keys[place].flatten(0, 1),
            values[place].flatten(0, 1),
            masks[place].flatten(),
            Views(*(part[place] for part in views)),
        )
        for place in range(len(keys))
    ]


def _largest_of_others(masks: Tensor) -> Tensor:
    """(O, H, W) -> (O, H, W): for each object the largest of the others; 0 where it is alone."""
    if len(masks) == 1:
        return torch.zeros_like(masks)
    largest, places = masks.topk(2, dim=0)
    numbers = torch.arange(len(masks), device=masks.device)[:, None, None]
    return torch.where(places[0] == numbers, largest[1], largest[0])
