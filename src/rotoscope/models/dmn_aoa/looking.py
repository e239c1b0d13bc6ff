"""What DMN-AOA's supplement looks at: masks before and after refinement (Fig. 1), alignment of locations (Fig. 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from rotoscope.errors import OptionError
from rotoscope.figures import Picture
from rotoscope.masks.run_length import decode
from rotoscope.models.contract import Analysis, Findings, Subject
from rotoscope.models.dmn_aoa.alignment import alignment_weights
from rotoscope.models.dmn_aoa.drawing import Arrow, beside, coloured, drawn_arrows, stacked
from rotoscope.models.dmn_aoa.measures import by_area, matched, means_of, resized
from rotoscope.models.dmn_aoa.network import DMNAOA
from rotoscope.models.dmn_aoa.proposals import provider
from rotoscope.models.dmn_aoa.session import MatchingSession
from rotoscope.models.dmn_aoa.tracker import MatchingTracker, remembered
from rotoscope.models.memory.looking import Scene, SceneOptions, relevance, scene, steps
from rotoscope.ops.resize import resize_picture
from rotoscope.types import FrameResult

Labels = NDArray[np.int64]


@dataclass(frozen=True)
class RefinementOptions:
    """Of the analysis "refinement".

    Attributes:
        pictures: frames that are drawn, those that refinement changes most.
        apart: these are so many frames from each other, or more.
    """

    pictures: int = 4
    apart: int = 5


@dataclass(frozen=True)
class AlignmentFigureOptions(SceneOptions):
    """Of the analysis "alignment".

    Attributes:
        alike: at most so many proposals are drawn, those most like the object.
        points: locations of the template, on the object and far from each other.
    """

    alike: int = 2
    points: int = 4


def open_session(subject: Subject[Any]) -> MatchingSession:
    """Open a session on a subject's video."""
    if not isinstance(subject.network, DMNAOA):
        raise OptionError(f"dmn-aoa runs a DMNAOA network, not a {type(subject.network).__name__}")
    given = provider(subject.options.proposals, subject.info, subject.network.detector)
    return MatchingSession(subject.network, subject.info, subject.options, subject.device, given)


def _refinement(subject: Subject[Any], options: RefinementOptions) -> Findings:
    rows: list[dict[str, Any]] = []
    kept: dict[int, tuple[float, NDArray[np.uint8]]] = {}  # frame to likeness and picture
    with open_session(subject) as session:
        for frame, result in steps(session, subject):
            ids, coarse = _coarse(session.tracker, frame.size)
            if not ids:
                continue
            refined = _refined(result)
            truth = subject.truth.get(frame.index)
            objects = _compared(session.tracker, ids, coarse, refined, truth)
            rows.append(
                {"frame": frame.index, "objects": {str(track_id): entry for track_id, entry in objects.items()}}
            )
            likeness = float(np.mean([entry["coarse and refined"] for entry in objects.values()]))
            shown = {f"frame {frame.index}": None, "coarse": coarse, "refined": refined}
            if truth is not None:
                shown["true"] = truth.astype(np.int64)
            near = [index for index in kept if frame.index - index < options.apart]
            if any(kept[index][0] <= likeness for index in near):
                continue
            for index in near:
                del kept[index]
            kept[frame.index] = (
                likeness,
                beside({name: coloured(frame.image, labels) for name, labels in shown.items()}),
            )
            if len(kept) > max(1, options.pictures):
                del kept[max(kept, key=lambda index: kept[index][0])]
    if not rows:
        raise OptionError("no object is followed from one frame to the next; give masks of an earlier frame")
    picture = stacked([kept[index][1] for index in sorted(kept)])
    means = means_of(entry for row in rows for entry in row["objects"].values())
    return Findings({"frames": rows, "means": means, "by area": by_area(rows)}, {"masks": Picture(picture)})


def _compared(
    tracker: MatchingTracker, ids: tuple[int, ...], coarse: Labels, refined: Labels, truth: NDArray[np.integer] | None
) -> dict[int, dict[str, float]]:
    """Measures of one frame's objects, by id."""
    entries = {one: {"coarse and refined": _iou(coarse == one, refined == one)} for one in ids}
    if truth is None:
        return entries
    worth = matched(tracker, truth)
    for track_id, entry in entries.items():
        true = truth == track_id
        entry["coarse and true"] = _iou(coarse == track_id, true)
        entry["refined and true"] = _iou(refined == track_id, true)
        entry["area"] = float(true.mean())
        entry |= worth.get(track_id, {})
    return entries


def _coarse(tracker: MatchingTracker, size: tuple[int, int]) -> tuple[tuple[int, ...], Labels]:
    """The ids that were matched on the last frame, and their coarse masks as labels (H, W) of the frame's size."""
    found, last = tracker.last, tracker.last_frame
    if found is None or last is None:
        return (), np.zeros(size, np.int64)
    ids = tuple(track_id for track_id in tracker.matched if track_id in last.ids)
    left, _, top, _ = tracker.padding
    coarse = found.match.coarse[:, top : top + tracker.size[0], left : left + tracker.size[1]]
    largest, best = (values.cpu().numpy() for values in coarse.max(dim=0))
    small = np.where(largest > 0.5, np.array(tracker.matched)[best], 0)
    return ids, resized(small, size).astype(np.int64)


def _refined(result: FrameResult) -> Labels:
    labels = np.zeros(result.size, np.int64)
    for item in result.objects:
        labels[decode(item.mask)] = item.track_id
    return labels


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    union = int((one | other).sum())
    return 1.0 if union == 0 else int((one & other).sum()) / union


def _alignment(subject: Subject[Any], options: AlignmentFigureOptions) -> Findings:
    with open_session(subject) as session:
        at = scene(session, subject, options)
        return _aligned(at, cast(DMNAOA, subject.network), subject.options.cells, options)


@torch.inference_mode()
def _aligned(at: Scene, network: DMNAOA, side: int, options: AlignmentFigureOptions) -> Findings:
    tracker = cast(MatchingTracker, at.session.tracker)
    found, proposals = tracker.last, tracker.proposals
    if found is None or at.track_id not in tracker.matched:
        raise OptionError(f"object {at.track_id} is given on frame {at.frame.index}, not matched; choose another frame")
    if proposals is None or not len(proposals):
        raise OptionError(f"frame {at.frame.index} has no proposals; set proposals, or choose another frame")
    place = tracker.matched.index(at.track_id)
    views = remembered(tracker.memory_of(at.track_id)).views  # the first frame's is the template, as in the paper
    matcher = network.matcher
    tokens = matcher.project(views.tokens[:1], matcher.template_proj)
    best = found.scores[place].argsort(descending=True, stable=True)[: options.alike]
    weights = alignment_weights(tokens, found.proposal_tokens[best], found.proposal_cells[best], matcher.kappa)[0]
    points = _spread(views.masks[0].float().cpu().numpy(), side, options.points)
    places = weights.argmax(dim=2).cpu().numpy()  # (P, U)
    first = _cells(views.boxes[0].cpu().numpy(), side, tracker.padding)
    arrows: dict[str, list[Arrow]] = {"aligned": [], "not aligned": []}
    rows = []
    for number, proposal in enumerate(best.tolist()):
        cells = _cells(proposals.boxes[proposal].cpu().numpy(), side, tracker.padding)
        for point in points:
            target = int(places[number, point])
            arrows["aligned"].append(Arrow(first[point], cells[target], number))
            arrows["not aligned"].append(Arrow(first[point], cells[point], number))
            rows.append(
                {
                    "proposal": proposal,
                    "point": point,
                    "aligned": target,
                    "weight": float(weights[number, point, target]),
                }
            )
    pictures = [resize_picture(image, tracker.size) for image in (at.images[at.first], at.frame.image)]
    names = f"template, frame {at.first}", f"frame {at.frame.index}"
    boxes = [_in_picture(views.boxes[0].cpu().numpy(), tracker.padding)]
    others = [_in_picture(proposals.boxes[one].cpu().numpy(), tracker.padding) for one in best.tolist()]
    drawn = [
        drawn_arrows(pictures, (f"{names[0]}, {how}", names[1]), boxes, others, own) for how, own in arrows.items()
    ]
    numbers = {
        "frame": at.frame.index,
        "object": at.track_id,
        "scores": [float(score) for score in found.scores[place, best]],
        "chosen": int(found.match.chosen[place]),
        "proposals": len(proposals),
        "points": rows,
    }
    return Findings(numbers, {"arrows": Picture(stacked(drawn))})


def _spread(masks: NDArray[np.floating], side: int, count: int) -> list[int]:
    """Cells on the object, each far from those before it; the first is the one that is most of the object."""
    usable = np.flatnonzero(masks >= 0.5 * masks.max())
    where = np.stack(np.divmod(usable, side), axis=1).astype(np.float64)
    chosen = [int(masks[usable].argmax())]
    while len(chosen) < min(count, len(usable)):
        apart = np.min([np.linalg.norm(where - where[one], axis=1) for one in chosen], axis=0)
        chosen.append(int(apart.argmax()))
    return [int(usable[one]) for one in chosen]


def _cells(box: NDArray[np.floating], side: int, padding: tuple[int, int, int, int]) -> NDArray[np.float64]:
    """(S * S, 2) x and y of the middles of a box's cells, in the picture without padding."""
    left, top, right, bottom = _in_picture(box, padding)
    steps_ = (np.arange(side) + 0.5) / side
    y, x = np.meshgrid(top + steps_ * (bottom - top), left + steps_ * (right - left), indexing="ij")
    return np.stack([x.ravel(), y.ravel()], axis=1)


def _in_picture(box: NDArray[np.floating], padding: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(value) for value in box)
    return left - padding[0], top - padding[2], right - padding[0], bottom - padding[2]


ANALYSES = {
    "refinement": Analysis("masks before and after refinement (Fig. 1)", _refinement, RefinementOptions),
    "relevance": relevance(open_session),
    "alignment": Analysis(
        "where locations of an object find themselves in proposals (Fig. 3)", _alignment, AlignmentFigureOptions
    ),
}
