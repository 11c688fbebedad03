"""Compiles the Brian2 model once for every shape and keeps the binary on disk.

Brian2 has one global device in a process, so the C++ code is written by a process of its own
(``python -m hxloop.backends.brian2_build``): whoever else uses Brian2 is not disturbed, and a
cached binary runs without Brian2 being imported.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from hxloop.backends import brian2_model
from hxloop.backends.brian2_model import ModelShape, build_model
from hxloop.errors import CompilerError

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

_WAYS_OUT = (
    "Either install a C++ compiler (`apt-get install g++ make`), or run the Brian2 model "
    "without one, several times slower: solver='brian2' with codegen='numpy', or solve the same "
    "chip event by event: solver='event'."
)


def default_cache_dir() -> Path:
    """``$XDG_CACHE_HOME/hxloop/brian2``, by default below ``~/.cache``."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "hxloop" / "brian2"


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
    """Folder with the compiled model (``main`` and its data), built if it is not there yet.

    Raises:
        CompilerError: no compiler, or the compilation failed; ends with the end of the log.
    """
    root = Path(cache_dir) if cache_dir is not None else default_cache_dir()
    compiler = find_compiler()
    target = root / _key(shape, compiler)
    if (target / "main").is_file():
        return target
    try:
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".build-", dir=root))
    except OSError as error:
        raise CompilerError(
            f"compiled models are kept in {root}: expected a folder that can be written; got "
            f"{error}. Choose another with cache_dir or XDG_CACHE_HOME."
        ) from error
    try:
        _compile(shape, compiler, work)
        # Another process may have been faster; its result is as good as ours.
        with contextlib.suppress(OSError):
            os.rename(work / "kept", target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if not (target / "main").is_file():
        raise CompilerError(f"the compiled model could not be moved to {target}")
    return target


def run_child(
    command: list[str], *, cwd: Path, environment: dict[str, str] | None = None
) -> tuple[int, str]:
    """Run a process in a session of its own; exit status and everything it printed.

    Ctrl-C in the terminal does not reach it. If this process gets an exception while it waits,
    the child and all its children are killed first.
    """
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, output.decode(errors="replace")


def _compile(shape: ModelShape, compiler: str, work: Path) -> None:
    """Write and compile the model in ``work``; what is needed later goes to ``work/kept``."""
    import hxloop

    package_root = str(Path(hxloop.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "CXX": compiler, "PYTHONPATH": path}
    module = "hxloop.backends.brian2_build"
    code = work / "code"
    for task, command, cwd in (
        ("writing", [sys.executable, "-m", module, json.dumps(asdict(shape))], work),
        ("compiling", ["make", "-s", f"-j{os.cpu_count() or 1}"], code),
    ):
        status, output = run_child(command, cwd=cwd, environment=environment)
        if status != 0:
            log = "\n".join(output.strip().splitlines()[-15:])
            raise CompilerError(
                f"{task} the Brian2 model of {shape} with {compiler!r} failed (exit status "
                f"{status}). End of the log:\n{log}\n{_WAYS_OUT}"
            )
    kept = work / "kept"
    kept.mkdir()
    shutil.move(code / "main", kept / "main")
    shutil.move(code / "static_arrays", kept / "static_arrays")


def _key(shape: ModelShape, compiler: str) -> str:
    version = subprocess.run(
        [*shlex.split(compiler), "-dumpfullversion", "-dumpmachine"],
        capture_output=True,
        check=False,
    ).stdout.decode(errors="replace")
    facts = {
        "shape": asdict(shape),
        "sources": [Path(str(m)).read_text() for m in (brian2_model.__file__, __file__)],
        "versions": [importlib.metadata.version(name) for name in ("brian2", "numpy")],
        "compiler": [compiler, version, FLAGS],
        "cpu": [platform.machine(), _cpu_features()],
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
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

    b2.prefs["codegen.cpp.extra_compile_args"] = list(FLAGS)
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
        "std::_Exit(spikes.good() ? 0 : 3);",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    arguments = json.loads(sys.argv[1])
    arguments["sizes"] = tuple(arguments["sizes"])
    _write_code(ModelShape(**arguments))
