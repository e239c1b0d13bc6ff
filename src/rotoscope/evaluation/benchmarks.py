"""The benchmarks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rotoscope.errors import OptionError
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

_DAVIS = frozenset({"davis16", "davis17", "davis17-unsupervised"})
_TRACKS = frozenset({"youtube-vis", "ovis"})
# Which benchmarks an option has a meaning for, where not all.
_APPLIES: Mapping[str, frozenset[str]] = {
    "split": _DAVIS,
    "ends": _DAVIS | {"saliency"},
    "official": _DAVIS | _TRACKS | {"saliency"},
    "one_object": frozenset({"davis17-unsupervised"}),
    "dataset": frozenset({"saliency"}),
    "resize": frozenset({"saliency"}),
    "minimum_score": _TRACKS,
}
_FLAGS = {"one_object": "one-object", "resize": "resize-annotations", "minimum_score": "minimum-score"}


def evaluate(benchmark: str, request: Request) -> Report:
    """Score by a benchmark's protocol.

    Raises:
        OptionError: an option that has no meaning for this benchmark.
        RotoscopeError: what is wrong with the data.
    """
    for name, benchmarks in _APPLIES.items():
        if benchmark not in benchmarks and getattr(request, name) != Request.__dataclass_fields__[name].default:
            known = ", ".join(key for key in BENCHMARKS if key in benchmarks)
            raise OptionError(f"--{_FLAGS.get(name, name)} has no meaning for {benchmark}; it is for {known}")
    return BENCHMARKS[benchmark](request)
