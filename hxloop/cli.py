"""The ``hxloop`` command."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, TyperException

import hxloop
from hxloop import cli_output as output
from hxloop.backend import backend_class, backend_names, unknown_name
from hxloop.config import ExperimentConfig, apply_override
from hxloop.datasets import DATASETS
from hxloop.errors import (
    ConfigError,
    HxloopError,
    OutputError,
    TrainingInterrupted,
    UnknownNameError,
)
from hxloop.training import Trainer

USAGE, FAILURE, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Train spiking networks in the loop on analog chips, with exact gradients.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Experiment = Annotated[str, typer.Argument(help="A shipped experiment, or a TOML file.")]
RunDir = Annotated[Path, typer.Argument(help="Folder of a run.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE of the configuration; repeatable.")
]
BackendName = Annotated[str | None, typer.Option("--backend", help="Run on another backend.")]


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options before the command."""


@app.command()
def version() -> None:
    """Print the version."""
    output.line(hxloop.__version__)


@app.command()
def train(
    experiment: Experiment,
    backend: BackendName = None,
    epochs: Annotated[int | None, typer.Option(help="Number of epochs.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder [runs/EXPERIMENT].")] = None,
    settings: Settings = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run in --out.")] = False,
    json_: Json = False,
) -> None:
    """Train an experiment; writes a run folder with a report."""
    from hxloop.experiment import train as train_experiment
    from hxloop.experiments.registry import load_experiment, study_of

    overrides = list(settings or [])
    if backend is not None:
        overrides.append(f"backend.name={json.dumps(backend)}")
    if epochs is not None:
        overrides.append(f"training.epochs={epochs}")
    if seed is not None:
        overrides.append(f"seed={seed}")
    config = load_experiment(experiment, overrides)
    if backend is not None and backend != load_experiment(experiment).backend.name:
        config = _drop_foreign_options(experiment, overrides, settings or [])
    folder = out if out is not None else Path("runs") / config.name
    study = study_of(experiment)
    if study is not None:
        with output.progress() as progress:
            result = study(config, folder, force=force, progress=progress)
        output.study_done(result, folder, json_)
        return
    output.announce(config)
    with output.progress() as progress, _stop_on_interrupt() as on_trainer:
        done = train_experiment(
            config, folder, force=force, progress=progress, on_trainer=on_trainer
        )
    output.trained(done, json_)


@app.command()
def resume(run_dir: RunDir, json_: Json = False) -> None:
    """Continue an interrupted training, bit for bit as if it had not been interrupted."""
    from hxloop.experiment import resume as resume_run

    with output.progress() as progress, _stop_on_interrupt() as on_trainer:
        done = resume_run(run_dir, progress=progress, on_trainer=on_trainer)
    output.trained(done, json_)


@app.command()
def evaluate(
    run_dir: RunDir, backend: BackendName = None, settings: Settings = None, json_: Json = False
) -> None:
    """Evaluate a finished run on the test split, here or on another backend.

    --set takes options of the backend, for example --set chip=7.
    """
    from hxloop.experiment import evaluate_run

    chosen: dict[str, Any] = {}
    for setting in settings or []:
        apply_override(chosen, setting)
    output.evaluated(evaluate_run(run_dir, backend, chosen), json_)


@app.command()
def experiments(json_: Json = False) -> None:
    """List the shipped experiments."""
    from hxloop.experiments.registry import experiment_description, experiment_names

    output.listing(
        "experiments", {name: experiment_description(name) for name in experiment_names()}, json_
    )


@app.command()
def backends(json_: Json = False) -> None:
    """List the installed backends."""
    found = {}
    for name in backend_names():
        try:
            found[name] = (backend_class(name).__doc__ or "").strip().splitlines()[0]
        except HxloopError as error:
            found[name] = f"not usable: {error}"
    output.listing("backends", found, json_)


@app.command()
def datasets(json_: Json = False) -> None:
    """List the data sets."""
    output.listing("datasets", dict(DATASETS), json_)


def _drop_foreign_options(
    experiment: str, overrides: list[str], settings: list[str]
) -> ExperimentConfig:
    # The shipped options belong to the shipped backend; those given by --set are meant.
    from hxloop.experiments.registry import load_experiment

    values = load_experiment(experiment).model_dump()
    values["backend"]["options"] = {}
    for override in overrides:
        apply_override(values, override)
    return ExperimentConfig.from_mapping(values, experiment)


@contextmanager
def _stop_on_interrupt() -> Iterator[Callable[[Trainer], None]]:
    """The first Ctrl-C stops after the batch with a checkpoint, the second at once."""
    trainers: list[Trainer] = []
    previous = signal.getsignal(signal.SIGINT)

    def handler(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, previous)
        if not trainers:
            raise KeyboardInterrupt
        output.note("stopping after this batch (Ctrl-C again: at once) ...")
        trainers[-1].request_stop()

    signal.signal(signal.SIGINT, handler)
    try:
        yield trainers.append
    finally:
        signal.signal(signal.SIGINT, previous)


def main(arguments: list[str] | None = None) -> None:
    """Entry point: runs the command, turns errors into one message and an exit status.

    Raises:
        SystemExit: 0 done, 2 wrong usage or configuration, 130 interrupted, 1 anything else.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    # Allowed anywhere, because one reaches for it after a command has failed.
    words = [word for word in words if word not in ("--debug",)]
    if words == ["--version"]:
        words = ["version"]
    raise SystemExit(_run(words, debug))


def _run(words: list[str], debug: bool) -> int:
    try:
        status = typer.main.get_command(app).main(words, "hxloop", standalone_mode=False)
    except TyperException as error:
        known = sorted(c.callback.__name__ for c in app.registered_commands if c.callback)
        command = next((word for word in words if not word.startswith("-")), None)
        if command is not None and command not in known:
            output.error(unknown_name("command", command, known))
        elif command is not None:
            output.error(f"{error.format_message()} See: hxloop {command} --help")
        return USAGE
    except (Abort, KeyboardInterrupt):
        output.error("interrupted")
        return INTERRUPTED
    except TrainingInterrupted as error:
        output.error(str(error))
        return INTERRUPTED
    except HxloopError as error:
        if debug:
            raise
        output.error("\n".join([str(error), *getattr(error, "__notes__", [])]))
        usage = isinstance(error, ConfigError | UnknownNameError | OutputError)
        return USAGE if usage else FAILURE
    except OSError as error:
        if debug:
            raise
        output.error(str(error))
        return FAILURE
    return int(status) if isinstance(status, int) else 0
