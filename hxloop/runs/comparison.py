"""Several runs beside each other: accuracies with intervals, and what differs in their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from hxloop.errors import ConfigError
from hxloop.runs.opened import Run
from hxloop.training.identity import flat_settings

CONFIDENCE = 0.95
# What tells runs apart that are repetitions of each other.
_OF_REPETITIONS = ("seed", "backend.options.chip", "name", "description")


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """A run in a comparison.

    Attributes:
        run: itself.
        label: its folder, as it was given.
        settings: those that are not the same in all runs, by dotted key; None: not set there.
        accuracy: of the test split; None: it is not finished.
        interval: Wilson's, of ``CONFIDENCE``, for the samples that it was tested on.
        group: number of the runs that it is a repetition of.
    """

    run: Run
    label: str
    settings: Mapping[str, Any]
    accuracy: float | None
    interval: tuple[float, float] | None
    group: int


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Attributes:
        runs: in the order given.
        keys: settings that differ.
    """

    runs: tuple[ComparedRun, ...]
    keys: tuple[str, ...]

    def groups(self) -> list[tuple[list[ComparedRun], float | None, float | None]]:
        """Repetitions (all but seed and chip alike), their mean accuracy and its deviation.

        The standard deviation is that over runs (n - 1); None for a single one.
        """
        found = []
        for number in sorted({run.group for run in self.runs}):
            members = [run for run in self.runs if run.group == number]
            values = [run.accuracy for run in members if run.accuracy is not None]
            mean = float(np.mean(values)) if values else None
            spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
            found.append((members, mean, spread))
        return found

    def as_dict(self) -> dict[str, Any]:
        """Plain values, what ``--json`` prints."""
        return {
            "differing": list(self.keys),
            "runs": [
                {
                    "run": run.label,
                    "test_accuracy": run.accuracy,
                    "interval": None if run.interval is None else list(run.interval),
                    "epochs": len(run.run.metrics),
                    "group": run.group + 1,  # as the table and the page have it
                    "settings": dict(run.settings),
                }
                for run in self.runs
            ],
            "groups": [
                {"runs": [run.label for run in members], "mean": mean, "standard_deviation": spread}
                for members, mean, spread in self.groups()
            ],
            "confidence": CONFIDENCE,
        }


def compare(runs: Sequence[Run]) -> Comparison:
    """Put runs beside each other.

    Args:
        runs: two at least; they may be unfinished.

    Raises:
        ConfigError: fewer than two, or one twice.
        FileFormatError: a file of one is damaged.
    """
    paths = [str(run.path) for run in runs]
    if len(runs) < 2 or len({run.path.resolve() for run in runs}) < len(runs):
        raise ConfigError(f"compare: expected two runs at least, each once; got {', '.join(paths)}")
    settings = [flat_settings(run.config.model_dump()) for run in runs]
    every = dict.fromkeys(key for each in settings for key in each)
    keys = [key for key in every if len({_text(each.get(key)) for each in settings}) > 1]
    told = [key for key in keys if key not in ("name", "description")]
    groups: dict[str, int] = {}
    found = []
    for run, own in zip(runs, settings, strict=True):
        alike = _text({key: own.get(key) for key in keys if key not in _OF_REPETITIONS})
        accuracy = interval = None
        if run.evaluation is not None:
            accuracy = float(run.evaluation["test_accuracy"])
            interval = wilson(accuracy, int(run.evaluation["test_samples"]))
        found.append(
            ComparedRun(
                run=run,
                label=str(run.path),
                settings={key: own.get(key) for key in told},
                accuracy=accuracy,
                interval=interval,
                group=groups.setdefault(alike, len(groups)),
            )
        )
    return Comparison(tuple(found), tuple(told))


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's interval of a share of n samples, at ``CONFIDENCE``.

    >>> low, high = wilson(0.5, 100)
    >>> round(low, 3), round(high, 3)
    (0.404, 0.596)
    """
    found = binomtest(round(share * n), n).proportion_ci(CONFIDENCE, method="wilson")
    return float(found.low), float(found.high)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)
