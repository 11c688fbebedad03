"""What came of a sweep: a row for every run, and means with intervals over what was repeated."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t as student

from hxloop.errors import ConfigError, unknown_name

CONFIDENCE = 0.95
# Over these is averaged unless told otherwise: they repeat a run, and set up no other one.
REPETITIONS = ("seed", "backend.options.chip")


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run of a sweep.

    Attributes:
        name: of its folder within that of the sweep.
        values: of the grid, by dotted key.
        outcome: see ``hxloop.sweep.job.COLUMNS``; "error" where it failed; {} as long as nobody
            has done it.
    """

    name: str
    values: Mapping[str, Any]
    outcome: Mapping[str, Any]

    @property
    def accuracy(self) -> float | None:
        """Of the test split; None: not known."""
        found = self.outcome.get("test_accuracy")
        return None if found is None else float(found)

    @property
    def error(self) -> str | None:
        """Why it failed; None: it did not."""
        return self.outcome.get("error")


@dataclass(frozen=True, kw_only=True)
class Group:
    """Runs that differ in nothing that the table is split by.

    Attributes:
        values: that they share.
        accuracies: test accuracies, of those that are done.
        failed, open: how many failed, and how many are not done yet.
    """

    values: Mapping[str, Any]
    accuracies: tuple[float, ...]
    failed: int
    open: int

    @property
    def mean(self) -> float | None:
        """Of the accuracies; None without any."""
        return float(np.mean(self.accuracies)) if self.accuracies else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation over runs (n - 1); None for fewer than two."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's interval of the mean over runs, at ``CONFIDENCE``, within 0 and 1.

        mean +- t(n - 1) s / sqrt(n); None for fewer than two runs.
        """
        mean, deviation, n = self.mean, self.deviation, len(self.accuracies)
        if mean is None or deviation is None:
            return None
        half = float(student.ppf(0.5 + CONFIDENCE / 2, n - 1)) * deviation / math.sqrt(n)
        return max(0.0, mean - half), min(1.0, mean + half)


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What came of a sweep.

    Attributes:
        experiment: name of the configuration.
        keys: of the grid.
        rows: a run each, in the order of the grid.
    """

    experiment: str
    keys: tuple[str, ...]
    rows: tuple[Row, ...]

    def groups(self, by: Sequence[str] | None = None) -> list[Group]:
        """Means over all that is not in ``by``.

        Args:
            by: keys of the grid; None: all but ``REPETITIONS``.

        Raises:
            ConfigError: no key of the grid.
        """
        keys = self.split_by(by)
        members: dict[str, list[Row]] = {}
        for row in self.rows:
            members.setdefault(repr([row.values[key] for key in keys]), []).append(row)
        return [
            Group(
                values={key: rows[0].values[key] for key in keys},
                accuracies=tuple(row.accuracy for row in rows if row.accuracy is not None),
                failed=sum(row.error is not None for row in rows),
                open=sum(not row.outcome for row in rows),
            )
            for rows in members.values()
        ]

    def split_by(self, by: Sequence[str] | None = None) -> tuple[str, ...]:
        """The keys that make groups; see ``groups``."""
        if by is None:
            return tuple(key for key in self.keys if key not in REPETITIONS)
        for key in by:
            if key not in self.keys:
                raise ConfigError(unknown_name("key of the grid in --by", key, self.keys))
        return tuple(by)

    def as_dict(self, by: Sequence[str] | None = None) -> dict[str, Any]:
        """Plain values, what ``results.json`` holds and ``--json`` prints."""
        return {
            "experiment": self.experiment,
            "keys": list(self.keys),
            "runs": [
                {"run": row.name, "values": dict(row.values), **row.outcome} for row in self.rows
            ],
            "by": list(self.split_by(by)),
            "groups": [
                {
                    "values": dict(group.values),
                    "runs": len(group.accuracies),
                    "failed": group.failed,
                    "open": group.open,
                    "mean": group.mean,
                    "standard_deviation": group.deviation,
                    "interval": None if group.interval is None else list(group.interval),
                }
                for group in self.groups(by)
            ],
            "confidence": CONFIDENCE,
        }

    def table(self, by: Sequence[str] | None = None) -> tuple[list[str], list[list[str]]]:
        """Heads and rows of the groups, in words; accuracies in per cent."""
        keys = self.split_by(by)
        rows = []
        for group in self.groups(by):
            rows.append([*(str(group.values[key]) for key in keys), *_in_words(group)])
        return [*keys, "runs", "mean (%)", "95 % interval", "smallest", "largest"], rows

    def markdown(self, by: Sequence[str] | None = None) -> str:
        """``table`` for a README."""
        heads, rows = self.table(by)
        lines = [heads, ["---"] * len(heads), *rows]
        return "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def csv(self) -> str:
        """A line for every run: its folder, its values, what came of it."""
        columns = dict.fromkeys(key for row in self.rows for key in row.outcome)
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["run", *self.keys, *columns])
        for row in self.rows:
            values = [row.values[key] for key in self.keys]
            writer.writerow([row.name, *values, *(row.outcome.get(key) for key in columns)])
        return text.getvalue()


def _in_words(group: Group) -> list[str]:
    counted = str(len(group.accuracies))
    if group.failed:
        counted += f", {group.failed} failed"
    if group.open:
        counted += f", {group.open} open"
    if group.mean is None:
        return [counted, "", "", "", ""]
    interval = group.interval
    return [
        counted,
        f"{100 * group.mean:.2f}",
        "" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}",
        f"{100 * min(group.accuracies):.2f}",
        f"{100 * max(group.accuracies):.2f}",
    ]
