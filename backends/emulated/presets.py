"""Presets of imperfections: named sets of values, with what they are and where they are from.

Three are written down in ``imperfections.py``, the others are data, in ``presets.toml``. A file of
the same form by path is one, too; packages bring theirs by entry points ``hxloop.chip_presets``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hxloop.errors import ConfigError
from hxloop.registry import Registry

_FILE = Path(__file__).resolve().parent / "presets.toml"
_KEYS = frozenset({"about", "source", "start", "values"})


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named set of imperfections.

    Attributes:
        about: what it is, in a line.
        source: where its numbers are from.
        start: the preset that it begins with.
        values: what is another there, by name of the imperfection.
    """

    about: str
    source: str
    start: str
    values: Mapping[str, float]


def read_presets(path: Path) -> dict[str, Preset]:
    """The presets of a file: a table each, with ``about``, ``source``, ``start`` and ``values``.

    Raises:
        ConfigError: no such file, not TOML, or tables of another form.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"preset {path}: cannot be read: {error}") from error
    return {name: _preset(f"preset {path}: {name!r}", table) for name, table in tables.items()}


def _preset(where: str, table: Any) -> Preset:
    if not isinstance(table, Mapping) or set(table) != _KEYS:
        raise ConfigError(
            f"{where}: expected a table with {', '.join(sorted(_KEYS))}; got {table!r}"
        )
    if not isinstance(table["values"], Mapping):
        raise ConfigError(f"{where}: values: expected a table; got {table['values']!r}")
    return Preset(**table)


@cache
def preset_registry() -> Registry:
    """All presets that are data, by name."""
    return Registry("preset of imperfections", "hxloop.chip_presets", read_presets(_FILE))


def preset_of_file(path: str) -> Preset:
    """The one preset of a file, as ``hxloop fit-preset`` writes it.

    Raises:
        ConfigError: a file of another form, or with several.
    """
    found = read_presets(Path(path))
    if len(found) != 1:
        raise ConfigError(f"preset {path}: expected one table; got {', '.join(found) or 'none'}")
    return next(iter(found.values()))
