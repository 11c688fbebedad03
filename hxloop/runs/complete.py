"""A configuration with every key there is, those that are off or at their defaults as comments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hxloop.runs.config import ExperimentConfig
from hxloop.runs.config_section import Section
from hxloop.runs.toml_text import toml_text


def complete_toml(config: ExperimentConfig) -> str:
    """The configuration as TOML; what ``ExperimentConfig.to_toml`` leaves out stands as comments.

    What is read back from it is the same configuration. Keys of encodings and initialisations
    that are not chosen are left out.
    """
    return "\n".join(_lines(config, config.model_dump(), ())).strip() + "\n"


def _lines(section: Section, written: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """A table: its values first, then the tables in it."""
    tables, comments = {}, []
    own: dict[str, Any] = {}
    for key, field in type(section).model_fields.items():
        value = getattr(section, key)
        if isinstance(value, Section):
            tables[key] = value
        elif key in written and written[key] is not None:
            own[key] = written[key]
        elif key in section.LATER or key in written:
            default = field.get_default(call_default_factory=True)
            comments.append(
                f"# {key}: not set"
                if default is None
                else "# " + _dumped({key: default}).replace("\n", "\n# ")
            )
    values: list[str] = []
    below: list[str] = []
    head = f"[{'.'.join(path)}]"
    for key, value in own.items():
        nested: Any = {key: value}
        for name in reversed(path):
            nested = {name: nested}
        # A table, or a list of tables, may become one of its own.
        text = _dumped(nested).removeprefix(f"{head}\n") if path else _dumped(nested)
        (below if text.startswith("[") else values).append(text)
    if path and (values or comments):
        yield f"\n{head}"
    yield from (*values, *comments)
    yield from (f"\n{text}" for text in below)
    for key, table in tables.items():
        # A table that is left out is at its defaults.
        inner = written.get(key)
        inner = table.model_dump() if inner is None else inner
        yield from _lines(table, inner, (*path, key))


def _dumped(values: Mapping[str, Any]) -> str:
    return toml_text(values).rstrip()
