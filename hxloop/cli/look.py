"""Commands that look at runs: which there are, and several beside each other.

Each imports what it needs when it is run, as in ``hxloop.cli.runs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.cli import output as output
from hxloop.cli.app import Json, RunDir, app
from hxloop.errors import ConfigError, HxloopError, OutputError
from hxloop.training import progress as progress_of

if TYPE_CHECKING:
    from hxloop.runs.opened import Run

HEADS = ("run", "experiment", "backend", "chip", "seed", "epochs", "accuracy", "when")


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="Where to look, folders below included.")] = Path(
        "runs"
    ),
    json_: Json = False,
) -> None:
    """List the runs in a folder: what they are of, how far they are, what they reached."""
    from hxloop.runs.opened import runs_in

    if not folder.is_dir():
        raise OutputError(f"{folder}: expected a folder with runs; there is none of that name")
    found = runs_in(folder)
    entries = [_entry(run) for run in found]
    if json_:
        output.json_object({"runs": entries})
        return
    if not found:
        output.note(f"{folder}: no runs in it")
    output.table(HEADS, [[_cell(entry[head]) for head in HEADS] for entry in entries])
    for entry in entries:
        if problem := entry.get("problem"):
            output.note(f"note: {problem}")


@app.command("report")
def report_(run_dir: RunDir, json_: Json = False) -> None:
    """Write the report of a finished run, one trained with --no-report or by a sweep, say.

    The run is evaluated again for it, on its own backend.
    """
    from hxloop.runs import resume
    from hxloop.runs.folder import RunDirectory

    run = RunDirectory.open(run_dir)
    if run.config().study:
        raise ConfigError(f"report: {run_dir} is a study, whose trainings have a report each")
    if not run.is_finished:
        raise ConfigError(
            f"report: {run_dir} is not finished, and has nothing to report yet; go on with it: "
            f"hxloop resume {run_dir}"
        )
    with progress_of.training() as progress:
        result = resume(run_dir, events=(progress,))
    output.trained(result, json_)


@app.command("compare")
def compare_(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUN_DIR...", help="Folders of runs.")],
    out: Annotated[Path | None, typer.Option(help="Page to write [compare.html].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file --out.")] = False,
    json_: Json = False,
) -> None:
    """Put runs beside each other: accuracies with intervals, curves, what differs; a page."""
    from hxloop.runs.comparison import compare
    from hxloop.runs.opened import Run
    from hxloop.runs.report.comparison_page import in_words, setting, write_comparison

    page = out if out is not None else Path("compare.html")
    if page.exists() and not force:
        raise OutputError(f"{page}: is there already; give another --out, or replace it: --force")
    found = compare([Run.open(path) for path in run_dirs])
    write_comparison(found, page)
    if json_:
        output.json_object({**found.as_dict(), "page": str(page)})
        return
    rows = [
        [
            run.label,
            str(run.group + 1),
            in_words(run),
            *(setting(run.settings[k]) for k in found.keys),
        ]
        for run in found.runs
    ]
    output.table(("run", "group", "test accuracy", *found.keys), rows)
    for number, (members, mean, spread) in enumerate(found.groups()):
        if mean is not None and spread is not None:
            output.line(
                f"group {number + 1}: {100 * mean:.2f} %, standard deviation {100 * spread:.2f} of "
                f"{sum(run.accuracy is not None for run in members)} runs"
            )
    output.line(f"Page: {page}")


def _entry(run: Run) -> dict[str, Any]:
    try:
        config, evaluation, origin = run.config, run.evaluation, run.provenance
        done = len(run.metrics)
    except HxloopError as error:
        return {**dict.fromkeys(HEADS), "run": str(run.path), "problem": str(error)}
    return {
        "run": str(run.path),
        "experiment": config.name,
        "backend": config.backend.name,
        "chip": config.backend.options.get("chip"),
        "seed": config.seed,
        "epochs": f"{done}/{config.training.epochs}",
        "accuracy": None if evaluation is None else evaluation["test_accuracy"],
        "when": origin.get("finished") or origin.get("started"),
    }


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if isinstance(value, float) else str(value)
