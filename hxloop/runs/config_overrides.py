"""Single values of a configuration, set from the command line or in Python."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any

from hxloop.errors import ConfigError
from hxloop.runs.config_sections import BackendConfig, LossConfig
from hxloop.training.notes import Note, tell


def apply_override(values: dict[str, Any], override: str) -> None:
    """Set ``a.b.c=value`` in nested mappings, in place.

    Raises:
        ConfigError: no "=" or a key below something that is not a table.
    """
    key, separator, text = override.partition("=")
    names = key.strip().split(".")
    if not separator or not all(names):
        raise ConfigError(f"--set {override!r}: expected KEY=VALUE, for example training.epochs=5")
    try:
        parsed = tomllib.loads(f"value = {text}")
    except RecursionError:
        raise ConfigError(f"--set {key.strip()}: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        if text.strip().startswith(("[", "{")):
            raise ConfigError(
                f"--set {override!r}: not a list or table in TOML ({error}); write numbers as 0.5 "
                'and text in quotes: \'["a", "b"]\''
            ) from error
        # .5 and 5. are numbers everywhere but in TOML.
        number = re.fullmatch(r"[+-]?(\d+\.|\.\d+)(e[+-]?\d+)?", text.strip(), re.IGNORECASE)
        parsed = {"value": float(text) if number else text.strip()}
    if list(parsed) != ["value"] or "\n" in text.strip():
        raise ConfigError(f"--set {override!r}: expected one value on one line")
    value = parsed["value"]
    table = values
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override!r}: {name!r} is a value, not a table")
    table[names[-1]] = value


def apply_overrides(values: dict[str, Any], overrides: Sequence[str]) -> None:
    """Set several values, each as ``apply_override`` does, in place.

    Where one names another backend or loss, the options in ``values``, which belong to the former
    one, do not apply any more: they are left out, and that is warned of.

    Raises:
        ConfigError: see ``apply_override``.
    """
    for section, default in (("backend", BackendConfig().name), ("loss", LossConfig().name)):
        named: dict[str, Any] = {}
        for override in overrides:
            if override.partition("=")[0].strip() == f"{section}.name":
                apply_override(named, override)
        table = values.get(section, {})
        if not named or not isinstance(table, dict):
            continue
        new, old = named[section]["name"], table.get("name", default)
        if new == old:
            continue
        left = {key: table.pop(key) for key in _OF_THE_NAME if key in table}
        left = {**left.pop("options", {}), **left}
        if left:
            words = ", ".join(f"{key} = {value}" for key, value in left.items())
            text = f"{section}.name = {new}: left out what was set for {old} ({words})."
            tell([Note(f"{section}-options-left-out", text, {"left_out": list(left)})])
    for override in overrides:
        apply_override(values, override)


# Keys of a section that mean something for the backend or loss of that name only.
_OF_THE_NAME = ("options", "calibration", "twin")
