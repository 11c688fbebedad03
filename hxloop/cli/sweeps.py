"""The command that trains a grid of networks.

It imports what it needs when it is run, as in ``hxloop.cli.runs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hxloop.cli import output as output
from hxloop.cli.app import FAILURE, Json, Settings, app
from hxloop.errors import ConfigError, TrainingInterrupted


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

    Stopped or killed at any moment, the same command goes on with what is missing, and so does
    --out alone. A run that fails is a row with its error. The result is 1 if any did.
    """
    from hxloop import sweep as sweeps
    from hxloop.experiments.registry import load_experiment
    from hxloop.sweep.folder import FIGURE, PAGE, RESULTS

    if experiment is None and (out is None or grid or settings or by):
        raise ConfigError(
            "sweep: of what? Expected an experiment and --grid KEY=VALUES, or --out FOLDER of a "
            "sweep that is to go on, as it was begun"
        )
    folder = out if out is not None else Path("sweeps") / Path(str(experiment)).stem
    try:
        if experiment is None:
            result = sweeps.resume_sweep(folder, workers=workers, cluster=cluster, say=output.note)
        else:
            if not grid:
                raise ConfigError("sweep: expected --grid KEY=VALUES, for example --grid seed=1..5")
            result = sweeps.sweep(
                load_experiment(experiment, settings or []),
                sweeps.Grid.parse(grid),
                folder,
                workers=workers,
                cluster=cluster,
                threads=threads,
                by=by,
                report=report,
                force=force,
                say=output.note,
            )
    except KeyboardInterrupt as error:
        raise TrainingInterrupted(
            "the sweep was stopped; what is done is kept. Continue with: hxloop sweep --out "
            f"{folder}"
        ) from error
    if json_:
        output.json_object({**result.as_dict(by), "folder": str(folder)})
    else:
        output.table(*result.table(by))
        output.line(f"Results: {folder / RESULTS}, {folder / PAGE}, {folder / FIGURE}")
    return FAILURE if any(row.error is not None for row in result.rows) else 0
