"""Means and intervals of a sweep."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest
from scipy import stats

from hxloop.errors import ConfigError
from hxloop.sweep import SweepResult
from hxloop.sweep.page import draw
from hxloop.sweep.result import Group, Row

ACCURACIES = np.array([0.91, 0.93, 0.98])


def row(rate, seed, outcome):
    values = {"training.learning_rate": rate, "seed": seed}
    return Row(name=f"{rate}-{seed}", values=values, outcome=outcome)


@pytest.fixture
def result():
    rows = [row(0.1, seed, {"test_accuracy": a}) for seed, a in enumerate(ACCURACIES)]
    rows += [
        row(0.2, 0, {"test_accuracy": 0.5}),
        row(0.2, 1, {"error": "a, b\nc"}),
        row(0.2, 2, {}),
    ]
    return SweepResult(experiment="x", keys=("training.learning_rate", "seed"), rows=tuple(rows))


def test_seeds_are_averaged_over(result):
    first, second = result.groups()
    assert first.mean == pytest.approx(ACCURACIES.mean())
    expected = stats.ttest_1samp(ACCURACIES, 0).confidence_interval(0.95)
    assert first.interval == pytest.approx((expected.low, min(1, expected.high)))
    assert (second.failed, second.open, second.mean, second.interval) == (1, 1, 0.5, None)


def test_an_interval_is_one_of_accuracies():
    group = Group(values={}, accuracies=(0.02, 0.9), failed=0, open=0)
    assert group.interval == (0.0, 1.0)


def test_another_split(result):
    groups = result.groups(["seed"])
    assert [group.values["seed"] for group in groups] == [0, 1, 2]
    assert groups[0].accuracies == (ACCURACIES[0], 0.5)
    assert len(result.groups([])) == 1
    with pytest.raises(ConfigError, match="--by"):
        result.groups(["sed"])


def test_table_says_what_is_missing(result):
    heads, rows = result.table()
    assert heads[0] == "training.learning_rate"
    assert rows[0][:3] == ["0.1", "3", "94.00"]
    assert rows[1][1] == "1, 1 failed, 1 open"
    assert result.markdown().count("\n") == 4


def test_csv_is_read_again(result):
    read = list(csv.DictReader(io.StringIO(result.csv())))
    assert len(read) == 6
    assert read[4]["error"] == "a, b\nc"
    assert float(read[0]["test_accuracy"]) == ACCURACIES[0]


def test_figure_shows_every_run(result):
    (axis,) = draw(result).axes
    shown = [line.get_xdata() for line in axis.lines if line.get_marker() == "o"]
    assert sorted(np.concatenate(shown)) == sorted([*(100 * ACCURACIES), 50.0])
