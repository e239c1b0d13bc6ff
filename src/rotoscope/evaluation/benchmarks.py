"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rotoscope.evaluation.davis import evaluate_davis16, evaluate_davis17, evaluate_unsupervised
from rotoscope.evaluation.kitti_mots import evaluate_kitti_mots
from rotoscope.evaluation.report import Report, Request
from rotoscope.evaluation.saliency import evaluate_saliency
from rotoscope.evaluation.youtube_vis import evaluate_ovis, evaluate_youtube_vis

BENCHMARKS: Mapping[str, Callable[[Request], Report]] = {
    "davis16": evaluate_davis16,
    "davis17": evaluate_davis17,
    "davis17-unsupervised": evaluate_unsupervised,
    "saliency": evaluate_saliency,
    "youtube-vis": evaluate_youtube_vis,
    "ovis": evaluate_ovis,
    "kitti-mots": evaluate_kitti_mots,
}
