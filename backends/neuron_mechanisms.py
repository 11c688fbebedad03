"""Compiles what PyNN adds to NEURON, once for each installation.

PyNN does it by itself when it is first imported, but finds the compiler driver only on PATH, and
where that fails it ends in a TypeError. ``python -m hxloop.backends.neuron_mechanisms`` does it
ahead of time.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from hxloop.backends.child_process import run_child
from hxloop.errors import CompilerError, MissingDependencyError

logger = logging.getLogger(__name__)


def mechanisms_folder() -> Path:
    """Where PyNN keeps the sources of its mechanisms, and looks for the compiled ones.

    Raises:
        MissingDependencyError: PyNN or NEURON is not installed.
    """
    spec = find_spec("pyNN")
    if spec is None or spec.origin is None or find_spec("neuron") is None:
        raise MissingDependencyError(
            "backend 'pynn-neuron' needs the packages 'pyNN' and 'neuron'; one is not installed. "
            'Try: pip install "hxloop[neuron]"'
        )
    return Path(spec.origin).parent / "neuron" / "nmodl"


def is_compiled(folder: Path) -> bool:
    """Whether the mechanisms have been compiled for this machine."""
    return any((folder / platform.machine()).glob("**/libnrnmech.*"))


def find_nrnivmodl() -> Path:
    """NEURON's compiler driver: next to this Python, else on PATH.

    Raises:
        CompilerError: there is none.
    """
    beside = Path(sys.executable).parent / "nrnivmodl"
    found = str(beside) if beside.is_file() else shutil.which("nrnivmodl")
    if found is None:
        raise CompilerError(
            f"backend 'pynn-neuron': NEURON's mechanisms are compiled once with nrnivmodl; "
            f"expected it at {beside} or on PATH; found none. It comes with NEURON: "
            'pip install "hxloop[neuron]"'
        )
    return Path(found)


def compile_mechanisms(folder: Path | None = None) -> bool:
    """Compile the mechanisms if that has not been done.

    Compiled in a folder of its own and moved into place when done: neither an interruption nor
    a second process leaves anything half made.

    Args:
        folder: with the sources; None: where PyNN keeps them.

    Returns:
        False if there was nothing to do.

    Raises:
        CompilerError: no compiler, the folder cannot be written, or the compilation failed.
        MissingDependencyError: PyNN or NEURON is not installed.
    """
    folder = mechanisms_folder() if folder is None else folder
    if is_compiled(folder):
        return False
    driver = find_nrnivmodl()
    for tool in ("make", os.environ.get("CXX") or "g++"):
        if shutil.which(tool) is None:
            raise CompilerError(
                f"backend 'pynn-neuron': NEURON's mechanisms are compiled once; expected a C++ "
                f"compiler and make on PATH; found no {tool!r}. Install them "
                "(`apt-get install g++ make`), or use another backend, such as pynn-nest."
            )
    try:
        work = Path(tempfile.mkdtemp(prefix=".compile-", dir=folder))
    except OSError as error:
        raise CompilerError(
            f"backend 'pynn-neuron': NEURON's mechanisms are compiled once, into {folder}: "
            f"expected a folder that can be written; got {error}. Run `python -m "
            "hxloop.backends.neuron_mechanisms` once as a user who may write there (or when the "
            "image is built)."
        ) from error
    logger.warning(
        "Compiling PyNN's mechanisms for NEURON into %s (about 20 s, once for this installation)",
        folder,
    )
    try:
        for source in folder.glob("*.mod"):
            shutil.copy(source, work)
        path = os.pathsep.join([str(driver.parent), os.environ.get("PATH", "")])
        status, output = run_child(
            [str(driver)], cwd=work, environment={**os.environ, "PATH": path}
        )
        if status != 0 or not is_compiled(work):
            log = "\n".join(output.strip().splitlines()[-60:])
            raise CompilerError(
                f"backend 'pynn-neuron': {driver} failed (exit status {status}). End of the "
                f"log:\n{log}"
            )
        # Another process may have been faster; its result is as good as ours.
        with contextlib.suppress(OSError):
            os.rename(work / platform.machine(), folder / platform.machine())
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not is_compiled(folder):
        raise CompilerError(
            f"backend 'pynn-neuron': the compiled mechanisms could not be moved to "
            f"{folder / platform.machine()}; remove that folder and try again"
        )
    return True


if __name__ == "__main__":
    compile_mechanisms()
