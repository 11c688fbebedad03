"""Compiled Brian2 models on the disk: kept, found whole again, or compiled anew.

A model is a folder with the program ``main``, its arrays, and a list of both with their digests.
A folder that is not what its list says (a full disk, a clean-up by age, a copy without the
executable bit) counts as not there.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from hxloop.errors import CompilerError
from hxloop.files import sha256_of
from hxloop.files.json_text import parse_json
from hxloop.files.scratch import ScratchFolder
from hxloop.machine import make_private, say_once
from hxloop.substrate.guard import ForkSafeLock

logger = logging.getLogger(__name__)

PROGRAM, MANIFEST = "main", "manifest.json"
WORK_PREFIX = ".build-"

# Of several sessions that need the same model one compiles, the others find it.
_lock = ForkSafeLock()


def damage(folder: Path) -> str | None:
    """What is wrong with a kept model; None: nothing, it is there and whole."""
    try:
        listed = parse_json((folder / MANIFEST).read_text(encoding="utf-8"))
        for name, expected in listed["files"].items():
            file = folder / name
            if not file.is_file():
                return f"{name} is missing"
            if sha256_of(file.read_bytes()) != expected:
                return f"{name} is not what was compiled ({file.stat().st_size} bytes)"
        if PROGRAM not in listed["files"]:
            return f"{MANIFEST} does not list {PROGRAM}"
    except FileNotFoundError:
        return f"{MANIFEST} is missing" if folder.exists() else "it is not there"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"it cannot be read ({error})"
    if not os.access(folder / PROGRAM, os.X_OK):
        return f"{PROGRAM} may not be executed"
    return None


def seal(folder: Path) -> None:
    """Write the list of what is in a model that has just been compiled."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and f != folder / MANIFEST)
    listed = {file.relative_to(folder).as_posix(): sha256_of(file.read_bytes()) for file in files}
    (folder / MANIFEST).write_text(json.dumps({"files": listed}, indent=1), encoding="utf-8")


def kept_model(name: str, roots: Sequence[Path], compile_into: Callable[[Path], Path]) -> Path:
    """The folder of a compiled model, compiled if there is none that is whole.

    Args:
        name: of the model's folder.
        roots: where models are kept, the best place first; others are taken where that cannot be
            written, which is said once.
        compile_into: compiles the model in an empty folder; returns what is to be kept of it.

    Raises:
        CompilerError: no place can be written, or the model cannot be run from there.
    """
    with _lock:
        found = {root / name: damage(root / name) for root in roots}
        for target, what in found.items():
            if what is None:
                return target
            if os.path.lexists(target):
                logger.warning(
                    "The compiled Brian2 model %s is damaged: %s. It is compiled anew.",
                    target,
                    what,
                )
        work = work_folder(roots)
        target = work.path.parent / name
        try:
            kept = compile_into(work.path)
            seal(kept)
            what = install(kept, target, work.path / "replaced")
        finally:
            work.close()
    if what is not None:
        raise CompilerError(
            f"the compiled model {target}: expected to run it from there; {what}. If the disk is "
            "mounted without the right to execute (noexec), choose another folder with cache_dir "
            "or XDG_CACHE_HOME."
        )
    return target


def work_folder(roots: Sequence[Path]) -> ScratchFolder:
    """A folder to compile in, below the first of some folders that can be written.

    Raises:
        CompilerError: none can be.
    """
    errors = []
    for root in roots:
        try:
            make_private(root)
            work = ScratchFolder(root, WORK_PREFIX)
        except OSError as error:
            errors.append(f"{root} ({error.strerror or error})")
            continue
        if errors:
            say_once(
                f"Compiled Brian2 models cannot be kept in {errors[0]}; {root} is used instead. "
                "Choose a folder that can be written with cache_dir or XDG_CACHE_HOME."
            )
        return work
    raise CompilerError(
        f"compiled models are kept on the disk: expected a folder that can be written; got "
        f"{', '.join(errors)}. Choose another with cache_dir or XDG_CACHE_HOME."
    )


def install(kept: Path, target: Path, aside: Path) -> str | None:
    """Move a model into place; what is damaged there goes aside. Returns what is wrong with it."""
    # Asked here, on the same disk: once in place another process may be replacing it by its own.
    problem = damage(kept)
    for attempt in range(10):
        try:
            os.rename(kept, target)
            return problem
        except OSError:
            # Another process may have been faster; its result is as good as ours.
            if damage(target) is None:
                return None
            with suppress(FileNotFoundError):  # the other one has put it aside
                os.rename(target, aside.with_name(f"{aside.name}-{attempt}"))
    return damage(target)
