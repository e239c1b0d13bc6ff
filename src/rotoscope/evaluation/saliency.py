"""F-measure and mean absolute error of soft maps on DAVIS 2016, FBMS and ViSal."""

from __future__ import annotations

from collections.abc import Iterator

from rotoscope.data import davis, fbms, visal
from rotoscope.data.annotation_set import AnnotationSet
from rotoscope.evaluation.remarks import counted, ends, left_out, missing, same_place
from rotoscope.evaluation.report import Cell, Report, Request, Table
from rotoscope.figures import Bars, Panel, Panels
from rotoscope.metrics import saliency_files
from rotoscope.metrics.saliency import Framewise, Pooled, SaliencyScores

_TITLES = {"davis16": "DAVIS 2016", "fbms": "FBMS", "visal": "ViSal"}


def evaluate_saliency(request: Request) -> Report:
    """Score soft maps in each of the senses of `metrics.saliency`."""
    found = _annotations(request)
    scores = saliency_files.evaluate(
        found.sequences,
        request.predictions,
        ids=request.dataset != "visal",
        sparse=request.dataset != "davis16",
        resize=request.resize,
        missing=request.missing,
        workers=request.workers,
        progress=lambda name: request.progress(name, len(found.sequences)),
    )
    keep_pooled, keep_framewise = request.keep_ends(protocol=True), request.keep_ends(protocol=False)
    whole = scores.pooled(keep_pooled, request.official)
    mean = scores.framewise(keep_framewise)
    parts = [(one.name, one.pooled(keep_pooled), one.framewise(keep_framewise)) for one in scores.sequences]
    rows: list[list[Cell]] = [[name, *_pooled_cells(pooled), *_framewise_cells(part)] for name, pooled, part in parts]
    title = _TITLES[request.dataset]
    columns = ("sequence", "max F", "F at 0.5", "MAE", "max F'", "mean F'", "adapt F'", "MAE'")
    totals: list[list[Cell]] = [[f"all {len(rows)}", *_pooled_cells(whole), *_framewise_cells(mean)]]
    return Report(
        f"saliency/{request.dataset}",
        [Table(f"Saliency on {title}", columns, rows, totals)],
        list(_remarks(request, found, scores, whole)),
        {
            "protocol": {
                "pooled": f"pixels of all sequences, beta^2 = 1, end frames {ends(keep_pooled)}",
                "framewise": f"mean over frames, then sequences, beta^2 = 0.3, end frames {ends(keep_framewise)}",
            },
            "pooled": _pooled_json(whole),
            "framewise": _framewise_json(mean),
            "sequences": [
                {"sequence": name, "pooled": _pooled_json(pooled), "framewise": _framewise_json(part)}
                for name, pooled, part in parts
            ],
            "left_out": list(found.left_out),
        },
        {"saliency.csv": [columns, *rows, *totals]},
        {
            "precision-recall": _precision_recall(title, whole, mean),
            "sequences": Bars(
                f"Saliency on {title}, by sequence",
                [name for name, _, _ in parts],
                {"max F": [pooled.max_f for _, pooled, _ in parts]},
                {"max F": whole.max_f},
            ),
            "error": Bars(
                f"Mean absolute error on {title}, by sequence",
                [name for name, _, _ in parts],
                {"MAE": [pooled.mae for _, pooled, _ in parts]},
                {"MAE": whole.mae},
                limit=None,
            ),
        },
    )


def _annotations(request: Request) -> AnnotationSet:
    if request.dataset == "fbms":
        return fbms.find_annotations(request.annotations, request.sequences)
    if request.dataset == "visal":
        return visal.find_annotations(request.annotations, request.sequences)
    return davis.find_annotations(request.annotations, request.sequences)


def _remarks(request: Request, found: AnnotationSet, scores: SaliencyScores, whole: Pooled) -> Iterator[str]:
    frames = sum(len(one.frames) for one in scores.sequences)
    yield (
        "max F, F at 0.5, MAE: pixels of all sequences pooled, beta^2 = 1, "
        f"first and last annotated frame {ends(request.keep_ends(protocol=True))} (3DC-Seg Table 5, D2Conv3D)"
    )
    yield (
        "columns marked ': frame by frame on stretched maps, beta^2 = 0.3, "
        f"first and last annotated frame {ends(request.keep_ends(protocol=False))} (video-saliency benchmarks)"
    )
    yield f"{counted(frames, 'annotated frame')}, {whole.pixels} pixels pooled, {whole.foreground} of them foreground"
    hard = [one.name for one in scores.sequences if one.hard]
    if hard:
        yield f"masks, not soft maps, so that only two thresholds differ: {', '.join(hard)}"
    short = [one.name for one in scores.sequences if one.framewise(request.keep_ends(protocol=False)) is None]
    if short:
        yield f"too short for the columns marked ', once the ends are left out: {', '.join(short)}"
    yield from left_out(found)
    yield from missing((one.name, one.missing) for one in scores.sequences)
    yield from same_place(found.folder, request.predictions)


def _pooled_cells(pooled: Pooled) -> list[Cell]:
    return [pooled.max_f, pooled.f_at_half, pooled.mae]


def _framewise_cells(part: Framewise | None) -> list[Cell]:
    return [None] * 4 if part is None else [part.max_f, part.mean_f, part.adaptive_f, part.mae]


def _pooled_json(pooled: Pooled) -> dict[str, object]:
    return {
        "max_f": pooled.max_f,
        "precision_at_max": pooled.precision,
        "recall_at_max": pooled.recall,
        "threshold_at_max": pooled.threshold,
        "f1_at_half": pooled.f_at_half,
        "f_of_mask": pooled.f_of_mask,
        "mae": pooled.mae,
        "pixels": pooled.pixels,
        "foreground": pooled.foreground,
    }


def _framewise_json(part: Framewise | None) -> dict[str, object] | None:
    if part is None:
        return None
    return {
        "max_f": part.max_f,
        "mean_f": part.mean_f,
        "adaptive_f": part.adaptive_f,
        "mae": part.mae,
        "curve": part.curve.tolist(),
    }


def _precision_recall(title: str, whole: Pooled, mean: Framewise | None) -> Panels:
    panels = [Panel("pooled pixels", {"precision": (whole.recalls, whole.precisions)}, "recall", "precision")]
    if mean is not None:
        thresholds = [level / 255 for level in range(255, -1, -1)]
        panels.append(Panel("frame by frame", {"F (beta^2 = 0.3)": (thresholds, mean.curve)}, "threshold", "F"))
    return Panels(f"Saliency on {title}", panels)
