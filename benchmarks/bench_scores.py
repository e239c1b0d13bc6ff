"""CPU seconds and peak memory of `rotoscope evaluate`, whole commands, against plain numpy and OpenCV.

The sets are the reference cases of tests/metrics/golden, enlarged to 480 lines, and DAVIS 2016 sequences with masks
predicted for them where they are at hand (--davis16 ANNOTATIONS PREDICTIONS). Both sides must print the same J and F.
Needs the extra `bench`. Reading PNG is most of our time; the last column is without the package zlib-ng.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from rotoscope.masks.label_map import write_label_png

GOLDEN = Path(__file__).parent.parent / "tests" / "metrics" / "golden"
PLAIN = Path(__file__).parent / "plain_scores.py"
OURS = "import sys; from rotoscope.cli.app import main; main(sys.argv[1:])"
STANDARD = "import zlib, rotoscope.masks.scanlines as s; s._library = zlib; " + OURS
HEIGHT = 480


def enlarged(values):
    factor = max(1, round(HEIGHT / values.shape[0]))
    return np.kron(values, np.ones((factor, factor), np.uint8))


def write_set(prefix, folder, longest, repeat):
    """Write the golden sequences of one protocol as PNG, each several times over under names of its own."""
    for path in sorted(GOLDEN.glob(f"{prefix}_*.npz")):
        name = path.stem.removeprefix(f"{prefix}_")
        if "synthetic" in name:
            continue
        with np.load(path) as stored:
            for key, kind in (("gt", "truth"), ("pred_a", "predictions")):
                for index, values in enumerate(stored[key][:longest]):
                    for copy in range(repeat):
                        place = folder / kind / f"{name}-{copy}" / f"{index:05d}.png"
                        write_label_png(place, enlarged(values.astype(np.uint8)))
    return folder / "truth", folder / "predictions"


def measured(command, runs=3):
    """CPU seconds (the least of some runs), peak MiB and output of a command."""
    best, peak = float("inf"), 0.0
    for _ in range(runs):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, command))} failed: {errors}")
        best = min(best, usage.ru_utime + usage.ru_stime)
        peak = max(peak, usage.ru_maxrss / 1024)
    return best, peak, output


def row(name, benchmark, annotations, predictions, folder):
    plain, plain_peak, output = measured([sys.executable, PLAIN, benchmark, annotations, predictions], runs=1)
    report = folder / "scores.json"
    options = ["evaluate", benchmark, "--annotations", annotations, "--predictions", predictions, "--json", report]
    ours, peak, _ = measured([sys.executable, "-c", OURS, *options])
    figures = json.loads(report.read_text())["global"]
    wanted = [float(word) for word in output.split()]
    assert np.allclose([figures["J-Mean"], figures["F-Mean"]], wanted, rtol=0, atol=1e-9), (figures, wanted)
    standard, _, _ = measured([sys.executable, "-c", STANDARD, *options])
    print(
        f"{name:34} plain {plain:7.2f} s {plain_peak:4.0f} MiB   ours {ours:6.2f} s {peak:4.0f} MiB   "
        f"ratio {plain / ours:6.1f}   without zlib-ng {standard:6.2f} s, ratio {plain / standard:6.1f}",
        flush=True,
    )


def memory_row(name, *options):
    seconds, peak, _ = measured([sys.executable, "-c", OURS, "evaluate", *map(str, options)])
    print(f"{name:34} ours {seconds:6.2f} s {peak:4.0f} MiB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--davis16", nargs=2, type=Path, metavar=("ANNOTATIONS", "PREDICTIONS"))
    parser.add_argument("--frames", type=int, default=60, help="of each sequence of the unsupervised protocol")
    parser.add_argument("--repeat", type=int, default=3, help="copies of each sequence, so that the start counts less")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if chosen.davis16:
            row("davis16, as given", "davis16", *chosen.davis16, folder)
        row("davis16, reference", "davis16", *write_set("davis16", folder / "16", None, chosen.repeat), folder)
        row("davis17, reference", "davis17", *write_set("davis17_semi", folder / "17", None, chosen.repeat), folder)
        sets = write_set("davis17_unsup", folder / "u", chosen.frames, chosen.repeat)
        row("davis17-unsupervised, 20 proposals", "davis17-unsupervised", *sets, folder)
    mots, videos = GOLDEN / "mots", GOLDEN / "ytvis"
    memory_row(
        "kitti-mots, reference",
        "kitti-mots",
        "--annotations",
        mots / "gt",
        "--predictions",
        mots / "trackers/tracker_a",
    )
    memory_row(
        "youtube-vis, reference",
        "youtube-vis",
        "--annotations",
        videos / "gt.json",
        "--predictions",
        videos / "results.json",
    )


if __name__ == "__main__":
    main()
