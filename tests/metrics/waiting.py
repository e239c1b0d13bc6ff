"""Jobs without end, among two processes: `python -m tests.metrics.waiting FOLDER`; says when it is stopped."""

import sys
import time
from pathlib import Path

from rotoscope.metrics.workers import score_all


def wait(place):
    Path(place).touch()
    while True:
        time.sleep(60)


def main(folder):
    places = [f"{folder}/{number}" for number in range(4)]
    try:
        Path(folder, "ready").touch()
        score_all(wait, places, places, workers=2)
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    main(sys.argv[1])
