"""Brian2's preferences: global, and read from files of the user's (``~/.brian``).

They change what code is generated, its numbers included (``core.default_float_dtype``), so models
here are made with Brian2's own defaults, and the user's preferences come back afterwards.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hxloop.errors import ConfigError, MissingDependencyError

# Not "logging": where Brian2 writes its log is the user's business,
_SECTIONS = ("core.", "codegen.", "devices.", "legacy.", "GSL.")
# and so are where compilers and libraries are, and where what they made is kept.
_OF_THE_MACHINE = (
    "codegen.runtime.cython.", "codegen.max_cache_dir_size", "codegen.cpp.compiler",
    "codegen.cpp.msvc", "codegen.cpp.include_dirs", "codegen.cpp.library_dirs",
    "codegen.cpp.runtime_library_dirs", "core.outdated_dependency_error",
    "core.stop_on_keyboard_interrupt",
)  # fmt: skip
_defaults: dict[str, Any] = {}


def check_installed() -> None:
    """Refuse to begin without Brian2.

    Raises:
        MissingDependencyError: it is not installed; says what to install, or to choose instead.
    """
    if importlib.util.find_spec("brian2") is None:
        raise MissingDependencyError(
            "backend 'emulated-chip': its solver 'brian2', the default, needs the package "
            "'brian2', which is not installed. Try: pip install \"hxloop[brian2]\"; or take the "
            "exact solver, which needs nothing more: solver='event'"
        )


@contextmanager
def readable_preferences() -> Iterator[None]:
    """To import Brian2 in: what is wrong with the user's preferences, in words.

    Raises:
        ConfigError: a preference file that Brian2 cannot read.
    """
    try:
        yield
    except Exception as error:
        known = sys.modules.get("brian2.core.preferences")
        if known is None or not isinstance(error, known.PreferenceError):
            raise
        raise ConfigError(
            f"Brian2 cannot be started: expected preferences that it can read in "
            f"~/.brian/user_preferences and ./brian_preferences; got: {error}. Mend or remove them."
        ) from error


@contextmanager
def default_preferences(**changes: Any) -> Iterator[None]:
    """Brian2's own preferences for a while; the caller's come back.

    Not for two threads at a time: hold ``hxloop.substrate.guard.SIMULATOR_LOCK``.

    Args:
        changes: preferences of one's own, "__" for the dot: ``codegen__target="numpy"``.

    Raises:
        ConfigError: the user's preferences cannot be read.
    """
    with readable_preferences():
        import brian2 as b2

    before = _concerned(b2.prefs)
    if not _defaults:
        everything = dict(b2.prefs.items())
        b2.prefs.reset_to_defaults()
        _defaults.update(_concerned(b2.prefs))
        _set(b2.prefs, everything)
    wanted = {**_defaults, **{name.replace("__", "."): v for name, v in changes.items()}}
    try:
        _set(b2.prefs, wanted)
        yield
    finally:
        _set(b2.prefs, before)


def _concerned(preferences: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in preferences.items()
        if name.startswith(_SECTIONS) and not name.startswith(_OF_THE_MACHINE)
    }


def _set(preferences: Any, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        if name in preferences and preferences[name] != value:
            preferences[name] = value
