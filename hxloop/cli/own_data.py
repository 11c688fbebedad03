"""Training on files of one's own: a configuration that is written, or made for once.

Each imports what it needs when it is run, as in ``hxloop.cli.runs``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hxloop.cli import output as output
from hxloop.cli.app import Json, app
from hxloop.errors import ConfigError, OutputError
from hxloop.files.atomic import write_atomically

if TYPE_CHECKING:
    from hxloop.runs.config import ExperimentConfig
    from hxloop.runs.suggest import Suggestion

Data = Annotated[
    Path | None,
    typer.Option(
        metavar="PATH",
        help="Files of your own: CSV, Parquet, npz, npy, IDX, spikes in HDF5 or NWB.",
    ),
]
Label = Annotated[str | None, typer.Option(help="Of a table: the column of the classes.")]
Split = Annotated[
    str | None, typer.Option(help="Of a table: the column that says train, validation or test.")
]
Ignore = Annotated[
    list[str] | None, typer.Option(help="Of a table: a column that is no feature; repeatable.")
]


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Of the configuration, written to NAME.toml.")],
    data: Data = None,
    label: Label = None,
    split: Split = None,
    ignore: Ignore = None,
    force: Annotated[bool, typer.Option("--force", help="Replace NAME.toml.")] = False,
    json_: Json = False,
) -> None:
    """Write a configuration that trains on data of your own, with its reasons."""
    from hxloop.runs.suggest import Suggestion

    if data is None:
        raise ConfigError("new: which data? Expected --data PATH, a file or a folder")
    file = Path(name if name.endswith(".toml") else f"{name}.toml")
    if file.exists() and not force:
        raise OutputError(f"{file}: is there already; choose another name, or replace it: --force")
    found = suggestion(file.stem, data, label, split, ignore)
    # As whoever reads the file would write it: seen from its folder.
    values = dict(found.values)
    path = str(data)
    if not data.expanduser().is_absolute():
        path = os.path.relpath(data, file.parent)
    values["dataset"] = {**values["dataset"], "path": path}
    text = Suggestion(values, found.found, found.reasons).to_toml()
    write_atomically(file, text.encode("utf-8"))
    output.note(f"Found: {found.found}")
    if json_:
        output.json_object({"file": str(file), "found": found.found})
        return
    output.line(f"Wrote {file}. Train: hxloop train {file}")


def suggestion(
    name: str, data: Path, label: str | None, split: str | None, ignore: list[str] | None
) -> Suggestion:
    """A configuration for data that are given on the command line."""
    from hxloop.data import OwnData
    from hxloop.runs.suggest import suggestion_for

    columns: dict[str, Any] = {"label": label, "split": split, "ignore": tuple(ignore or ())}
    return suggestion_for(OwnData(path=data, **columns), name)


def of_data(
    data: Path, label: str | None, split: str | None, ignore: list[str] | None
) -> list[str]:
    """Settings of an experiment that is to be trained on these data."""
    from hxloop.data import OwnData

    given = {"path": str(data), "label": label, "split": split, "ignore": ignore}
    name = OwnData(path=data).title
    return [
        f"dataset={{name={json.dumps(name)}}}",
        *(f"dataset.{key}={json.dumps(value)}" for key, value in given.items() if value),
    ]


def configuration_of_data(
    data: Path, label: str | None, split: str | None, ignore: list[str] | None,
    overrides: list[str],
) -> ExperimentConfig:  # fmt: skip
    """What ``train --data`` trains without an experiment: what ``new`` would write."""
    from hxloop.data import OwnData
    from hxloop.runs.config import ExperimentConfig
    from hxloop.runs.config_overrides import apply_overrides

    found = suggestion(OwnData(path=data).title, data, label, split, ignore)
    output.note(f"Found: {found.found}")
    values: dict[str, Any] = {
        key: dict(value) if isinstance(value, dict) else value
        for key, value in found.values.items()
    }
    apply_overrides(values, overrides)
    return ExperimentConfig.from_mapping(values, " with ".join([f"--data {data}", *overrides]))
