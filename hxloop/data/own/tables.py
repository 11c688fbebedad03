"""Tables: CSV and Parquet files, and data frames."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.data.own.raw import Columns, Raw
from hxloop.errors import (
    ConfigError,
    FileFormatError,
    MissingDependencyError,
    UnknownNameError,
    unknown_name,
)
from hxloop.text import printable

LABELS = ("label", "class", "target")  # what the column of the classes is called, if nobody says
TEXT = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
PARQUET = (".parquet",)
_DELIMITERS = ",;\t"


def read_table(path: Path, columns: Columns) -> Raw:
    """The samples of a file.

    Args:
        path: CSV (commas, semicolons or tabs; the first line names the columns), or Parquet.
        columns: what is what.

    Raises:
        MissingDependencyError: pandas, or what reads Parquet, is not installed.
        FileFormatError: it cannot be read, has no names of columns, or values that are missing or
            are no numbers.
        UnknownNameError: there is no such column.
        ConfigError: it is not said which column holds the classes, and none is called so.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: tables are read with the package 'pandas', which is not installed; try: pip "
            "install 'hxloop[tables]'"
        ) from error
    try:
        if path.name.lower().endswith(PARQUET):
            frame = pd.read_parquet(path)
        else:
            names, delimiter = _header(path)
            apart = columns_apart(names, columns, str(path))
            # As they stand: a class "NA" is no missing value.
            as_text = {name: str for name in apart if name}
            frame = pd.read_csv(
                path, sep=delimiter, encoding="utf-8-sig", dtype=as_text, keep_default_na=False,
                na_values={name: ["", "NA", "NaN", "nan"] for name in names if name not in as_text},
                index_col=False,
            )  # fmt: skip
    except ImportError as error:
        raise MissingDependencyError(
            f"{path}: Parquet is read with the package 'pyarrow', which is not installed; try: pip "
            "install 'hxloop[tables]'"
        ) from error
    except (OSError, EOFError, ValueError) as error:
        if isinstance(error, FileFormatError | ConfigError | UnknownNameError):
            raise
        raise FileFormatError(f"{path}: cannot be read: {printable(str(error))}") from error
    return raw_frame(frame, columns, str(path), first_row=2)


def columns_apart(names: list[str], columns: Columns, where: str) -> tuple[str, str | None]:
    """Names of the column of the classes, and of that of the splits.

    Raises:
        UnknownNameError: there is no such column.
        ConfigError: it is not said which one holds the classes, and none is called so.
    """
    for name in (columns.label, columns.split, *columns.ignore):
        if name is not None and name not in names:
            raise UnknownNameError(f"{where}: {unknown_name('column', name, names)}")
    label = columns.label
    if label is None:
        found = [name for name in names if name.lower() in LABELS]
        if len(found) != 1:
            raise ConfigError(
                f"{where}: which column holds the classes? Expected dataset.label = NAME, or one "
                f"column called {', '.join(LABELS)}; there are: {', '.join(names)}"
            )
        label = found[0]
    return label, columns.split


def raw_frame(frame: Any, columns: Columns, where: str, first_row: int = 0) -> Raw:
    """The samples of a data frame.

    Args:
        frame: of pandas, or what has its ``columns`` and ``to_numpy``; its index is not looked at.
        columns: what is what.
        where: it is from, for messages.
        first_row: number of the first row, for messages.

    Raises:
        FileFormatError: values that are missing or are no numbers.
        UnknownNameError, ConfigError: see ``columns_apart``.
    """
    names = [str(name) for name in frame.columns]
    _check_once(names, where)
    label, split = columns_apart(names, columns, where)
    features = tuple(n for n in names if n not in (label, split, *columns.ignore))
    if not features:
        raise FileFormatError(f"{where}: no column is left for features beside {label!r}")
    by_name = dict(zip(names, frame.columns, strict=True))
    values = np.empty((len(frame), len(features)))
    for place, name in enumerate(features):
        column = frame[by_name[name]]
        values[:, place] = _numbers(column.to_numpy(), name, where, first_row)
    return Raw(
        samples=values,
        labels=frame[by_name[label]].to_numpy(),
        splits=None if split is None else frame[by_name[split]].to_numpy(),
        features=features,
    )


def _header(path: Path) -> tuple[list[str], str]:
    """Names of the columns, and what stands between them."""
    with (
        gzip.open(path, "rt", encoding="utf-8-sig", newline="")
        if path.suffix == ".gz"
        else (path.open(encoding="utf-8-sig", newline="")) as file
    ):
        line = file.readline()
    if not line.strip():
        raise FileFormatError(f"{path}: it is empty")
    delimiter = max(_DELIMITERS, key=line.count)
    names = next(csv.reader([line], delimiter=delimiter))
    if all(_is_number(name) for name in names):
        raise FileFormatError(
            f"{path}: expected the names of the columns in the first line; got numbers: "
            f"{', '.join(names[:4])}{', ...' if len(names) > 4 else ''}. Put a line of names above"
        )
    _check_once(names, str(path))
    unnamed = [place for place, name in enumerate(names) if not name.strip()]
    if unnamed:
        raise FileFormatError(
            f"{path}: column {unnamed[0] + 1} has no name in the first line. If it numbers the "
            "rows, leave it out (pandas: to_csv(..., index=False))"
        )
    return names, delimiter


def _check_once(names: list[str], where: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise FileFormatError(f"{where}: two columns are called {printable(repr(twice[0]))}")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(column: NDArray[Any], name: str, where: str, first_row: int) -> NDArray[np.float64]:
    """A column of real numbers; flags are 0 and 1, as a column for each kind has them."""
    if column.dtype.kind not in "fiub":
        try:
            converted = column.astype(np.float64)
        except (TypeError, ValueError):
            row, value = next(
                (i, v) for i, v in enumerate(column.tolist()) if not _is_number(str(v))
            )
            comma = isinstance(value, str) and _is_number(value.replace(",", "."))
            hint = f"Make numbers of it, or leave it out: dataset.ignore = [{name!r}]"
            raise FileFormatError(
                f"{where}: column {printable(name)!r}, row {row + first_row}: expected a number; "
                f"got {printable(repr(value))}. {'Write decimals with a point' if comma else hint}"
            ) from None
        column = converted
    values = column.astype(np.float64)
    wrong = ~np.isfinite(values)
    if wrong.any():
        row = int(np.argmax(wrong))
        got = "nothing" if np.isnan(values[row]) else values[row]
        raise FileFormatError(
            f"{where}: column {printable(name)!r}, row {row + first_row}: expected a finite "
            f"number; got {got}. Fill it, or leave the row out"
        )
    return values
