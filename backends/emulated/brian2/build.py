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

from hxloop import version
from hxloop.backends.emulated.brian2 import model as brian2_model
from hxloop.backends.emulated.brian2 import settings as brian2_settings
from hxloop.backends.emulated.brian2.cache import PROGRAM, kept_model
from hxloop.backends.emulated.brian2.model import ModelShape, build_model
from hxloop.backends.emulated.brian2.settings import default_preferences
from hxloop.errors import CompilerError
from hxloop.files import sha256_of
from hxloop.machine import cache_folders, usable_cores
from hxloop.machine.child_process import run_child

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
RESULT_FILE = "spike_times"
NOT_WRITTEN = 3  # exit status of a model that could not write its result
MODULE = "hxloop.backends.emulated.brian2.build"

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


def compiled_model(shape: ModelShape, cache_dir: Path | None = None) -> Path:
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
    return kept_model(_key(shape, compiler), roots, lambda work: _compile(shape, compiler, work))


def _compile(shape: ModelShape, compiler: str, work: Path) -> Path:
    """Write and compile the model in ``work``; the folder with what is needed later."""
    environment = _environment(compiler, work)
    code = work / "code"
    for task, command, cwd in (
        ("writing", [sys.executable, "-m", MODULE, json.dumps(asdict(shape))], work),
        ("compiling", ["make", "-s", f"-j{usable_cores()}"], code),
    ):
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


def _key(shape: ModelShape, compiler: str) -> str:
    version = subprocess.run(
        [*shlex.split(compiler), "-dumpfullversion", "-dumpmachine"],
        capture_output=True,
        check=False,
    ).stdout.decode(errors="replace")
    facts = {
        "shape": asdict(shape),
        "sources": [Path(str(m.__file__)).read_text() for m in (brian2_model, brian2_settings)]
        + [Path(__file__).read_text()],
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


def _write_code(shape: ModelShape) -> None:
    """In the process that imports Brian2: write the C++ project to ``code``."""
    import brian2 as b2

    with default_preferences(codegen__cpp__extra_compile_args=list(FLAGS)):
        b2.set_device("cpp_standalone", build_on_run=False)
        model = build_model(shape)
        model.network.run(shape.n_steps * shape.dt * b2.second)
        arrays = [b2.device.get_array_name(layer.variables["tsp"]) for layer in model.layers]
        counts = [len(layer) for layer in model.layers]
        b2.device.insert_code("before_end", _write_results(arrays, counts))
        b2.device.build(directory="code", compile=False, run=False)


def _write_results(arrays: list[str], counts: list[int]) -> str:
    """C++ that writes the spike times and leaves.

    Brian2 would write every array, which takes longer than the simulation: the synapses of all
    samples are among them.
    """
    lines = [
        f'std::ofstream spikes(brian::results_dir + "{RESULT_FILE}", std::ios::binary);',
        *(
            f"spikes.write(reinterpret_cast<const char*>(brian::{array}), "
            f"{count} * sizeof(double));"
            for array, count in zip(arrays, counts, strict=True)
        ),
        "spikes.close();",
        f"std::_Exit(spikes.good() ? 0 : {NOT_WRITTEN});",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    arguments["sizes"] = tuple(arguments["sizes"])
    _write_code(ModelShape(**arguments))
