"""Backends by name: those of installed packages, found by their entry points."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from os import PathLike
from types import NoneType
from typing import Any, get_args, get_type_hints

from hxloop import checks
from hxloop.errors import (
    ConfigError,
    HxloopError,
)
from hxloop.registry import Registry
from hxloop.substrate.protocol import Backend

ENTRY_POINT_GROUP = "hxloop.backends"


REGISTRY = Registry("backend", ENTRY_POINT_GROUP, {})


def backend_names() -> tuple[str, ...]:
    """Names of all installed backends, sorted."""
    return REGISTRY.names()


def backend_class(name: str) -> type[Any]:
    """The class registered under ``name``.

    Raises:
        UnknownNameError: there is no backend of that name.
        MissingDependencyError: its module needs a package that is not installed.
        ConfigError: its package registers what is not there.
    """
    loaded: type[Any] = REGISTRY.get(name)
    return loaded


def backend_options(name: str) -> tuple[str, ...]:
    """Names of the options of the backend registered under ``name``; () = not known.

    Raises:
        UnknownNameError, MissingDependencyError, ConfigError: see ``backend_class``.
    """
    cls = backend_class(name)
    return tuple(f.name for f in fields(cls) if f.init) if is_dataclass(cls) else ()


def get_backend(name: str, **options: Any) -> Backend:
    """Make the backend registered under ``name``.

    Args:
        name: one of ``backend_names()``.
        **options: fields of the backend, for example ``chip=3`` for ``emulated-chip``.

    Raises:
        UnknownNameError: no such backend or no such option; the message lists the known ones.
        MissingDependencyError: a package that it needs is not installed.
        HxloopError: an option has a value that the backend refuses.
    """
    cls = backend_class(name)
    if is_dataclass(cls):
        how = f"--set {{option}}=..., in Python get_backend({name!r}, {{option}}=...)"
        REGISTRY.check_options(name, cls, options, how)
    options = {option: checks.plain(value) for option, value in options.items()}
    try:
        backend: Backend = cls(**options)
    except (TypeError, ValueError, AttributeError) as error:
        if not isinstance(error, HxloopError):
            _check_types(cls, name, options)
        raise
    _check_types(cls, name, options)
    return backend


def _check_types(cls: type[Any], name: str, options: Mapping[str, Any]) -> None:
    """Check that numbers, flags and text are what the fields of a backend say they are.

    Backends check their options themselves; this is for what they overlook. Fields of other types
    than these are theirs alone.

    Raises:
        ConfigError: an option of another type.
    """
    known: dict[Any, Callable[[str, Any], Any]] = {
        int: checks.whole, bool: checks.flag, float: _any_number, str: _text_or_path,
    }  # fmt: skip
    try:
        hints = get_type_hints(cls)
    except (NameError, TypeError):  # names that are imported for type checkers alone
        return
    for option, value in options.items():
        kinds = set(get_args(hints.get(option))) or {hints.get(option)}
        if value is None and NoneType in kinds:
            continue
        kinds.discard(NoneType)
        kind = kinds.pop()
        if not kinds and kind in known:
            known[kind](f"backend {name!r}: {option}", value)


def _any_number(where: str, value: Any) -> float:
    """A number; whether it is in range, NaN and ``inf`` included, the backend knows."""
    got = checks.plain(value)
    if isinstance(got, float):
        return got
    return checks.number(where, value)


def _text_or_path(where: str, value: Any) -> Any:
    if isinstance(value, str | PathLike):
        return value
    raise ConfigError(f"{where}: expected text; got {checks.shown(value)}")
