"""Errors of the library in the words of the command line, and settings as it takes them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from hxloop.errors import ConfigError, HxloopError, unknown_name
from hxloop.substrate import backend_class, backend_names

# name=value as one writes an argument in Python.
_VALUE = r"'[^']*'|\"[^\"]*\"|True|False|-?\d[\d.e+-]*\d|-?\d"
_ARGUMENT = re.compile(rf"(?<![\w.])([a-z]\w*)=({_VALUE})(?![\w(])")
# What was typed stands before the first colon of an error of a configuration.
_TYPED = re.compile(r"configuration [^\n]*?:(?=\s)")
_TOML = {"True": "true", "False": "false"}


def in_commands(text: str) -> str:
    """Advice of the library, such as ``solver='event'``, as one gives it on the command line.

    Names that are no option of a backend are left as they are.
    """
    if not _ARGUMENT.search(text):
        return text
    options = _backend_options()

    def setting(found: re.Match[str]) -> str:
        name, value = found.groups()
        if name not in options:
            return found.group()
        return f"backend.options.{name}={_TOML.get(value, value.strip(chr(39) + chr(34)))}"

    typed = _TYPED.match(text)
    head = typed.group() if typed else ""
    return head + _ARGUMENT.sub(setting, text[len(head) :])


def read_settings(
    settings: Sequence[str] | None, tables: Mapping[str, str], bare: str | None = None
) -> dict[str, dict[str, Any]]:
    """What ``--set`` says to a command that takes only some tables of a configuration.

    Args:
        settings: "table.key=value" each.
        tables: of the configuration, e.g. "backend.options", and what they are, for messages.
        bare: the table of keys without one, such as ``chip=3``; None: there is none.

    Returns:
        The values of each table.

    Raises:
        ConfigError: a key of another table.
    """
    from hxloop.runs.config_overrides import apply_override

    values: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {table: {} for table in tables}
    for setting in settings or []:
        key = setting.partition("=")[0].strip()
        table = next((name for name in tables if key.startswith(f"{name}.")), None)
        if table is None and bare is not None and "." not in key:
            setting, table = f"{bare}.{setting.strip()}", bare
        if table is None:
            allowed = " or ".join(f"{name}.NAME=VALUE ({what})" for name, what in tables.items())
            raise ConfigError(f"--set {setting!r}: expected {allowed}")
        apply_override(values, setting)
    for table in tables:
        content: Any = values
        for part in table.split("."):
            content = content.get(part, {})
        found[table] = content
    return found


def keyword_names(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Refuse names that are not among those known.

    Raises:
        ConfigError: one is not; the message lists the known ones.
    """
    for name in given:
        if name not in known:
            raise ConfigError(unknown_name(what, name, known))


def _backend_options() -> set[str]:
    names: set[str] = set()
    for backend in backend_names():
        try:
            found = backend_class(backend)
        except HxloopError:
            continue
        if is_dataclass(found):
            names |= {field.name for field in fields(found)}
    return names
