"""What the command line prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import HxloopWarning
from hxloop.substrate.optional import description
from hxloop.text import printable
from hxloop.training.progress import counting, say

if TYPE_CHECKING:
    from hxloop.analysis.run import AnalysisRun
    from hxloop.conformance import Report, Result
    from hxloop.runs.drift import DriftPoint
    from hxloop.runs.plan import Prepared, RunResult


def line(text: str) -> None:
    """A line of result."""
    sys.stdout.write(printable(text) + "\n")


def note(text: str) -> None:
    """A line of news."""
    say(text)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """What the library warns of with ``HxloopWarning`` becomes a line each, and only once."""
    told: set[str] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("always", HxloopWarning)
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if not issubclass(category, HxloopWarning):
                others(message, category, filename, lineno, file, line)
            elif str(message) not in told:
                told.add(str(message))
                note(f"note: {message}")

        warnings.showwarning = show
        yield


def error(text: str) -> None:
    """An error, readable."""
    say(f"hxloop: {text}")


def json_object(content: Mapping[str, Any]) -> None:
    """Exactly one JSON object on stdout."""
    line(json.dumps(content))


def announce(prepared: Prepared) -> None:
    """What is about to happen, in words."""
    config, data = prepared.config, prepared.data
    note(f"{config.name}: {config.description}".rstrip(": "))
    sizes = ", ".join(f"{len(split)} {name}" for name, split in data.items())
    note(f"Data:    {config.dataset.name}, {sizes} samples")
    if config.dataset.path is not None:
        note(f"         {prepared.datasets['train'].in_words()}")
    note(f"Network: {prepared.network}, window {prepared.network.t_window:g} tau_syn")
    chosen = ", ".join(f"{key} {value}" for key, value in config.backend.options.items())
    note(f"Backend: {config.backend.name}{f' ({chosen})' if chosen else ''}")
    if calibration := prepared.calibration_in_words:
        note(f"         calibrated: {calibration}")
    for text in chip_in_words(prepared.substrate):
        note(f"         {text}")
    for text in description(prepared.backend).splitlines():
        note(f"         {text}")


def chip_in_words(substrate: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """A drawn chip's spread, one line; nothing for a substrate without."""
    spread = [
        f"{name} {100 * float(np.std(values)):.1f} %"
        for name, values in substrate.items()
        if name != "dead" and np.std(values) > 0
    ]
    if not substrate:
        return []
    circuits = len(next(iter(substrate.values())))
    dead = int(np.sum(substrate.get("dead", 0)))
    text = f"{circuits} circuits, {dead} of them dead; "
    if not spread:
        return [text + "all alike"]
    return [text + "no two alike, standard deviations: " + ", ".join(spread)]


_COUNTED = {"undecided": "No decision", "ties": "Tied"}


def trained(result: RunResult, as_json: bool) -> None:
    """The end of a training."""
    if as_json:
        json_object(result.as_dict())
        return
    evaluated(result, False)
    if result.run_dir is not None:
        if not result.problems and (result.run_dir / "report.html").is_file():
            line(f"Report:        {result.run_dir / 'report.html'}")
        line(f"Run folder:    {result.run_dir} (evaluate it again: hxloop evaluate DIR)")


def evaluated(result: RunResult, as_json: bool) -> None:
    """An evaluation."""
    summary = result.as_dict()
    if as_json:
        json_object(summary)
        return
    chip = f", chip {result.chip_id}" if result.chip_id else ""
    if result.config.backend.calibration:
        chip += f", calibrated ({result.config.backend.calibration})"
    line(
        f"Test accuracy: {100 * summary['test_accuracy']:.2f} % of "
        f"{summary['test_samples']} samples, on {result.backend}{chip}"
    )
    for name in ("undecided", "ties"):
        if summary[name]:
            line(f"{_COUNTED[name] + ':':<14} {summary[name]} of {summary['test_samples']} samples")
    _estimate(result)


def _estimate(result: RunResult) -> None:
    from hxloop.chip.cost import cost_in_words
    from hxloop.runs.cost import estimated_cost

    if cost := estimated_cost(result.config, result.test):
        line(f"On the chip:   about {cost_in_words(cost)} (an estimate from published figures)")


def drifted(points: Sequence[DriftPoint], as_json: bool) -> None:
    """Accuracies of a chip as it drifts."""
    if as_json:
        json_object({"drift": [asdict(point) for point in points]})
        return
    line("     hours  test accuracy  thresholds moved by (rms, leak to threshold)")
    for point in points:
        moved = point.drift.get("v_threshold", 0.0)
        line(f"{point.hours:>10g}  {100 * point.accuracy:>11.2f} %  {moved:.4f}")


def analysed(run: AnalysisRun, as_json: bool) -> None:
    """The end of an analysis."""
    if as_json:
        json_object(run.analysis)
        return
    for claim in run.analysis["claims"]:
        line(f"{claim['verdict']:<14}  {claim['statement']}")
    line(f"Report:         {run.out / 'report.html'}")
    line(f"All numbers:    {run.out / 'analysis.json'}; figures: {run.out / 'figures'}")


def exported(result: Mapping[str, Any], as_json: bool) -> None:
    """The end of an export."""
    if as_json:
        json_object(result)
        return
    line(
        f"{result['samples']} samples of {', '.join(result['states'])}, {result['spikes']} spikes: "
        f"{result['file']}"
    )
    if result["left_out"]:
        left = ", ".join(result["left_out"])
        line(f"Not in it, because {result['format']} has no place for them: {left}")


def exchanged(result: Mapping[str, Any], as_json: bool) -> None:
    """The end of an export to, or an import from, another program's network."""
    if as_json:
        json_object(result)
        return
    for sentence in result["notes"]:
        note(f"note: {sentence}")
    if "file" in result:
        line(f"{result['network']}: {result['file']}")
        return
    folder = result["run_dir"]
    line(f"{result['network']}: {folder} (evaluate it: hxloop evaluate {folder}; train on: hxloop")
    line(f"train {folder}/config.toml --out DIR)")


def study_done(result: Mapping[str, Any], folder: Path, as_json: bool) -> None:
    """The end of a study."""
    if as_json:
        json_object({**result, "run_dir": str(folder)})
        return
    line((folder / "results.md").read_text(encoding="utf-8"))
    line(f"Results: {folder / 'results.json'}, {folder / 'figure.png'}")


def calibrated(
    summary: Mapping[str, Any], bounds: Mapping[str, float | None], as_json: bool
) -> None:
    """The end of a calibration."""
    if as_json:
        json_object(summary)
        return
    line(f"Chip {summary['chip']}: {summary['runs']} runs, {summary['seconds']:.1f} s")
    line(f"Spread, calibrated over uncalibrated (judged by {summary['ratios_judged_by']}):")
    for name, ratio in summary["ratios"].items():
        bound = bounds.get(name)
        limit = f"  (real chips are accepted up to {bound:.2f})" if bound is not None else ""
        line(f"  {name:<12} {ratio:.3f}{limit}")
    line(f"  strengths are left with a spread of {100 * summary['strength_spread']:.2f} %")
    failed = ", ".join(str(circuit) for circuit in summary["failed"])
    line(f"Failed circuits: {len(summary['failed'])}{f' ({failed})' if failed else ''}")
    for name in ("file", "report"):
        if name in summary:
            line(f"{name.capitalize() + ':':<9}{summary[name]}")


def verified(summary: Mapping[str, Any], message: str, as_json: bool) -> None:
    """The end of a verification; that a calibration has expired is said on stderr, too."""
    if summary["expired"]:
        note(f"warning: {message}")
    if as_json:
        json_object(summary)
        return
    line(message)
    for name, moved in summary["moved"].items():
        line(f"  {name:<12} moved by {moved:.2f} tolerances")
    line(f"{summary['runs']} runs, {summary['seconds']:.1f} s")


def listing(kind: str, entries: Mapping[str, str], as_json: bool) -> None:
    """Names with descriptions."""
    if as_json:
        json_object({kind: [{"name": k, "description": v} for k, v in entries.items()]})
        return
    width = max((len(name) for name in entries), default=0)
    for name, words in entries.items():
        line(f"{name:<{width}}  {words}")


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows below their heads, each column as wide as its longest word."""
    if not rows:
        return
    widths = [max(len(row[place]) for row in (heads, *rows)) for place in range(len(heads))]
    for row in (heads, *rows):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        line("  ".join(cells).rstrip())


def measured(result: Mapping[str, Any], as_json: bool) -> None:
    """The figures of a benchmark."""
    if as_json:
        json_object(result)
        return
    width = max(len(name) for name in result)
    for name, value in result.items():
        line(f"{name:<{width}}  {value}")


@contextmanager
def checking(total: int) -> Iterator[Callable[[Result], None]]:
    """How many checks are done."""
    done = 0
    with counting("checks of the backend") as shown:

        def listener(result: Result) -> None:
            nonlocal done
            done += 1
            shown(done, total)

        yield listener


def checked(report: Report, as_json: bool) -> None:
    """What the checks of a backend found."""
    if as_json:
        json_object(report.as_dict())
        return
    for text in report.lines():
        line(text)
