"""Compiles the Brian2 model once for every shape and keeps the binary on disk.

Brian2 has one global device in a process, so the C++ code is written by a process of its own
(``python -m hxloop.backends.emulated.brian2.build``): whoever else uses Brian2 is not disturbed,
and a cached binary runs without Brian2 being imported.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import site
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hxloop import version
from hxloop.backends.emulated.brian2 import block_model, block_parts, results
from hxloop.backends.emulated.brian2 import model as brian2_model
from hxloop.backends.emulated.brian2 import settings as brian2_settings
from hxloop.backends.emulated.brian2.block_parts import BlockShape
from hxloop.backends.emulated.brian2.cache import PROGRAM, kept_model
from hxloop.backends.emulated.brian2.model import ModelShape
from hxloop.backends.emulated.brian2.results import (
    Shape,
    model_of,
    write_results,
)
from hxloop.backends.emulated.brian2.settings import default_preferences
from hxloop.errors import CompilerError
from hxloop.files import sha256_of
from hxloop.machine import cache_folders, usable_cores
from hxloop.machine.child_process import run_child
from hxloop.machine.compiling import compile_clock

# No -ffast-math (inf and NaN must mean something); no contraction to fused multiply-adds, so
# that a sample's result does not depend on its place in the batch.
FLAGS = (
    "-w",
    "-O3",
    "-march=native",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-std=c++11",
)
MODULE = "hxloop.backends.emulated.brian2.build"

# What a compiled model depends on.
SOURCES = (brian2_model, block_model, block_parts, results, brian2_settings)

_WAYS_OUT = (
    "Either install a C++ compiler (`apt-get install g++ make`), or run the Brian2 model "
    "without one, several times slower: solver='brian2' with codegen='numpy', or solve the same "
    "chip event by event: solver='event'."
)


def find_compiler() -> str:
    """The C++ compiler command: ``$CXX``, else ``g++``, else ``c++``.

    Raises:
        CompilerError: there is none, or no ``make``.
    """
    command = os.environ.get("CXX", "").strip()
    tried = [shlex.split(command)[0]] if command else ["g++", "c++"]
    found = next((name for name in tried if shutil.which(name)), None)
    if found is None:
        raise CompilerError(
            f"the Brian2 model is compiled once per network shape: expected a C++ compiler on "
            f"PATH; looked for {' and '.join(tried)}, found none. {_WAYS_OUT}"
        )
    if shutil.which("make") is None:
        raise CompilerError(
            f"the Brian2 model is compiled with make: expected it on PATH; found none. {_WAYS_OUT}"
        )
    return command or found


def compiled_model(shape: Shape, cache_dir: Path | None = None) -> Path:
    """Folder with the compiled model (``main`` and its data), built if it is not there, or damaged.

    Args:
        shape: of the model.
        cache_dir: where models are kept; None: in the user's cache, or, where that cannot be
            written, below the system's temporary folder.

    Raises:
        CompilerError: no compiler, no place, or the compilation failed; ends with the end of the
            log.
    """
    compiler = find_compiler()
    roots = cache_folders("brian2") if cache_dir is None else (Path(cache_dir).expanduser(),)
    return kept_model(
        _key(shape, compiler), roots, lambda work: compile_model(shape, compiler, work)
    )


def compile_model(shape: Shape, compiler: str, work: Path) -> Path:
    """Write and compile the model in ``work``; the folder with what is needed later.

    Raises:
        CompilerError: it failed; ends with the end of the log.
    """
    environment = _environment(compiler, work)
    code = work / "code"
    for task, command, cwd in (
        ("writing", [sys.executable, "-m", MODULE, json.dumps(_as_json(shape))], work),
        ("compiling", ["make", "-s", f"-j{usable_cores()}"], code),
    ):
        with compile_clock.running():
            status, output = run_child(command, cwd=cwd, environment=environment, supervised=True)
        if status != 0:
            log = "\n".join(output.strip().splitlines()[-15:])
            raise CompilerError(
                f"{task} the Brian2 model of {shape} with {compiler!r} failed (exit status "
                f"{status}). End of the log:\n{log}\n{_WAYS_OUT}"
            )
    kept = work / "kept"
    kept.mkdir()
    shutil.move(code / PROGRAM, kept / PROGRAM)
    shutil.move(code / "static_arrays", kept / "static_arrays")
    return kept


def _environment(compiler: str, work: Path) -> dict[str, str]:
    """What writing and compiling may know of the user: the compiler, and where packages are.

    Not the home, where Brian2 looks for preferences that change the code it writes; nor flags of a
    make that runs the tests; and what is written to the temporary folder goes with ``work``.
    """
    package_root = str(Path(version.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    changes = {"CXX": compiler, "PYTHONPATH": path, "HOME": str(work), "TMPDIR": str(work)}
    # Packages of the user's, and what a compiler cache keeps, are found by the home.
    kept = {"PYTHONUSERBASE": site.getuserbase(), "CCACHE_DIR": _below_home(".ccache")}
    unwanted = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS")
    inherited = {name: value for name, value in os.environ.items() if name not in unwanted}
    return {name: v for name, v in kept.items() if v} | inherited | changes


def _below_home(name: str) -> str | None:
    folder = os.path.join(os.path.expanduser("~"), name)
    return folder if os.path.isdir(folder) else None


def _key(shape: Shape, compiler: str) -> str:
    version = subprocess.run(
        [*shlex.split(compiler), "-dumpfullversion", "-dumpmachine"],
        capture_output=True,
        check=False,
    ).stdout.decode(errors="replace")
    facts = {
        "shape": _as_json(shape),
        "sources": [Path(str(m.__file__)).read_text() for m in SOURCES],
        "versions": [importlib.metadata.version(name) for name in ("brian2", "numpy")],
        "compiler": [compiler, version, FLAGS],
        "cpu": [platform.machine(), _cpu_features()],
    }
    digest = sha256_of(json.dumps(facts, sort_keys=True))
    return f"{'-'.join(map(str, shape.sizes))}-batch{shape.batch}-{digest[:16]}"


def _cpu_features() -> str:
    # -march=native: a binary must not meet a processor with fewer instructions.
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("flags", "Features")):
                return line
    return platform.processor()


def _as_json(shape: Shape) -> list[Any]:
    return [type(shape).__name__, asdict(shape)]


def _write_code(shape: Shape) -> None:
    """In the process that imports Brian2: write the C++ project to ``code``."""
    import brian2 as b2

    with default_preferences(codegen__cpp__extra_compile_args=list(FLAGS)):
        b2.set_device("cpp_standalone", build_on_run=False)
        model = model_of(shape)
        model.network.run(shape.n_steps * shape.dt * b2.second)
        b2.device.insert_code("before_end", write_results(model, b2.device.get_array_name))
        b2.device.build(directory="code", compile=False, run=False)


if __name__ == "__main__":
    kind, arguments = json.loads(sys.argv[1])
    if kind == "ModelShape":
        _write_code(ModelShape(**(arguments | {"sizes": tuple(arguments["sizes"])})))
    else:
        _write_code(BlockShape(**(arguments | {"senders": tuple(arguments["senders"])})))
