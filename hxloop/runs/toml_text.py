"""TOML as a person would write it: short lists on one line."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tomli_w

WIDTH = 100
# A list of which every item has a line of its own, as the library writes all of them.
_LIST = re.compile(r"^(?P<before>[^\n\[]*)\[\n(?P<items>(?: {4}[^\n]*,\n)+)\]$", re.MULTILINE)


def toml_text(values: Mapping[str, Any]) -> str:
    """Nested settings as TOML; what is None is left out.

    >>> print(toml_text({"hidden": [120, 30], "name": None}), end="")
    hidden = [120, 30]
    """
    return _LIST.sub(_on_a_line, tomli_w.dumps(without_none(values)))


def _on_a_line(found: re.Match[str]) -> str:
    items = [line.strip().removesuffix(",") for line in found["items"].splitlines()]
    line = f"{found['before']}[{', '.join(items)}]"
    return line if len(line) <= WIDTH else found.group()


def without_none(value: Any) -> Any:
    """Nested settings without the keys that are None, which TOML has no word for."""
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_none(item) for item in value]
    return value
