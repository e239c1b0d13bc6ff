import json
import math
from pathlib import Path

import numpy as np
import pytest

from rotoscope.metrics.statistics import Statistics, mean_statistics, quarter_edges, summarise

CASES = json.loads((Path(__file__).parent / "golden" / "statistics.json").read_text())


@pytest.mark.parametrize("case", CASES, ids=[f"{place}-{len(case['values'])}" for place, case in enumerate(CASES)])
def test_official_numbers(case):
    values = [math.nan if value is None else value for value in case["values"]]
    found = summarise(values)
    assert list(quarter_edges(len(values))) == case["edges"]
    for name in ("mean", "recall", "decay"):
        wanted = math.nan if case[name] is None else case[name]
        assert getattr(found, name) == pytest.approx(wanted, rel=0, abs=1e-6, nan_ok=True), name


@pytest.mark.parametrize(
    "case", [case for case in CASES if "decay_official_wraps" in case], ids=lambda c: len(c["values"])
)
def test_official_decay_wraps(case):
    values = [math.nan if value is None else value for value in case["values"]]
    wanted = math.nan if case["decay_official_wraps"] is None else case["decay_official_wraps"]
    assert summarise(values, official=True).decay == pytest.approx(wanted, rel=0, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 50, 255, 256, 257, 300, 1000, 4001])
def test_edges_round_half_up_and_do_not_wrap(count):
    exact = [math.floor(1 + (count - 1) * k / 4 + 0.5) - 1 for k in range(5)]
    assert list(quarter_edges(count)) == exact
    assert exact[-1] == count - 1


def test_decay_of_a_long_sequence():
    values = np.linspace(1, 0, 400)
    assert summarise(values).decay == pytest.approx(0.75, abs=0.01)


def test_half_is_not_above_half_and_nan_is_not_either():
    assert summarise([0.5, math.nan, 0.51, 1.0]).recall == 0.5


def test_no_values_and_only_nan():
    assert math.isnan(summarise([]).mean)
    assert math.isnan(summarise([math.nan, math.nan]).mean)


def test_means():
    assert mean_statistics([Statistics(1, 0, 0.5), Statistics(0, 0, -0.5)]) == Statistics(0.5, 0, 0)
    assert math.isnan(mean_statistics([]).mean)
