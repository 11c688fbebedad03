"""Brian2's preferences: global, and read from files of the user's (``~/.brian``).

They change what code is generated, its numbers included (``core.default_float_dtype``), so models
here are made with Brian2's own defaults, and the user's preferences come back afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Not "logging": where Brian2 writes its log is the user's business.
_SECTIONS = ("core", "codegen", "devices", "legacy", "GSL")
_defaults: dict[str, Any] = {}


@contextmanager
def default_preferences(**changes: Any) -> Iterator[None]:
    """Brian2's own preferences for a while; the caller's come back.

    Not for two threads at a time: hold ``hxloop.session_guard.SIMULATOR_LOCK``.

    Args:
        changes: preferences of one's own, "__" for the dot: ``codegen__target="numpy"``.
    """
    import brian2 as b2

    before = _concerned(b2.prefs)
    if not _defaults:
        b2.prefs.reset_to_defaults()
        _defaults.update(_concerned(b2.prefs))
    wanted = {**_defaults, **{name.replace("__", "."): v for name, v in changes.items()}}
    try:
        _set(b2.prefs, wanted)
        yield
    finally:
        _set(b2.prefs, before)


def _concerned(preferences: Any) -> dict[str, Any]:
    return {k: v for k, v in preferences.items() if k.partition(".")[0] in _SECTIONS}


def _set(preferences: Any, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if name in preferences and preferences[name] != value:
            preferences[name] = value
