"""Commands about recordings, backends and this machine: all but those that train.

Each imports what it needs when it is run, as in ``hxloop.cli.runs``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer

from hxloop.cli import output as output
from hxloop.cli.app import FAILURE, Json, app
from hxloop.cli.chips import prepare_only
from hxloop.cli.words import keyword_names, read_settings
from hxloop.errors import ConfigError, OutputError, UnknownNameError, unknown_name
from hxloop.provenance import provenance
from hxloop.training import progress as progress_of

_OPTIONS = {"backend.options": "an option of the backend"}


@app.command()
def analyse(
    recording: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR|ACTIVITY.h5|SPIKES.npz|STUDY_DIR",
            help="Folder of a run with an activity log, an activity log, or arrays of spike times; "
            "or a study, whose finished trainings are analysed anew.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for the results [RUN_DIR/analysis, NAME-analysis].")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="How much, e.g. analysis.n_null=50; repeatable."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Ask recorded activity what the network learned; writes a report with figures."""
    from hxloop.analysis.measures.options import AnalysisOptions
    from hxloop.analysis.run import analyse_recording

    if (again := _reanalysis(recording)) is not None:
        if settings:
            raise ConfigError("--set: a study is analysed as its configuration says; leave it out")
        result = again(recording, out)
        output.study_done(result, out or recording, json_)
        return
    values = read_settings(settings, {"analysis": "how much is computed"})["analysis"]
    keyword_names("key in analysis", values, [field.name for field in fields(AnalysisOptions)])
    options = AnalysisOptions(**values)
    output.analysed(analyse_recording(recording, out, options=options, say=output.note), json_)


def _reanalysis(folder: Path) -> Callable[[Path, Path | None], dict[str, Any]] | None:
    """How the study in a folder is analysed anew; None where there is no study in it."""
    from hxloop.activity import LOG_NAME
    from hxloop.experiments.registry import reanalysis_of
    from hxloop.runs.folder import RunDirectory

    if not (folder / "config.toml").is_file() or (folder / LOG_NAME).is_file():
        return None
    config = RunDirectory.open(folder).config()
    if not config.study:
        return None
    again = reanalysis_of(config)
    if again is None:
        raise ConfigError(
            f"{folder}: the study {config.name!r} keeps no activity to be analysed anew; give one "
            "of its run folders"
        )
    return lambda study, out: again(config, study, out, say=output.note)


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
            help="backend.options.NAME=VALUE, calibration.NAME=VALUE or target.NAME=VALUE; "
            "repeatable.",
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
    from hxloop.calibration import workflow
    from hxloop.calibration.options import options_from
    from hxloop.chip.operating_point import OperatingPoint

    tables = {**_OPTIONS, "calibration": "how it is done", "target": "what neurons are to be"}
    values = read_settings([*(settings or []), *(f"target.{t}" for t in target or [])], tables)
    own = values["backend.options"]
    point = OperatingPoint.from_mapping(values["target"])
    options = options_from(values["calibration"])
    if verify:
        _verify(out, backend, chip, own, json_)
        return
    if out.exists() and not force:
        raise OutputError(f"{out}: exists. Give another --out, or --force to replace it.")
    chosen = workflow.chip_backend(backend, chip, own, point)
    with progress_of.calibration() as progress:
        result = workflow.calibrate_backend(
            chosen, point, options, out=out, cache=cache, progress=progress
        )
    judgement = workflow.judge_result(chosen, result)
    # With the figures, which take a second to import, and which --verify does not need.
    from hxloop.calibration.report import write_calibration_report

    report = out.with_suffix(".html")
    summary = workflow.summary(result, judgement, chosen)
    write_calibration_report(report, result, summary, provenance(backend=backend))
    output.calibrated(
        {**summary, "file": str(out), "report": str(report)}, workflow.RATIO_BOUNDS, json_
    )


def _verify(
    path: Path, backend: str, chip: int | None, options: dict[str, Any], as_json: bool
) -> None:
    from hxloop.calibration import load_calibration
    from hxloop.calibration.workflow import chip_backend, verify_backend

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
            "--set",
            metavar="KEY=VALUE",
            help="An option of the backend, e.g. backend.options.chip=3 or chip=3; repeatable.",
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
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="NAME", help="A check, or a group of them; repeatable."),
    ] = None,
    prepare: Annotated[
        bool,
        typer.Option(
            "--prepare-only",
            help="pynn-brainscales2: show networks to the vendor's router, without a chip.",
        ),
    ] = False,
    json_: Json = False,
) -> int:
    """Check that a backend does what every backend must do."""
    if prepare:
        return prepare_only(name, settings, json_)
    from hxloop.conformance import ALL_CHECKS, CHECKS, Subject, chosen_checks, run_checks
    from hxloop.substrate import get_backend

    options = read_settings(settings, _OPTIONS, bare="backend.options")["backend.options"]
    subject = Subject(
        get_backend(name, **options),
        statistical=True if statistical else None,
        label=" ".join([name, *(settings or [])]),
    )
    checks = chosen_checks(only, long) if only else ALL_CHECKS if long else CHECKS
    with output.checking(len(checks)) as listener:
        report = run_checks(subject, checks, listener)
    output.checked(report, json_)
    return 0 if report.good else FAILURE


@app.command()
def bench(
    what: Annotated[
        str, typer.Argument(metavar="[engine|trains|chip|pynn|activity]", help="What to measure.")
    ] = ("engine"),
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="How much, e.g. bench.repetitions=3; repeatable."
        ),
    ] = None,
    json_: Json = False,
) -> None:
    """Measure what this machine does: step times, epochs, memory."""
    from hxloop.bench import benchmark_names, run_benchmark

    known = benchmark_names()
    if what not in known:
        raise UnknownNameError(unknown_name("benchmark", what, known))
    options = read_settings(settings, {"bench": "how much is measured"})["bench"]
    output.measured(run_benchmark(what, output.note, options), json_)
