"""``njit`` of numba, for a user whose compiled functions can be kept nowhere as well.

numba keeps compiled functions beside the source or in the user's cache, and refuses to be imported
where neither can be written. Here a function is then compiled anew in every process. A kept file
that is damaged counts as not there, and one that was compiled from other sources, too: numba looks
at the file of the function only, not at those of the functions that were compiled into it.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.core.caching import FunctionCache

from hxloop.machine.compiling import compile_clock
from hxloop.machine.cores import say_once

# What reading a damaged pickle ends in.
_DAMAGED = (
    OSError, EOFError, ValueError, LookupError, AttributeError, ImportError, TypeError,
    MemoryError, RuntimeError, pickle.UnpicklingError,
)  # fmt: skip
_ADVICE = (
    "so every process compiles what it needs anew (up to a minute). Set NUMBA_CACHE_DIR to a "
    "folder that can be written."
)


class _OfNumba(event.Listener):
    """Tells the clock what numba compiles, which is not what it finds kept on the disk."""

    def on_start(self, event: Any) -> None:
        compile_clock.start()

    def on_end(self, event: Any) -> None:
        compile_clock.stop()


event.register("numba:compile", _OfNumba())


def njit(function: Callable[..., Any] | None = None, *, cache: bool = False, **options: Any) -> Any:
    """As ``numba.njit``; ``cache=True`` keeps what was compiled if there is a place for it."""

    def decorate(python: Callable[..., Any]) -> Any:
        dispatcher = numba.njit(**options)(python)
        # With compiling switched off (NUMBA_DISABLE_JIT) it is the function itself.
        if cache and dispatcher is not python:
            _keep(dispatcher, python)
        return dispatcher

    return decorate if function is None else decorate(function)


def _keep(dispatcher: Any, python: Callable[..., Any]) -> None:
    if _is_homeless(inspect.getfile(python)):
        # numba would make a folder named "~" where the user happens to be.
        say_once(f"Compiled functions cannot be kept: this user has no home, {_ADVICE}")
        return
    try:
        dispatcher._cache = _KernelCache(python)
    except (RuntimeError, OSError):  # "no locator available"
        say_once(
            "Compiled functions cannot be kept: neither hxloop's own folder nor the user's cache "
            f"can be written, {_ADVICE}"
        )


class _KernelCache(FunctionCache):
    """A cache on the disk that does its best, and otherwise nothing."""

    def __init__(self, python: Callable[..., Any]) -> None:
        super().__init__(python)
        self._cache_file._source_stamp = file_digest(inspect.getfile(python))

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What was kept for a signature; None if there is nothing that can be used."""
        try:
            return super().load_overload(sig, target_context)
        except _DAMAGED:
            self._attempt(self.flush)
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature, if it can be kept."""
        self._attempt(lambda: super(_KernelCache, self).save_overload(sig, data))

    def _attempt(self, work: Callable[[], None]) -> None:
        try:
            work()
        except _DAMAGED as error:
            self.disable()
            say_once(f"Compiled functions cannot be kept in {self.cache_path} ({error}), {_ADVICE}")


def inlined_sources() -> list[Path]:
    """Files of the functions that others have compiled into them."""
    return sorted((Path(__file__).parents[1] / "engine" / "compiled").glob("*.py"))


@cache
def file_digest(file: str) -> str:
    """Of all that a function of this file can have compiled into it."""
    digest = hashlib.sha256()
    for source in (Path(file), *inlined_sources()):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _is_homeless(file: str) -> bool:
    given = (os.environ.get(name) for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME"))
    if any(given) or os.path.isabs(os.path.expanduser("~")):
        return False
    beside = Path(file).parent
    kept = beside / "__pycache__"
    return not os.access(kept if kept.is_dir() else beside, os.W_OK)
