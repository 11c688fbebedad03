"""Commands for whoever has a chip: what its link carries, its scales; and what this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hxloop.cli import output as output
from hxloop.cli.app import FAILURE, Json, app
from hxloop.cli.words import read_settings
from hxloop.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from hxloop.substrate.chip_software import ChipSoftware

# Circuits of the chip, as ``hxloop.chip.placement`` has them; its import is not quick.
N_CIRCUITS = 512
_OPTIONS = {"backend.options": "an option of the backend"}
_Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="An option of the backend, e.g. calibration_file=spiking2_cocolist.pbin; repeatable.",
    ),
]


def prepare_only(name: str, settings: list[str] | None, as_json: bool) -> int:
    """``check-backend --prepare-only``: the vendor's software and router, and no chip.

    Raises:
        ConfigError: a backend without a vendor's software.
    """
    told, rows = _software(name, settings, "--prepare-only").prepare_networks()
    output.note(told)
    good = all(row.good for row in rows)
    if as_json:
        output.json_object({"good": good, "networks": [vars(row) for row in rows]})
        return 0 if good else FAILURE
    for row in rows:
        output.line(f"  {row.network:<24} {row.outcome}")
    output.line("As expected." if good else "Placement and the vendor's router do not agree.")
    return 0 if good else FAILURE


def _software(name: str, settings: list[str] | None, asked: str) -> ChipSoftware:
    from hxloop.substrate import get_backend
    from hxloop.substrate.chip_software import chip_software

    options = read_settings(settings, _OPTIONS, bare="backend.options")["backend.options"]
    found = chip_software(get_backend(name, **options))
    if found is None:
        raise ConfigError(
            f"{asked}: there is no vendor's software behind backend {name!r}; pynn-brainscales2 "
            "has one"
        )
    return found


@app.command("check-link")
def check_link(
    name: Annotated[str, typer.Argument(help="A backend with a chip behind it.")],
    milliseconds: Annotated[float, typer.Option(help="Of the chip's time, for each rate.")] = 5.0,
    json_: Json = False,
) -> None:
    """Send events to a chip at rising rates: what is lost, dropped, how late."""
    if not 0.1 <= milliseconds <= 100:
        raise ConfigError(f"--milliseconds: expected 0.1 to 100; got {milliseconds:g}")
    report = _software(name, None, "check-link").check_link(milliseconds)
    values = {
        "chip": report.chip_id,
        "release": report.release,
        "spike_offset_us": report.offset_us,
        "sustained_events_per_us": report.sustained(),
        "rates": [vars(rate) for rate in report.rates],
    }
    if json_:
        output.json_object(values)
        return
    output.line(f"Chip {report.chip_id or '(unknown)'}, software of {report.release}")
    output.line("  events/us      sent  received   dropped    lost   late")
    for each in report.rates:
        output.line(
            f"  {each.rate:9g} {each.sent:9} {each.received:9} {each.dropped:9} "
            f"{100 * each.lost:6.2f}% {each.offset_ns:5.0f} ns"
        )
    output.line(
        f"Up to {report.sustained():g} events/us no more than 0.1 % are lost. Stamped late by "
        f"{report.offset_us:.3f} us: --set backend.options.spike_offset_us={report.offset_us:.3f}"
    )


@app.command("fit-scales")
def fit_scales(
    name: Annotated[str, typer.Argument(help="A backend; `hxloop backends` lists them.")],
    out: Annotated[Path, typer.Option(help="The scales file to write, NAME.json.")],
    settings: _Settings = None,
    neurons: Annotated[int, typer.Option(help="How many circuits to measure.")] = N_CIRCUITS,
    trials: Annotated[int, typer.Option(help="Runs.")] = 4,
    force: Annotated[bool, typer.Option("--force", help="Replace the file --out.")] = False,
    json_: Json = False,
) -> None:
    """Measure weight scale, time constant, offset, usable circuits of a chip from its spikes."""
    from hxloop.calibration import measure_scales, save_scales
    from hxloop.substrate import get_backend

    if out.suffix != ".json":
        raise ConfigError(f"--out: expected a name that ends with .json; got {out}")
    if out.exists() and not force:
        raise OutputError(f"{out}: exists. Give another --out, or --force to replace it.")
    if not 1 <= neurons <= N_CIRCUITS or not 1 <= trials <= 1000:
        raise ConfigError(
            f"--neurons, --trials: expected 1 to {N_CIRCUITS} and 1 to 1000; got {neurons} and "
            f"{trials}"
        )
    options = read_settings(settings, _OPTIONS, bare="backend.options")["backend.options"]
    measured = measure_scales(
        get_backend(name, **options), neurons=neurons, n_circuits=N_CIRCUITS, trials=trials
    )
    save_scales(out, measured)
    summary = {**measured.summary(), "file": str(out)}
    if json_:
        output.json_object(summary)
        return
    output.line(f"Chip {measured.chip_id or '(unknown)'}, {measured.n_measured} neurons measured:")
    for what, value in {
        "weight of a bit": f"{measured.weight_scale:.4f} of the nominal one",
        "unit of time": f"{measured.time_scale:.4f} of the nominal one",
        "spikes are late": f"{measured.spike_offset:.4f} tau_syn, beyond what is subtracted",
        "spikes a sample": f"{measured.spikes_per_sample:.3f} of a driven neuron (aim: 1)",
        "usable": f"{int(measured.usable.sum())} of {measured.n_circuits} circuits",
    }.items():
        output.line(f"  {what:<17} {value}")
    output.line(f"File: {out}; train with it: --set backend.calibration={out}")


@app.command()
def doctor(
    calibration: Annotated[
        Path | None, typer.Option(help="A calibration file (.pbin) that is to be used.")
    ] = None,
    connect: Annotated[
        bool, typer.Option("--connect", help="Ask the chip which one it is; opens a connection.")
    ] = False,
    json_: Json = False,
) -> int:
    """Say what a helper would ask for: versions, connection, chip, compilers, caches."""
    from hxloop.cli.doctor import examine

    found = examine(calibration, connect=connect)
    if json_:
        output.json_object(found.as_dict())
    else:
        for title, rows in found.sections.items():
            output.line(title)
            for key, value in rows.items():
                output.line(f"  {key:<28} {value}")
        for problem in found.problems:
            output.line(f"! {problem}")
        if not found.problems:
            output.line("No problem found.")
    return FAILURE if found.problems else 0
