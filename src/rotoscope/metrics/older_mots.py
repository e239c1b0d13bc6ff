"""The scores of the older MOTS tool, which the MOTS and STEm-Seg papers print.

Paper: Voigtlaender et al., "MOTS: Multi-Object Tracking and Segmentation", CVPR 2019.
Against `clear.py`: a pair needs an IoU above 0.5, 0.5 itself is not enough, so that pairs are unique and nothing has to
be assigned; fragments are counted otherwise; tracked ratios are shares of the objects; the frames of all sequences
count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rotoscope.metrics.tracking import Figures, SequenceTracks

THRESHOLD = 0.5
_NONE = -1


@dataclass(frozen=True, slots=True)
class OlderMots:
    """Counts of one class; the scores follow.

    Attributes:
        tp: pairs.
        fn: objects without a pair.
        fp: detections without a pair that do not lie in an ignore region.
        ignored: detections without a pair that do.
        id_switches: pairs whose detection is of another track than the object's last one.
        fragments: times that an object was taken up again.
        mostly_tracked: objects paired on more than 80 % of their frames.
        partly_tracked: on 20 % or more.
        mostly_lost: the rest.
        tracks: of detections, ignored ones included.
        frames: of all sequences.
        overlap: sum of the IoU of the pairs.
        frame_overlap: sum over frames of the mean IoU of their pairs, 1 for a frame without.
    """

    tp: int
    fn: int
    fp: int
    ignored: int
    id_switches: int
    fragments: int
    mostly_tracked: int
    partly_tracked: int
    mostly_lost: int
    tracks: int
    frames: int
    overlap: float
    frame_overlap: float

    @classmethod
    def of(cls, sequence: SequenceTracks, inside: Sequence[NDArray[np.bool_]]) -> OlderMots:
        """Score one class of one sequence.

        Args:
            sequence: with all detections, those of ignore regions too.
            inside: (m,) bool for every frame listed, detections that lie in an ignore region by more than half.
        """
        matched = np.full((sequence.truths, len(sequence.frames)), _NONE)  # the track that each object has
        present = np.zeros(matched.shape, np.bool_)
        counts = np.zeros(3, np.int64)  # TP, FP, ignored
        overlap, frame_overlap = 0.0, 0.0
        for index, (frame, ignorable) in enumerate(zip(sequence.frames, inside, strict=True)):
            rows, columns = np.nonzero(frame.similarity > THRESHOLD)
            present[frame.truths, index] = True
            matched[frame.truths[rows], index] = frame.predictions[columns]
            free = np.ones(frame.predictions.size, np.bool_)
            free[columns] = False
            counts += (rows.size, int((free & ~ignorable).sum()), int((free & ignorable).sum()))
            pairs = frame.similarity[rows, columns]
            overlap += float(pairs.sum())
            frame_overlap += float(pairs.mean()) if pairs.size else 1.0
        frame_overlap += sequence.length - len(sequence.frames)  # those without any object or detection
        tp, fp, ignored = counts.tolist()
        share = np.array([(line[there] != _NONE).mean() for line, there in zip(matched, present, strict=True)])
        lines = [line[there].tolist() for line, there in zip(matched, present, strict=True)]
        mostly, lost = int((share > 0.8).sum()), int((share < 0.2).sum())
        return cls(
            tp=tp,
            fn=sequence.objects - tp,
            fp=fp,
            ignored=ignored,
            id_switches=sum(_switches(line) for line in lines),
            fragments=sum(_fragments(line) for line in lines),
            mostly_tracked=mostly,
            partly_tracked=sequence.truths - mostly - lost,
            mostly_lost=lost,
            tracks=sequence.predictions,
            frames=sequence.length,
            overlap=overlap,
            frame_overlap=frame_overlap,
        )

    @classmethod
    def combined(cls, parts: Sequence[OlderMots]) -> OlderMots:
        """Add up sequences."""
        return cls(*(sum(getattr(part, field.name) for part in parts) for field in fields(cls)))

    @property
    def motsa(self) -> float:
        """MOTSA; minus infinity without objects."""
        return self._share(self.tp - self.fp - self.id_switches)

    @property
    def soft_motsa(self) -> float:
        """The sMOTSA of the papers; minus infinity without objects."""
        return self._share(self.overlap - self.fp - self.id_switches)

    @property
    def motsp(self) -> float:
        """Mean IoU of the pairs; infinity without pairs."""
        return self.overlap / self.tp if self.tp else math.inf

    def figures(self) -> Figures:
        """By the tool's names."""
        objects, detections = self.tp + self.fn, self.tp + self.fp
        objects_tracks = self.mostly_tracked + self.partly_tracked + self.mostly_lost
        recall = self.tp / objects if objects else 0.0
        precision = self.tp / detections if detections else 0.0
        switches = math.log10(self.id_switches) if self.id_switches else 0.0
        return {
            "sMOTSA": self.soft_motsa,
            "MOTSA": self.motsa,
            "MOTSP": self.motsp,
            "MOTSAL": self._share(self.tp - self.fp - switches),
            "MODSA": self._share(self.tp - self.fp),
            "MODSP": self.frame_overlap / max(1, self.frames),
            "recall": recall,
            "precision": precision,
            "F1": 2 * recall * precision / (recall + precision) if recall + precision else 0.0,
            "FAR": self.fp / max(1, self.frames),
            "MT": self.mostly_tracked / max(1, objects_tracks),
            "PT": self.partly_tracked / max(1, objects_tracks),
            "ML": self.mostly_lost / max(1, objects_tracks),
            "tp": self.tp,
            "fp": self.fp,
            "fn": self.fn,
            "id_switches": self.id_switches,
            "fragments": self.fragments,
            "n_gt": objects,
            "n_gt_trajectories": objects_tracks,
            "n_tr": detections + self.ignored,
            "n_tr_trajectories": self.tracks,
            "n_itr": self.ignored,
        }

    def _share(self, count: float) -> float:
        objects = self.tp + self.fn
        return count / objects if objects else -math.inf


def _switches(line: Sequence[int]) -> int:
    """Count the changes of track along the frames of one object, unpaired ones passed over."""
    known = [track for track in line if track != _NONE]
    return sum(before != after for before, after in pairwise(known))


def _fragments(line: Sequence[int]) -> int:
    """Count how often an object is taken up by a track that it did not have on the frame before.

    It must have been paired before that, and stay so on the next frame; of the last frame neither is asked.
    """
    found = 0
    for place in range(1, len(line)):
        taken_up = line[place] != _NONE and line[place] != line[place - 1]
        if place == len(line) - 1:
            found += taken_up
        else:
            known = any(track != _NONE for track in line[:place])
            found += taken_up and known and line[place + 1] != _NONE
    return found
