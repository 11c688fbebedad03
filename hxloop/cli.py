"""The ``hxloop`` command."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

import hxloop
from hxloop import cli_output as output
from hxloop.activity import TRAINED
from hxloop.activity.export import DEFAULT_TAU_SYN_MS, export_activity
from hxloop.analysis.run import analyse_recording
from hxloop.backend import backend_class, backend_names, get_backend, unknown_name
from hxloop.bench import benchmark_names, run_benchmark
from hxloop.calibrating import (
    RATIO_BOUNDS,
    calibrate_backend,
    chip_backend,
    judge_result,
    verify_backend,
)
from hxloop.calibrating import summary as result_summary
from hxloop.calibration import load_calibration
from hxloop.calibration.result import options_from
from hxloop.config import ExperimentConfig, apply_override
from hxloop.conformance import ALL_CHECKS, CHECKS, Subject, run_checks
from hxloop.datasets import DATASETS
from hxloop.errors import (
    CalibrationInterrupted,
    CapacityError,
    ConfigError,
    HxloopError,
    NetworkError,
    OutputError,
    TrainingInterrupted,
    UnknownNameError,
)
from hxloop.experiment import evaluate_run, prepare, train_prepared
from hxloop.experiment import resume as resume_run
from hxloop.experiments.registry import (
    experiment_description,
    experiment_names,
    load_experiment,
    study_of,
)
from hxloop.operating_point import OperatingPoint
from hxloop.provenance import provenance
from hxloop.rundir import RunDirectory
from hxloop.training import Trainer

USAGE, FAILURE, INTERRUPTED = 2, 1, 130
_USAGE_ERRORS = (ConfigError, UnknownNameError, OutputError, NetworkError, CapacityError)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    help="Train spiking networks in the loop on analog chips, with exact gradients.",
)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Experiment = Annotated[str, typer.Argument(help="A shipped experiment, or a TOML file.")]
RunDir = Annotated[Path, typer.Argument(help="Folder of a run.")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="A value of the configuration, e.g. backend.options.chip=3; repeatable.",
    ),
]
BackendName = Annotated[str | None, typer.Option("--backend", help="Run on another backend.")]


@app.callback()
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Options before the command; ``main`` sees to both of them."""


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
    overrides = list(settings or [])
    if epochs is not None:
        overrides.append(f"training.epochs={epochs}")
    if seed is not None:
        overrides.append(f"seed={seed}")
    config = _configuration(experiment, backend, overrides)
    folder = out if out is not None else Path("runs") / Path(experiment).stem
    if study_of(config) is not None:
        _study(config, folder, force, json_)
        return
    RunDirectory.check(folder, force=force)
    prepared = prepare(config)
    output.announce(prepared)
    with output.progress() as progress, _stop_on_interrupt() as on_trainer:
        result = train_prepared(
            prepared, folder, force=force, progress=progress, on_trainer=on_trainer
        )
    output.trained(result, json_)


@app.command()
def resume(run_dir: RunDir, json_: Json = False) -> None:
    """Continue an interrupted training, bit for bit as if it had not been interrupted."""
    config = RunDirectory.open(run_dir).config()
    if study_of(config) is not None:
        _study(config, run_dir, False, json_)
        return
    with output.progress() as progress, _stop_on_interrupt() as on_trainer:
        result = resume_run(run_dir, progress=progress, on_trainer=on_trainer)
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
    json_: Json = False,
) -> None:
    """Evaluate a finished run on the test split, here or on another backend.

    --set takes options of the backend only, for example --set backend.options.chip=7.
    """
    values: dict[str, Any] = {"backend": {"options": {}}}
    for setting in settings or []:
        if not setting.startswith("backend.options."):
            raise ConfigError(
                f"--set {setting!r}: a finished run is evaluated as it was trained; expected "
                "backend.options.NAME=VALUE"
            )
        apply_override(values, setting)
    options = values["backend"]["options"]
    result = evaluate_run(run_dir, backend, options, activity=activity, state=state)
    output.evaluated(result, json_)


@app.command()
def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR|ACTIVITY.h5|SPIKES.npz",
            help="Folder of a run, an activity log, or arrays of spike times.",
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="[nwb|npz]", help="The format.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    state: Annotated[str | None, typer.Option(help="Which state [nwb: trained; npz: all].")] = None,
    samples: Annotated[int | None, typer.Option(help="The first so many [all].")] = None,
    tau_syn_ms: Annotated[
        float, typer.Option(help="How long a unit of model time is, for NWB.")
    ] = DEFAULT_TAU_SYN_MS,
    force: Annotated[bool, typer.Option("--force", help="Replace the file --out.")] = False,
    json_: Json = False,
) -> None:
    """Write recorded activity for other programs: NWB, or plain arrays."""
    output.exported(
        export_activity(
            source, out, to, state=state, samples=samples, tau_syn_ms=tau_syn_ms, force=force
        ),
        json_,
    )


@app.command()
def analyse(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR|ACTIVITY.h5|SPIKES.npz",
            help="Folder of a run with an activity log, an activity log, or arrays of spike times.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results [RUN_DIR/analysis, NAME-analysis].")
    ] = None,
    json_: Json = False,
) -> None:
    """Ask recorded activity what the network learned; writes a report with figures."""
    output.analysed(analyse_recording(recording, out, say=output.note), json_)


@app.command()
def experiments(json_: Json = False) -> None:
    """List the shipped experiments."""
    found = {name: experiment_description(name) for name in experiment_names()}
    output.listing("experiments", found, json_)


@app.command()
def backends(json_: Json = False) -> None:
    """List the installed backends."""
    found = {}
    for name in backend_names():
        try:
            found[name] = (backend_class(name).__doc__ or "").strip().partition("\n")[0]
        except HxloopError as error:
            found[name] = f"not usable: {error}"
    output.listing("backends", found, json_)


@app.command()
def datasets(json_: Json = False) -> None:
    """List the data sets."""
    output.listing("datasets", dict(DATASETS), json_)


@app.command()
def bench(
    what: Annotated[
        str, typer.Argument(metavar="[engine|chip|activity]", help="What to measure.")
    ] = ("engine"),
    json_: Json = False,
) -> None:
    """Measure what this machine does: step times, epochs, memory."""
    known = benchmark_names()
    if what not in known:
        raise UnknownNameError(unknown_name("benchmark", what, known))
    output.measured(run_benchmark(what, output.note), json_)


@app.command()
def calibrate(
    out: Annotated[Path, typer.Option(help="File of the calibration (HDF5).")],
    backend: Annotated[str, typer.Option(help="Backend whose chip it is.")] = "emulated-chip",
    chip: Annotated[int | None, typer.Option(help="Number of the chip.")] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="What neurons are to be, e.g. tau_mem_us=12."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="backend.options.NAME=VALUE or calibration.NAME=VALUE; repeatable.",
        ),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Measure whether the calibration in --out still holds.")
    ] = False,
    cache: Annotated[
        Path | None, typer.Option(help="Folder of calibrations to take from and add to.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file in --out.")] = False,
    json_: Json = False,
) -> None:
    """Calibrate a chip through its own interface; writes a result and a report.

    Stopped with Ctrl-C, the same command goes on.
    """
    values: dict[str, Any] = {"backend": {"options": {}}, "calibration": {}, "target": {}}
    for setting in settings or []:
        if not setting.startswith(("backend.options.", "calibration.")):
            raise ConfigError(
                f"--set {setting!r}: expected backend.options.NAME=VALUE or calibration.NAME=VALUE"
            )
        apply_override(values, setting)
    for setting in target or []:
        apply_override(values, f"target.{setting}")
    point = OperatingPoint.from_mapping(values["target"])
    options = options_from(values["calibration"])
    if verify:
        _verify(out, backend, chip, values["backend"]["options"], json_)
        return
    if out.exists() and not force:
        raise OutputError(f"{out}: exists. Give another --out, or --force to replace it.")
    chosen = chip_backend(backend, chip, values["backend"]["options"], point)
    with output.calibration_progress() as progress:
        result = calibrate_backend(chosen, point, options, out=out, cache=cache, progress=progress)
    judgement = judge_result(chosen, result)
    # Imported here: figures take a second to import, and not every command has a report.
    from hxloop.calibration.report import write_calibration_report

    report = out.with_suffix(".html")
    summary = result_summary(result, judgement, chosen)
    write_calibration_report(report, result, summary, provenance(backend=backend))
    output.calibrated({**summary, "file": str(out), "report": str(report)}, RATIO_BOUNDS, json_)


def _verify(
    path: Path, backend: str, chip: int | None, options: dict[str, Any], as_json: bool
) -> None:
    result = load_calibration(path)
    chosen = chip_backend(backend, chip, options, result.target)
    seen = verify_backend(chosen, result)
    summary = {
        "chip": seen.chip_id,
        "expired": seen.expired,
        "out_of_tolerance": sorted(seen.out),
        "checked": seen.checked,
        "moved": dict(seen.moved),
        "made": result.made,
        "runs": seen.runs,
        "seconds": round(seen.seconds, 2),
    }
    output.verified(summary, seen.message, as_json)


@app.command("check-backend")
def check_backend(
    name: Annotated[str, typer.Argument(help="A backend; `hxloop backends` lists them.")],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="An option of the backend, e.g. chip=3; repeatable."
        ),
    ] = None,
    statistical: Annotated[
        bool,
        typer.Option(
            "--statistical",
            help="Judge medians and most of the neurons, as for a backend with noise.",
        ),
    ] = False,
    long: Annotated[bool, typer.Option("--long", help="With the check of 200 runs.")] = False,
    json_: Json = False,
) -> int:
    """Check that a backend does what every backend must do."""
    options: dict[str, Any] = {}
    for setting in settings or []:
        apply_override(options, setting)
    subject = Subject(
        get_backend(name, **options),
        statistical=True if statistical else None,
        label=" ".join([name, *(settings or [])]),
    )
    checks = ALL_CHECKS if long else CHECKS
    with output.checking(len(checks)) as listener:
        report = run_checks(subject, checks, listener)
    output.checked(report, json_)
    return 0 if report.good else FAILURE


def _configuration(experiment: str, backend: str | None, overrides: list[str]) -> ExperimentConfig:
    if backend is None:
        return load_experiment(experiment, overrides)
    shipped = load_experiment(experiment)
    values = shipped.model_dump()
    if backend != shipped.backend.name:
        # The shipped options belong to the shipped backend; those given by --set are meant.
        values["backend"] = {"name": backend, "options": {}}
    for override in overrides:
        apply_override(values, override)
    source = [f"configuration {experiment}", f"--backend {backend}", *overrides]
    return ExperimentConfig.from_mapping(values, " with ".join(source))


def _study(config: ExperimentConfig, folder: Path, force: bool, as_json: bool) -> None:
    study = study_of(config)
    if study is None:
        raise UnknownNameError(f"experiment {config.name!r} is not a study")
    output.note(f"{config.name}: {config.description}".rstrip(": "))
    try:
        with output.progress() as progress, _stop_on_interrupt() as on_trainer:
            result = study(
                config,
                folder,
                force=force,
                progress=progress,
                on_trainer=on_trainer,
                say=output.note,
            )
    except (TrainingInterrupted, KeyboardInterrupt) as error:
        raise TrainingInterrupted(
            f"the study was stopped; what is done is kept. Continue with: hxloop resume {folder}"
        ) from error
    output.study_done(result, folder, as_json)


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
    raise SystemExit(_run([word for word in words if word != "--debug"], debug))


def _run(words: list[str], debug: bool) -> int:
    known = sorted(c.name or c.callback.__name__ for c in app.registered_commands if c.callback)
    if words[:1] == ["--version"]:
        output.line(f"hxloop {hxloop.__version__}")
        return 0
    if not words or (not words[0].startswith("-") and words[0] not in known):
        # Said here, since what typer would say does not list the commands.
        missing = f"a command is missing; known: {', '.join(known)}."
        problem = unknown_name("command", words[0], known) if words else missing
        output.error(f"{problem} More: hxloop --help")
        return USAGE
    try:
        status = typer.main.get_command(app).main(words, "hxloop", standalone_mode=False)
    except typer.TyperException as error:
        if debug:
            raise
        problem = error.format_message().rstrip(".")
        hint = f"{words[0]} " if words[0] in known else ""
        output.error(f"{problem}. More: hxloop {hint}--help")
        return error.exit_code
    except (TrainingInterrupted, CalibrationInterrupted) as error:
        output.error(str(error))
        return INTERRUPTED
    except typer.Abort:
        status = INTERRUPTED
    except Exception as error:
        if debug:
            raise
        output.error(_message(error))
        return USAGE if isinstance(error, _USAGE_ERRORS) else FAILURE
    if status == INTERRUPTED:  # what typer makes of Ctrl-C
        output.error("interrupted at once; an interrupted training goes on: hxloop resume DIR")
    return int(status) if isinstance(status, int) else 0


def _message(error: Exception) -> str:
    if isinstance(error, HxloopError | OSError):
        return "\n".join([str(error), *getattr(error, "__notes__", [])])
    return f"{type(error).__name__}: {error}\nThis should not happen; --debug shows where it did."
