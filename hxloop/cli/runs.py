"""Commands that train and evaluate.

Each imports what it needs when it is run: ``hxloop --help`` waits for neither torch nor numba.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.activity.recorded import TRAINED
from hxloop.cli import output as output
from hxloop.cli.app import BackendName, Json, RunDir, Settings, app
from hxloop.cli.own_data import Data, Ignore, Label, Split, configuration_of_data, of_data
from hxloop.errors import ConfigError, TrainingInterrupted, UnknownNameError
from hxloop.training import progress as progress_of
from hxloop.training.events import TrainingEvents

if TYPE_CHECKING:
    from hxloop.runs.config import ExperimentConfig


@app.command()
def train(
    experiment: Annotated[
        str | None, typer.Argument(help="A shipped experiment, or a TOML file.")
    ] = None,
    data: Data = None,
    label: Label = None,
    split: Split = None,
    ignore: Ignore = None,
    backend: BackendName = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder [runs/EXPERIMENT].")] = None,
    settings: Settings = None,
    init_from: Annotated[
        Path | None,
        typer.Option(metavar="RUN_DIR", help="Begin with the weights that this run ended with."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run in --out.")] = False,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Whether report.html is written.")
    ] = True,
    json_: Json = False,
) -> None:
    """Train an experiment, or on data of your own; writes a run folder with a report.

    With --data and an experiment, the experiment is trained on that data; without one, a
    configuration is made for it (written by: hxloop new).
    """
    from hxloop.experiments.registry import load_experiment, study_of
    from hxloop.runs import prepare, train_prepared
    from hxloop.runs.folder import RunDirectory
    from hxloop.substrate import get_backend

    overrides = _overrides(settings, backend, epochs, seed, init_from)
    if data is None:
        _only_with_data(label=label, split=split, ignore=ignore)
        if experiment is None:
            raise ConfigError(
                "train: what? Expected an experiment (hxloop experiments lists them), a TOML file, "
                "or --data PATH"
            )
        config = load_experiment(experiment, overrides)
    elif experiment is None:
        config = configuration_of_data(data, label, split, ignore, overrides)
    else:
        config = load_experiment(experiment, [*of_data(data, label, split, ignore), *overrides])
    named = Path(experiment).stem if experiment else config.name
    folder = out if out is not None else Path("runs") / named
    if study_of(config) is not None:
        if not report:
            raise ConfigError(
                f"--no-report: {config.name} is a study, whose trainings have one each"
            )
        _study(config, folder, force, json_)
        return
    # Whoever has to correct the backend should not have to correct the folder first.
    get_backend(config.backend.name, **config.backend.options)
    RunDirectory.check(folder, force=force)
    prepared = prepare(config)
    output.announce(prepared)
    with progress_of.training() as progress, _stop_on_interrupt() as stop:
        result = train_prepared(
            prepared, folder, force=force, events=(stop, progress), report=report
        )
    output.trained(result, json_)


@app.command("resume")
def resume_(
    run_dir: RunDir,
    epochs: Annotated[
        int | None, typer.Option(help="Train to so many epochs, more than were planned, say.")
    ] = None,
    json_: Json = False,
) -> None:
    """Continue an interrupted training, bit for bit as if it had not been interrupted.

    With --epochs a finished one goes on, too. With the schedules "constant" and "step" that is
    the training of so many epochs; with "cosine" the learning rate goes on at that of the new
    number.
    """
    from hxloop.experiments.registry import study_of
    from hxloop.runs import resume
    from hxloop.runs.folder import RunDirectory

    run = RunDirectory.open(run_dir)
    config = run.config()
    if study_of(config) is not None:
        if epochs is not None:
            raise ConfigError("resume --epochs: this is the folder of a study, not of one training")
        _study(config, run_dir, False, json_)
        return
    if run.is_finished and epochs in (None, config.training.epochs):
        output.note(
            f"{run_dir}: nothing is left to train, all {config.training.epochs} epochs were done; "
            "evaluated again. Longer: --epochs N"
        )
    with progress_of.training() as progress, _stop_on_interrupt() as stop:
        result = resume(run_dir, epochs=epochs, events=(stop, progress))
    output.trained(result, json_)


@app.command()
def evaluate(
    run_dir: RunDir,
    backend: BackendName = None,
    settings: Settings = None,
    activity: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what all layers did to an activity log."),
    ] = None,
    state: Annotated[str, typer.Option(help="Its name in that log.")] = TRAINED,
    hours: Annotated[
        str | None,
        typer.Option(help="On the chip after so many hours of drift, e.g. 0,1,10,100."),
    ] = None,
    json_: Json = False,
) -> None:
    """Evaluate a finished run on the test split, here or on another backend.

    --set takes options of the backend, for example --set backend.options.chip=7, and a
    calibration of its chip, --set backend.calibration=FILE ("": none). Without, the run's own
    calibration goes along as long as the chip is the one that it was made on.
    """
    from hxloop.runs import evaluate_run
    from hxloop.runs.config_overrides import apply_override

    values: dict[str, Any] = {"backend": {"options": {}, "calibration": None}}
    for setting in settings or []:
        if not setting.startswith(("backend.options.", "backend.calibration=")):
            raise ConfigError(
                f"--set {setting!r}: a finished run is evaluated as it was trained; expected "
                "backend.options.NAME=VALUE or backend.calibration=FILE"
            )
        apply_override(values, setting)
    chosen = values["backend"]
    if hours is not None:
        if activity is not None:
            raise ConfigError(
                "--hours with --activity: a log holds one evaluation; give one of both"
            )
        from hxloop.runs import drift_curve

        ages = _numbers("--hours", hours)
        points = drift_curve(
            run_dir, ages, backend, chosen["options"], calibration=chosen["calibration"]
        )
        output.drifted(points, json_)
        return
    with progress_of.counting("samples") as progress:
        result = evaluate_run(
            run_dir,
            backend,
            chosen["options"],
            calibration=chosen["calibration"],
            activity=activity,
            state=state,
            progress=progress,
        )
    output.evaluated(result, json_)


def _overrides(
    settings: list[str] | None, backend: str | None, epochs: int | None, seed: int | None,
    init_from: Path | None,
) -> list[str]:  # fmt: skip
    """What options of the command line set in a configuration."""
    found = [] if backend is None else [f'backend.name="{backend}"']
    found += settings or []
    if epochs is not None:
        found.append(f"training.epochs={epochs}")
    if seed is not None:
        found.append(f"seed={seed}")
    if init_from is not None:
        start = json.dumps(str(init_from))
        found += [f"initialisation.run={start}", "initialisation.method=from-run"]
    return found


def _only_with_data(**given: Any) -> None:
    for name, value in given.items():
        if value:
            raise ConfigError(f"--{name}: of which data? Expected --data PATH, too")


def _numbers(where: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(
            f"{where}: expected numbers with commas between them, such as 0,1,10; got {text!r}"
        ) from error


def _study(config: ExperimentConfig, folder: Path, force: bool, as_json: bool) -> None:
    from hxloop.experiments.registry import study_of

    study = study_of(config)
    if study is None:
        raise UnknownNameError(f"experiment {config.name!r} is not a study")
    output.note(f"{config.name}: {config.description}".rstrip(": "))
    try:
        with progress_of.training() as progress, _stop_on_interrupt() as stop:
            result = study(config, folder, force=force, events=(stop, progress))
    except (TrainingInterrupted, KeyboardInterrupt) as error:
        raise TrainingInterrupted(
            f"the study was stopped; what is done is kept. Continue with: hxloop resume {folder}"
        ) from error
    output.study_done(result, folder, as_json)


class _Stop(TrainingEvents):
    """Asks for a stop, once it is told to.

    Attributes:
        begun: whether there is a training that could stop with a checkpoint.
        wanted: whether it is to.
    """

    def __init__(self) -> None:
        self.begun = self.wanted = False

    def started(self, epoch: int, epochs: int, batches: int, batch: int) -> None:
        self.begun = True

    def wants_stop(self) -> bool:
        return self.wanted


@contextmanager
def _stop_on_interrupt() -> Iterator[_Stop]:
    """The first Ctrl-C stops after the batch with a checkpoint, the second at once."""
    stop = _Stop()
    previous = signal.getsignal(signal.SIGINT)

    def handler(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, previous)
        if not stop.begun:
            raise KeyboardInterrupt
        output.note("stopping after this batch (Ctrl-C again: at once) ...")
        stop.wanted = True

    signal.signal(signal.SIGINT, handler)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, previous)
