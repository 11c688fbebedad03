"""The command that trains a grid of networks.

It imports what it needs when it is run, as in ``hxloop.cli.runs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.cli import output as output
from hxloop.cli.app import FAILURE, Json, Settings, app
from hxloop.errors import ConfigError, TrainingInterrupted

if TYPE_CHECKING:
    from hxloop.sweep import SweepResult

_OF_WHAT = (
    "sweep: of what? Expected an experiment and --grid KEY=VALUES, or --out FOLDER of a sweep that "
    "is to go on, as it was begun"
)


@app.command()
def sweep(
    experiment: Annotated[
        str | None,
        typer.Argument(help="A shipped experiment, or a TOML file [the sweep in --out goes on]."),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="A setting with its values: seed=1..5, training.learning_rate=0.001,0.01; "
            "repeatable, all combinations are trained.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Its folder [sweeps/EXPERIMENT].")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes of this machine [one for each processor].")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Scheduler of a Dask cluster instead.")
    ] = None,
    threads: Annotated[int, typer.Option(help="Of each run.")] = 1,
    by: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY", help="Key of the grid that the table is split by [all but seed, chip]."
        ),
    ] = None,
    settings: Settings = None,
    report: Annotated[bool, typer.Option("--report", help="A report.html for every run.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace another sweep in --out.")] = False,
    json_: Json = False,
) -> int:
    """Train every combination of a grid of settings, several at a time; a table, a page, a figure.

    Stopped or killed, the same command goes on with what is missing, and so does --out alone. A
    run that fails is a row with its error; the status is 1 then.
    """
    folder = out if out is not None else Path("sweeps") / Path(str(experiment)).stem
    how: dict[str, Any] = {"workers": workers, "cluster": cluster}
    try:
        if experiment is None:
            if out is None or grid or settings or by:
                raise ConfigError(_OF_WHAT)
            result = _resumed(folder, how)
        else:
            how |= {"threads": threads, "by": by, "report": report, "force": force}
            result = _swept(experiment, settings or [], grid or [], folder, how)
    except KeyboardInterrupt as error:
        raise TrainingInterrupted(
            "the sweep was stopped; what is done is kept. Continue with: hxloop sweep --out "
            f"{folder}"
        ) from error
    if json_:
        output.json_object({**result.as_dict(by), "folder": str(folder)})
    else:
        output.table(*result.table(by))
        output.line(f"Results: {folder}/results.json, sweep.html, figure.png")
    return FAILURE if any(row.error is not None for row in result.rows) else 0


def _swept(
    experiment: str, settings: list[str], grid: list[str], folder: Path, how: dict[str, Any]
) -> SweepResult:
    from hxloop import sweep as sweeps
    from hxloop.experiments.registry import load_experiment

    if not grid:
        raise ConfigError("sweep: expected --grid KEY=VALUES, for example --grid seed=1..5")
    config = load_experiment(experiment, settings)
    return sweeps.sweep(config, sweeps.Grid.parse(grid), folder, say=output.note, **how)


def _resumed(folder: Path, how: dict[str, Any]) -> SweepResult:
    from hxloop.sweep import resume_sweep

    return resume_sweep(folder, say=output.note, **how)
