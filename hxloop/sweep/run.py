"""A sweep in its folder: what was done is kept, what is missing is done."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError, FileFormatError, OutputError
from hxloop.files import FileLock
from hxloop.runs.config import ExperimentConfig
from hxloop.substrate import get_backend
from hxloop.sweep.crew import Crew, crew_for
from hxloop.sweep.folder import PLAN, SweepFolder
from hxloop.sweep.grid import Grid, Point
from hxloop.sweep.job import Job, outcome
from hxloop.sweep.result import Row, SweepResult
from hxloop.training.losses import get_loss


def sweep(
    config: ExperimentConfig,
    grid: Grid | Mapping[str, Iterable[Any]],
    out: str | os.PathLike[str],
    *,
    workers: int | None = None,
    cluster: str | None = None,
    threads: int = 1,
    by: Sequence[str] | None = None,
    report: bool = False,
    force: bool = False,
    say: Callable[[str], None] | None = None,
) -> SweepResult:
    """Train one network for each point of a grid; what is done already is not done again.

    Every run has a folder in ``out``, like any other run's. Beside them stand ``results.json``,
    ``results.md``, ``results.csv``, ``sweep.html`` and ``figure.png``, written anew whenever a run
    is done. Whoever is killed at whatever moment, the same call goes on, and comes to the same
    numbers. A run that fails is a row with its error, and is tried again by the next call.

    In a script, call it below ``if __name__ == "__main__":``, as with all that starts processes.

    Args:
        config: what all runs share.
        grid: a ``Grid``, or dotted keys with their values.
        out: folder of the sweep, made.
        workers: processes of this machine; None: one for each processor, or this process alone
            where the package ``distributed`` is not installed.
        cluster: address of the scheduler of a Dask cluster instead, ``tcp://HOST:PORT``; its
            workers must see ``out`` under the same path.
        threads: of each run; the last digits of its numbers depend on it.
        by: keys of the grid that the table is split by; None: all but seed and chip.
        report: whether every run gets a report.
        force: replace another sweep that is in ``out``.
        say: told what is done.

    Raises:
        ConfigError: a point of the grid is no configuration, or the configuration is a study's:
            before anything is trained.
        OutputError: ``out`` holds something else, or another process sweeps there.
        MissingDependencyError: several workers, and no ``distributed``.
        RunFailed: the cluster is gone.
    """
    grid = grid if isinstance(grid, Grid) else Grid.of(grid)
    config, folder = config.with_absolute_paths(), checks.path("out", out, error=OutputError)
    threads = checks.whole("threads", threads, low=1)
    if config.study:
        raise ConfigError(
            f"sweep: {config.name!r} is a study, which trains several networks by itself; expected "
            "the configuration of one"
        )
    configs = _configs(config, grid)
    empty = SweepResult(experiment=config.name, keys=tuple(grid.axes), rows=())
    empty.split_by(by)
    crew = crew_for(workers, cluster, len(configs))
    axes = {key: list(values) for key, values in grid.axes.items()}
    plan: dict[str, Any] = {"config": config.to_toml(), "grid": axes}
    plan |= {"threads": threads, "by": None if by is None else list(by)}
    place = SweepFolder.made(folder, plan, force=force)
    with FileLock.inside(folder):
        place.write_plan(plan)
        jobs = [
            Job(
                name=point.name,
                folder=str((folder / point.name).resolve()),
                config=own.to_toml(),
                threads=threads,
                report=report,
                force=force,
            )
            for point, own in configs
        ]
        points = [point for point, _ in configs]
        return _conduct(crew, jobs, points, empty, place, by, say or (lambda _: None))


def resume_sweep(
    folder: str | os.PathLike[str],
    *,
    workers: int | None = None,
    cluster: str | None = None,
    say: Callable[[str], None] | None = None,
) -> SweepResult:
    """Go on with the sweep in a folder, as it was begun; see ``sweep``.

    Raises:
        FileFormatError: there is none, or its plan is damaged.
    """
    folder = checks.path("folder", folder)
    plan = SweepFolder(folder).plan()
    try:
        config = ExperimentConfig.from_mapping(tomllib.loads(plan["config"]), str(folder / PLAN))
        grid, threads, by = Grid.of(plan["grid"]), plan["threads"], plan["by"]
    except (KeyError, TypeError, AttributeError, tomllib.TOMLDecodeError) as error:
        raise FileFormatError(f"{folder / PLAN}: damaged: {error!r}") from error
    return sweep(
        config, grid, folder, workers=workers, cluster=cluster, threads=threads, by=by, say=say
    )


def _configs(config: ExperimentConfig, grid: Grid) -> list[tuple[Point, ExperimentConfig]]:
    """The points with their configurations, each of which is valid."""
    found = []
    for point in grid.points():
        own = point.config(config)
        # Names of things that other packages may bring are looked up only when they are wanted.
        get_backend(own.backend.name, **own.backend.options)
        get_loss(own.loss.name, **own.loss.options)
        own.spike_encoding()
        own.weights_drawn_by()
        own.dataset.loader()
        found.append((point, own))
    return found


def _conduct(
    crew: Crew,
    jobs: Sequence[Job],
    points: Sequence[Point],
    empty: SweepResult,
    folder: SweepFolder,
    by: Sequence[str] | None,
    say: Callable[[str], None],
) -> SweepResult:
    """Have the jobs done that are not, and write down what came of each at once."""
    outcomes = {job.name: found for job in jobs if (found := outcome(job)) is not None}
    if outcomes:
        say(f"{len(outcomes)} of {len(jobs)} runs are done already")

    def result() -> SweepResult:
        rows = (
            Row(name=point.name, values=point.values, outcome=outcomes.get(point.name, {}))
            for point in points
        )
        return replace(empty, rows=tuple(rows))

    folder.write(result(), by)
    missing = [job for job in jobs if job.name not in outcomes]
    for job, found in crew.do(missing):
        outcomes[job.name] = found
        folder.write(result(), by)
        told = found.get("error") or f"test {100 * found['test_accuracy']:.2f} %"
        say(f"{len(outcomes)} of {len(jobs)}  {job.name}: {told}")
    folder.draw(result(), by)
    return result()
