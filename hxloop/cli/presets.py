"""The command that makes a preset of imperfections from recordings of a chip."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hxloop.cli import output as output
from hxloop.cli.app import Json, app
from hxloop.errors import ConfigError, OutputError


@app.command("fit-preset")
def fit_preset(
    recordings: Annotated[
        list[Path], typer.Argument(metavar="RECORDING...", help="Sessions recorded on the chip.")
    ],
    out: Annotated[Path, typer.Option(help="File of the preset.")] = Path("preset.toml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    json_: Json = False,
) -> None:
    """Estimate a chip's spreads and noises from recorded sessions; writes a preset.

    What the recordings cannot tell is said. Use: --set
    'backend.options.imperfections="preset.toml"'.
    """
    if out.suffix != ".toml":
        raise ConfigError(f"--out {out}: expected a file whose name ends with .toml")
    if out.exists() and not force:
        raise OutputError(f"{out}: is there already. Give another --out, or --force to replace it.")
    from hxloop.calibration.preset_fit import fit_preset as fitted_preset

    found = fitted_preset(recordings)
    found.write(out)
    if json_:
        estimates = {name: asdict(each) for name, each in found.estimates.items()}
        output.json_object(
            {
                "estimates": estimates,
                "unknown": dict(found.unknown),
                "neurons": list(found.neurons),
                "spikes": found.spikes,
                "file": str(out),
            }
        )
        return
    output.line(f"{found.spikes} spikes of {found.neurons[0]} of {found.neurons[1]} neurons")
    for name, estimate in found.estimates.items():
        output.line(f"{name:<17} {estimate}")
    for name, why in found.unknown.items():
        output.line(f"{name:<17} not identified: {why}")
    output.line(f"Preset:           {out}")
