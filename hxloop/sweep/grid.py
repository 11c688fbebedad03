"""The settings that a sweep goes through: a grid, and its points, each of which is a run."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError
from hxloop.files import sha256_of
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.config_overrides import apply_override, apply_overrides

MOST_POINTS = 100_000
_RANGE = re.compile(r"\s*([+-]?\d+)\.\.([+-]?\d+)\s*")
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Point:
    """One combination of values.

    Attributes:
        name: what its run folder is called: ``chip=1,seed=2``.
        values: by dotted key.
    """

    name: str
    values: Mapping[str, Any]

    def config(self, base: ExperimentConfig) -> ExperimentConfig:
        """The configuration of the run: that of the sweep, with these values.

        Raises:
            ConfigError: there is no such setting, or it takes no such value.
        """
        settings = base.model_dump()
        apply_overrides(settings, [f"{key}={_toml(value)}" for key, value in self.values.items()])
        return ExperimentConfig.from_mapping(settings, f"--grid, at {self.name}")


@dataclass(frozen=True)
class Grid:
    """Settings with the values that each goes through.

    Attributes:
        axes: dotted key -> its values, in order.
    """

    axes: Mapping[str, tuple[Any, ...]]

    @classmethod
    def of(cls, axes: Mapping[str, Iterable[Any]]) -> Grid:
        """From Python: ``Grid.of({"seed": range(1, 6), "training.learning_rate": [1e-3, 1e-2]})``.

        Raises:
            ConfigError: a key without values, or with one twice; more points than anybody waits
                for; values that no TOML file can hold.
        """
        found: dict[str, tuple[Any, ...]] = {}
        for key, values in axes.items():
            where = f"--grid {key}"
            if isinstance(values, str | bytes) or not isinstance(values, Iterable):
                raise ConfigError(f"{where}: expected a list of values; got {values!r}")
            # As a configuration would hold them: of numpy's numbers and ranges, Python's own.
            taken = tuple(_plain(where, value) for value in values)
            if not taken:
                raise ConfigError(f"{where}: expected at least one value; got none")
            texts = [_toml(value) for value in taken]
            if len(set(texts)) < len(texts):
                double = next(text for text in texts if texts.count(text) > 1)
                raise ConfigError(f"{where}: expected every value once; {double} is there twice")
            found[key] = taken
        grid = cls(found)
        if len(grid) > MOST_POINTS:
            raise ConfigError(
                f"--grid: {len(grid)} combinations, and {MOST_POINTS} at most; sweep fewer values, "
                "or one setting after another"
            )
        return grid

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Grid:
        """From the command line: ``chip=1..10``, ``rate=0.1,0.2``, ``hidden=[[30], [120]]``.

        Raises:
            ConfigError: not of these forms, a key twice, or see ``of``.
        """
        axes: dict[str, list[Any]] = {}
        for text in texts:
            key, separator, values = text.partition("=")
            key = key.strip()
            if not separator or not key:
                raise ConfigError(
                    f"--grid {text!r}: expected KEY=VALUES, for example seed=1..5 or "
                    "training.learning_rate=0.001,0.01"
                )
            if key in axes:
                raise ConfigError(f"--grid {key}: expected once, with all its values; got it twice")
            axes[key] = _listed(key, values)
        return cls.of(axes)

    def __len__(self) -> int:
        count = 1
        for values in self.axes.values():
            count *= len(values)
        return count

    def points(self) -> list[Point]:
        """All combinations, the last key the fastest."""
        short = _short_keys(list(self.axes))
        found = []
        for at in itertools.product(*self.axes.values()):
            values = dict(zip(self.axes, at, strict=True))
            words = [f"{short[key]}={_word(value)}" for key, value in values.items()]
            found.append(Point(_folder_name(words), values))
        return found


def _listed(key: str, text: str) -> list[Any]:
    """The values of ``1..10``, ``a,b`` or a list in TOML."""
    if found := _RANGE.fullmatch(text):
        first, last = int(found[1]), int(found[2])
        if last < first:
            raise ConfigError(f"--grid {key}={text}: expected the smaller number first")
        if last - first >= MOST_POINTS:
            raise ConfigError(f"--grid {key}={text}: {last - first + 1} values are too many")
        return list(range(first, last + 1))
    if text.strip().startswith("["):
        whole = _value(key, text)
        return list(whole)
    return [_value(key, part) for part in text.split(",")] if text.strip() else []


def _value(key: str, text: str) -> Any:
    """One value, read as ``--set`` reads it."""
    found: dict[str, Any] = {}
    try:
        apply_override(found, f"value={text}")
    except ConfigError as error:
        raise ConfigError(str(error).replace("--set", f"--grid {key}", 1)) from error
    return found["value"]


def _plain(where: str, value: Any) -> Any:
    """A value as TOML has it; what is numpy's becomes Python's."""
    value = checks.plain(value)
    if isinstance(value, list | tuple):
        return [_plain(where, each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(where, each) for key, each in value.items()}
    if not isinstance(value, bool | int | float | str):
        raise ConfigError(f"{where}: expected numbers, texts or lists of them; got {value!r}")
    return value


def _toml(value: Any) -> str:
    """A value as TOML writes it on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # inf and nan, too, are written alike
    return json.dumps(value, ensure_ascii=False)


def _word(value: Any) -> str:
    # A text that could be taken for a number keeps its quotes, by which it is another one.
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w.+\-]*", value)
    if plain and value not in ("true", "false", "inf", "nan"):
        return str(value)
    return _toml(value).replace(" ", "")


def _short_keys(keys: Sequence[str]) -> dict[str, str]:
    """The last names of dotted keys, as many of them as tell the keys apart."""
    found = {}
    for key in keys:
        parts = key.split(".")
        for take in range(1, len(parts) + 1):
            short = ".".join(parts[-take:])
            if sum(f".{other}".endswith(f".{short}") for other in keys) == 1:
                break
        found[key] = short
    return found


def _folder_name(words: Sequence[str]) -> str:
    """A name that every file system takes, another one for every point."""
    text = ",".join(words) or "run"
    name = re.sub(r"[^A-Za-z0-9.,=+\-]", "_", text)
    if name == text and len(name) <= _LONGEST_NAME and not name.startswith("."):
        return name
    return f"{name[: _LONGEST_NAME - 9].lstrip('.')}-{sha256_of(text)[:8]}"
