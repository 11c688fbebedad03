"""From recorded spikes to a folder with ``analysis.json``, ``report.html`` and ``figures/``."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hxloop import checks
from hxloop.activity import LOG_NAME, RecordedActivity, read_activity
from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.report.looks import shown_states
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import write_atomically
from hxloop.provenance import provenance
from hxloop.text import Brief

# States whose spikes are shown beside each other, at most.
_RASTERS = 3
FILES = ("analysis.json", "report.html")


@dataclass(frozen=True, repr=False)
class AnalysisRun(Brief):
    """What came of an analysis.

    Attributes:
        analysis: content of ``analysis.json``, see ``hxloop.analysis.analyse``.
        out: the folder that it was written to.
    """

    analysis: Mapping[str, Any]
    out: Path


def analyse_recording(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    name: str | None = None,
    options: AnalysisOptions | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> AnalysisRun:
    """Analyse a recording and write what was found.

    Args:
        source: the folder of a run that holds an activity log, an activity log, or an ``.npz``
            file of spike times, see ``hxloop.activity.read_activity``.
        out: folder for the results. None = ``analysis`` in the folder of the run, or
            ``NAME-analysis`` here for other files. What an earlier analysis wrote there is
            replaced.
        name: of the recording, for the heading; None = that of the file or folder.
        options: how much is computed.
        say: told in words what is done.

    Raises:
        FileFormatError: ``source`` is damaged, or not what is expected.
        OutputError: ``out`` holds something else, or cannot be written.
        RunInputError: states that do not fit together.
    """
    source = checks.path("source", source)
    _check_source(source)
    folder = default_folder(source) if out is None else checks.path("out", out, error=OutputError)
    check_folder(folder)
    say(f"reading {source}")
    states = read_activity(source)
    result = analyse(list(states.values()), options=options, progress=say)
    say(f"writing {folder}")
    write_results(result, states, folder, name or _name(source), source)
    return AnalysisRun(result, folder)


def default_folder(source: Path) -> Path:
    """Where the results go unless told otherwise."""
    run = source if source.is_dir() else source.parent
    if source.is_dir() or (source.name == LOG_NAME and (run / "config.toml").is_file()):
        return run / "analysis"
    return Path(f"{source.stem}-analysis")


def check_folder(folder: Path) -> None:
    """Refuse a folder that holds something else than an analysis.

    Raises:
        OutputError: it does, or cannot be read.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{folder}: expected a folder; there is a file of that name")
        if folder.is_dir() and any(folder.iterdir()) and not (folder / FILES[0]).is_file():
            raise OutputError(
                f"{folder}: the folder is not empty and holds no {FILES[0]}; nothing in it is "
                "replaced. Give another --out."
            )
    except PermissionError as error:
        raise OutputError(f"{folder}: cannot be read: {error.strerror}") from error


def write_results(
    analysis: Mapping[str, Any],
    states: Mapping[str, RecordedActivity],
    folder: Path,
    name: str,
    source: Path,
) -> None:
    """Write ``analysis.json``, ``report.html`` and ``figures/``.

    Args:
        analysis: the result of ``analyse``.
        states: what was analysed, for the rasters.
        folder: made if it is missing.
        name: of the recording.
        source: file or folder that it came from.

    Raises:
        OutputError: the folder cannot be written.
    """
    from hxloop.analysis.report.page import AnalysisReport, write_analysis_report
    from hxloop.analysis.report.static import write_figures

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    shown = shown_rasters(analysis, states)
    counts = {len(state) for state in states.values()}
    samples = " or ".join(str(count) for count in sorted(counts))
    report = AnalysisReport(
        title=f"{name}: what the network learned",
        description=f"{len(states)} recorded states, {samples} samples each; from {source.name}",
        analysis=analysis,
        states=shown,
        provenance=provenance(source=source.name),
    )
    content = json.dumps(analysis, indent=1, allow_nan=False) + "\n"
    # Last what tells that the folder is an analysis and complete.
    write_figures(analysis, shown, folder / "figures")
    write_analysis_report(report, folder / FILES[1])
    write_atomically(folder / FILES[0], content.encode())


def shown_rasters(
    analysis: Mapping[str, Any], states: Mapping[str, RecordedActivity]
) -> list[RecordedActivity]:
    """The states whose spikes are shown beside each other: of the same samples, and few."""
    reference = states[analysis["roles"]["trained"]]
    same = [
        states[name]
        for name in shown_states(analysis)
        if np.array_equal(states[name].labels, reference.labels)
    ]
    return same[:_RASTERS]


def _check_source(source: Path) -> None:
    if source.is_dir() and not (source / LOG_NAME).is_file():
        if (source / "config.toml").is_file():
            raise FileFormatError(
                f"{source}: this run recorded no activity. Record it now: hxloop evaluate {source} "
                f"--activity {source / LOG_NAME}; a training records it unless activity.epochs "
                "is empty."
            )
        raise FileFormatError(
            f"{source}: expected the folder of a run; there is neither config.toml nor "
            f"{LOG_NAME} in it"
        )


def _name(source: Path) -> str:
    path = source.resolve()
    return path.parent.name if path.name == LOG_NAME else path.stem
