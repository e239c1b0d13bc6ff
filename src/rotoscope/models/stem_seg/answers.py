"""Label maps into results: masks of the frames' own size, numbers, categories, scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rotoscope.masks.run_length import encode
from rotoscope.models.stem_seg.fit import FrameFit
from rotoscope.models.stem_seg.labelling import Labelled
from rotoscope.models.stem_seg.options import EmbeddingOptions
from rotoscope.models.stem_seg.records import Records
from rotoscope.models.stem_seg.selection import numbered, worthy
from rotoscope.types import FrameResult, ObjectMask, RunLength, Verdict


@dataclass(frozen=True, slots=True)
class Stamp:
    """A frame without its picture."""

    index: int
    timestamp: float
    name: str | None = None


class Answers:
    """Makes the results of one video.

    With `tracks="stream"` every frame is answered at once; instances that cannot come back are forgotten. Otherwise the
    run lengths of all instances are kept, and `finish` answers.

    Args:
        fit: from label maps to frames.
        options: see there.
        categories: names, by number from 1; () where all objects are alike.
    """

    def __init__(self, fit: FrameFit, options: EmbeddingOptions, categories: Sequence[str] = ()) -> None:
        self._fit, self._options, self._categories = fit, options, categories
        self.records = Records(options.votes)
        self._empty = options.tracks == "kitti-mots" and options.empty_masks
        self._kept: list[tuple[Stamp, dict[int, RunLength]]] = []

    def add(self, stamp: Stamp, frame: Labelled) -> list[FrameResult]:
        """Take the next frame; answer it, or nothing yet."""
        labels = frame.labels.cpu().numpy()
        present = self.records.add(frame.index, labels, frame.classes)
        masks = {}
        for label in present:  # one at a time: only run lengths are kept
            large = self._fit.enlarged(labels == label)
            if large.any() or self._empty:
                masks[label] = encode(large)
        if self._options.tracks != "stream":
            self._kept.append((stamp, masks))
            return []
        # A label comes back only over a frame that the next clip shares.
        self.records.forget_before(frame.index - self._options.clip)
        objects = [
            ObjectMask(label, mask, score, self._name(label))
            for label, mask in masks.items()
            if (score := self.records.score(label)) >= self._options.least_score
        ]
        return [self._result(stamp, objects)]

    def finish(self) -> list[FrameResult]:
        """Answer what was kept."""
        records = self.records.all
        floor = self._options.least_score * max((record.places for record in records), default=0)
        worth = [record for record in records if record.places >= floor]
        numbers = numbered(worth, self._options.tracks, self._options.most)
        largest = max((self.records[label].places for label in numbers), default=1)
        masks = {
            label: {place: found[label] for place, (_, found) in enumerate(self._kept) if label in found}
            for label in numbers
        }
        if self._options.tracks == "kitti-mots" and self._options.clean:
            masks = {label: worthy(found, self._name(label)) for label, found in masks.items()}
        results = []
        for place, (stamp, _) in enumerate(self._kept):
            objects = [
                ObjectMask(number, masks[label][place], self.records[label].places / largest, self._name(label))
                for label, number in numbers.items()
                if place in masks[label]
            ]
            results.append(self._result(stamp, objects))
        self._kept.clear()
        return results

    def _result(self, stamp: Stamp, objects: Sequence[ObjectMask]) -> FrameResult:
        verdicts = {item.track_id: Verdict(item.score, item.label) for item in objects}
        return FrameResult(stamp.index, stamp.timestamp, self._fit.frame, tuple(objects), stamp.name, None, verdicts)

    def _name(self, label: int) -> str | None:
        category = self.records[label].category
        return self._categories[category - 1] if self._categories and category else None
