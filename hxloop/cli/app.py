"""The application that commands are added to, and the arguments that many of them take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

USAGE, FAILURE, INTERRUPTED = 2, 1, 130  # exit status

app = typer.Typer(
    add_completion=False,
    no_args_is_help=False,
    pretty_exceptions_enable=False,
    # What stands in square brackets in a help text would be taken for markup, and lost.
    rich_markup_mode=None,
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
