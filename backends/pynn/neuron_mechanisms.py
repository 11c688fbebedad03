"""Compiles what PyNN adds to NEURON, once for each installation.

PyNN does it by itself when it is first imported, but finds the compiler driver only on PATH, and
where that fails it ends in a TypeError. ``python -m hxloop.backends.pynn.neuron_mechanisms`` does
it ahead of time.

What lies there already is taken if it fits: compiled here, of these sources, for this NEURON. A
library of another machine or an older version is compiled anew. What somebody else compiled (PyNN
does when it is installed) is loaded once, in a process of its own, to see whether it fits.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import platform
import re
import shutil
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from hxloop.errors import CompilerError, MissingDependencyError
from hxloop.files import sha256_of
from hxloop.files.json_text import parse_json
from hxloop.files.scratch import ScratchFolder
from hxloop.machine.child_process import run_child

logger = logging.getLogger(__name__)

MANIFEST = "hxloop.json"
WORK_PREFIX = ".compile-"

# Loads the mechanisms of a folder as PyNN does, and prints the names of all that there are.
_LOAD = """
import sys
import neuron
from neuron import h
loaded = neuron.load_mechanisms(sys.argv[1])
name = h.ref("")
for kind in (0, 1):
    types = h.MechanismType(kind)
    for index in range(int(types.count())):
        types.select(index)
        types.selected(name)
        print("mechanism", name[0])
print("loaded", bool(loaded))
"""


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
    """Whether the mechanisms have been compiled for this machine, and fit."""
    return misfit(folder) is None


def misfit(folder: Path) -> str | None:
    """Why what is compiled in a folder is of no use; None: it fits."""
    library = library_of(folder)
    if library is None:
        return "nothing has been compiled"
    try:
        written = parse_json((library.parent / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return _misfit_of_a_stranger(folder, library)
    except (OSError, ValueError) as error:
        return f"{library.parent / MANIFEST} cannot be read ({error})"
    for what, expected in _facts(folder, library).items():
        found = written.get(what) if isinstance(written, dict) else None
        if found != expected:
            return f"{library} does not fit: {what} is {found}, expected {expected}"
    return None


def library_of(folder: Path) -> Path | None:
    """The compiled mechanisms below a folder; None: there are none."""
    found = sorted((folder / platform.machine()).glob("**/libnrnmech.*"))
    return found[0] if found else None


def _facts(folder: Path, library: Path) -> dict[str, str]:
    sources = [part for file in _sources(folder) for part in (file.name, file.read_bytes())]
    try:
        neuron = version("neuron")
    except PackageNotFoundError:  # built from source: it does not say
        neuron = "unknown"
    return {
        "NEURON": neuron,
        "machine": platform.machine(),
        "sources": sha256_of(*sources),
        "library": sha256_of(library.read_bytes()),
    }


def _sources(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.mod"))


def _misfit_of_a_stranger(folder: Path, library: Path) -> str | None:
    """Whether a library that was not compiled here fits; it is remembered if it does."""
    if any(file.stat().st_mtime > library.stat().st_mtime for file in _sources(folder)):
        return f"{library} is older than its sources"
    names = {name for file in _sources(folder) for name in _mechanisms(file)}
    status, output = run_child(
        [sys.executable, "-c", _LOAD, str(folder)],
        cwd=Path(tempfile.gettempdir()),  # NEURON loads what lies where it starts
        environment={**os.environ, "NEURON_MODULE_OPTIONS": "-nogui"},
        supervised=True,
    )
    lines = output.splitlines()
    missing = sorted(names - {line.removeprefix("mechanism ") for line in lines})
    # NEURON says that it has loaded what it could not even open.
    if status != 0 or "loaded True" not in lines or (names and len(missing) == len(names)):
        last = output.strip().splitlines()[-1:] or ["without a word"]
        return f"{library} cannot be loaded (exit status {status}: {last[0]})"
    if missing:
        return f"{library} lacks {', '.join(missing)}"
    with contextlib.suppress(OSError):  # read-only: looked at again next time
        remember(folder)
    return None


def _mechanisms(source: Path) -> list[str]:
    """Names of the mechanisms in a file."""
    text = re.sub(
        r"\bCOMMENT\b.*?\bENDCOMMENT\b", "", source.read_text(errors="replace"), flags=re.S
    )
    text = re.sub(r":.*", "", text)
    return re.findall(r"\b(?:POINT_PROCESS|ARTIFICIAL_CELL|SUFFIX)\s+(\w+)", text)


def remember(folder: Path) -> None:
    """Write down beside the compiled mechanisms what they were made of."""
    library = library_of(folder)
    if library is not None:
        text = json.dumps(_facts(folder, library), indent=1)
        (library.parent / MANIFEST).write_text(text, encoding="utf-8")


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
    """Compile the mechanisms if that has not been done, or what is there does not fit.

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
    why = misfit(folder)
    driver = find_nrnivmodl()
    for tool in ("make", os.environ.get("CXX") or "g++"):
        if shutil.which(tool) is None:
            raise CompilerError(
                f"backend 'pynn-neuron': NEURON's mechanisms are compiled once ({why}); expected a "
                f"C++ compiler and make on PATH; found no {tool!r}. Install them "
                "(`apt-get install g++ make`), or use another backend, such as pynn-nest."
            )
    try:
        work = ScratchFolder(folder, WORK_PREFIX)
    except OSError as error:
        raise CompilerError(
            f"backend 'pynn-neuron': NEURON's mechanisms are compiled once, into {folder} ({why}): "
            f"expected a folder that can be written; got {error}. Run `python -m "
            "hxloop.backends.pynn.neuron_mechanisms` once as a user who may write there (or when "
            "the image is built)."
        ) from error
    logger.warning(
        "Compiling PyNN's mechanisms for NEURON into %s (about 20 s, once for this installation): "
        "%s",
        folder,
        why,
    )
    try:
        compile_sources(driver, folder, work.path)
        _install(work.path / platform.machine(), folder / platform.machine(), work.path / "old")
    finally:
        work.close()
    why = misfit(folder)
    if why is not None:
        raise CompilerError(
            f"backend 'pynn-neuron': the compiled mechanisms could not be moved to "
            f"{folder / platform.machine()} ({why}); remove that folder and try again"
        )
    return True


def compile_sources(driver: Path, folder: Path, work: Path) -> None:
    """Compile the mechanisms of a folder in another one.

    Args:
        driver: ``nrnivmodl``.
        folder: with their sources.
        work: where it is done.

    Raises:
        CompilerError: it failed; ends with the end of the log.
    """
    for source in _sources(folder):
        shutil.copy(source, work)
    path = os.pathsep.join([str(driver.parent), os.environ.get("PATH", "")])
    status, output = run_child(
        [str(driver)], cwd=work, environment={**os.environ, "PATH": path}, supervised=True
    )
    if status != 0 or library_of(work) is None:
        log = "\n".join(output.strip().splitlines()[-60:])
        raise CompilerError(
            f"backend 'pynn-neuron': {driver} failed (exit status {status}). End of the log:\n{log}"
        )
    remember(work)


def _install(made: Path, target: Path, aside: Path) -> None:
    """Put what was compiled into its place, and what did not fit there aside."""
    with contextlib.suppress(OSError):
        if os.path.lexists(target) and misfit(target.parent) is not None:
            os.rename(target, aside)
        # Another process may have been faster; its result is as good as ours.
        os.rename(made, target)


if __name__ == "__main__":
    compile_mechanisms()
