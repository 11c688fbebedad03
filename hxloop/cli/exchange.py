"""Commands that hand networks and recorded activity to other programs, and take networks of theirs.

Each imports what it needs when it is run, as in ``hxloop.cli.runs``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hxloop.cli import output as output
from hxloop.cli.app import Json, app
from hxloop.errors import ConfigError, UnknownNameError
from hxloop.units import DEFAULT_TAU_SYN_MS

KINDS = ("nir", "nwb", "npz", "nirdata")

Spikes = Annotated[
    str | None,
    typer.Option(
        metavar="[dirac|steps|jumps]",
        help="NIR: what a spike is to the other program: a Dirac pulse, as NIR's equations say; 1 "
        "for a time step --dt (norse, snnTorch); a jump of the current by the weight (jaxsnn).",
    ),
]
Unit = Annotated[str | None, typer.Option(metavar="[s|ms]", help="NIR, NIRData: of all times.")]
TimeStep = Annotated[float | None, typer.Option("--dt", help="NIR: of steps, in that unit.")]
TauSyn = Annotated[
    float | None,
    typer.Option(help=f"How long a unit of model time is [{DEFAULT_TAU_SYN_MS:g}]; not for npz."),
]


@app.command()
def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="RUN_DIR|ACTIVITY.h5|SPIKES.npz",
            help="Folder of a run, an activity log, or arrays of spike times.",
        ),
    ],
    to: Annotated[str, typer.Option("--to", metavar="[nir|nwb|npz|nirdata]", help="The format.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The file to write [nir: RUN_DIR/network.nir]."),
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="Which state of the activity [trained; npz: all].")
    ] = None,
    samples: Annotated[int | None, typer.Option(help="The first so many [all].")] = None,
    tau_syn_ms: TauSyn = None,
    spikes: Spikes = None,
    unit: Unit = None,
    dt: TimeStep = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file --out.")] = False,
    json_: Json = False,
) -> None:
    """Write for other programs: the trained network as a NIR graph; or recorded activity."""
    if to not in KINDS:
        raise UnknownNameError(f"unknown format {to!r}; known: {', '.join(KINDS)}")
    tau_syn = DEFAULT_TAU_SYN_MS if tau_syn_ms is None else tau_syn_ms
    if to == "nir":
        from hxloop.network.nir import Convention
        from hxloop.runs import export_nir

        if state is not None or samples is not None:
            raise ConfigError("export --to nir: --state and --samples are of activity; leave out")
        made = Convention(spikes=spikes or "dirac", unit=unit or "s", dt=dt, tau_syn_ms=tau_syn)
        output.exchanged(export_nir(source, out, made, force=force), json_)
        return
    if spikes is not None or dt is not None:
        raise ConfigError(f"export --to {to}: --spikes and --dt are of networks (--to nir)")
    if out is None:
        raise ConfigError(f"export --to {to}: where? Expected --out FILE")
    from hxloop.activity.formats.export import export_activity

    result = export_activity(
        source, out, to, state=state, samples=samples, tau_syn_ms=tau_syn, unit=unit or "s",
        force=force,
    )  # fmt: skip
    output.exported(result, json_)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A NIR graph.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for it [runs/NAME_OF_THE_FILE].")
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="EXPERIMENT",
            help="A shipped experiment or a TOML file, whose data, encoding and loss it gets "
            "[those that it was exported with].",
        ),
    ] = None,
    t_window: Annotated[
        float | None, typer.Option(help="How long a sample is observed, in tau_syn.")
    ] = None,
    tau_syn_ms: TauSyn = None,
    spikes: Spikes = None,
    unit: Unit = None,
    dt: TimeStep = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a run in --out.")] = False,
    json_: Json = False,
) -> None:
    """Make a run folder of another program's network: for hxloop evaluate, and to train it on."""
    from hxloop.experiments.registry import load_experiment
    from hxloop.network.nir import Convention
    from hxloop.runs import import_nir

    made = None
    if any(given is not None for given in (spikes, unit, dt, tau_syn_ms)):
        tau_syn = DEFAULT_TAU_SYN_MS if tau_syn_ms is None else tau_syn_ms
        made = Convention(spikes=spikes or "dirac", unit=unit or "s", dt=dt, tau_syn_ms=tau_syn)
    result = import_nir(
        file,
        out if out is not None else Path("runs") / file.stem,
        like=None if like is None else load_experiment(like),
        convention=made,
        t_window=t_window,
        force=force,
    )
    output.exchanged(result, json_)
