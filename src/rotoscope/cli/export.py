"""`rotoscope export`: the archive that a benchmark's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import tyro


def export(
    benchmark: tyro.conf.Positional[
        Literal["davis17", "davis17-unsupervised", "youtube-vos", "youtube-vis", "ovis", "kitti-mots"]
    ],
    *,
    predictions: Path,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    videos: Path | None = None,
    sequences: tuple[str, ...] = (),
    split: Literal["val", "test-dev", "test-challenge"] = "test-dev",
    missing: Literal["error", "empty"] = "error",
) -> None:
    """Write the archive that a benchmark's server takes, for splits without public annotations, after checking it.

    davis17, davis17-unsupervised: <sequence>/<frame>.png. youtube-vos: Annotations/<video>/<frame>.png.
    youtube-vis, ovis: results.json. kitti-mots: 0000.txt to 0028.txt.

    Args:
        benchmark: Whose server.
        predictions: Folder or file of the results, as for `rotoscope evaluate`.
        output: The .zip file to write.
        videos: Which videos and frames are wanted, for all but kitti-mots: the root of DAVIS, YouTube-VOS's folder with
            JPEGImages, or the JSON file of YouTube-VIS or OVIS.
        sequences: Only these (DAVIS, YouTube-VOS, KITTI-MOTS).
        split: Which list (DAVIS).
        missing: What a sequence or frame without prediction is: an error, or an empty mask.

    Raises:
        RotoscopeError: results that the server would refuse; the message says which and what to do.
    """
    from rotoscope.cli.progress import tell
    from rotoscope.evaluation.submission import Submission, write_submission

    for line in write_submission(benchmark, Submission(predictions, output, videos, sequences, split, missing)):
        tell(line)
