"""Which way imports run, and what library code may not hold: read off the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache

import hxloop
from hxloop.late import names_for_type_checkers
from tests.syntax import (
    MODULES,
    ROOT,
    circles,
    imports_at_load,
    lies_in,
    long_files_of_tests,
    nodes_of,
    others_privates,
    privates_touched,
    probes,
    room_of,
    source_of,
    tree_of,
    undocumented,
)

# The rooms from top to bottom. A module may import what stands on floors below its own, and from
# its own room; rooms of one floor do not know each other. A room that is not here does not pass.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("bench",),
    ("experiments",),
    ("sweep",),
    ("runs", "conformance"),
    ("backends", "calibration", "training"),
    ("chip",),
    ("substrate", "analysis"),
    ("engine", "data"),
    ("activity",),
    ("network",),
    ("units", "files", "page"),
    ("checks", "text", "machine", "registry"),
    ("errors", "version", "provenance", "moved", "late"),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

# Single modules that are stricter than their room, and why.
CLOSED = {
    "hxloop.checks": (("torch",), "numpy's users do not load torch", ("hxloop.checks.tensors",)),
    "hxloop.network": (("torch", "numba"), "a description, in plain Python and numpy", ()),
    "hxloop.training.losses": (("hxloop.training.loop",), "spike times only", ()),
    "hxloop.training.loop": (("hxloop.training.losses",), "one run, no training", ()),
    "hxloop.training.evaluation": (("hxloop.training.trainer",), "forward only", ()),
    "hxloop.analysis.measures": (
        ("hxloop.analysis.assess", "hxloop.analysis.report"), "arrays in, arrays out", (),
    ),
    "hxloop.analysis.assess": (("hxloop.analysis.report",), "numbers, no pictures", ()),
    "hxloop.engine.compiled": (("hxloop.engine.reference",), "not the reference it is held to", ()),
}  # fmt: skip
# Where backends may be named: everybody else finds them by entry point.
NAMES_BACKENDS = ("hxloop.backends", "hxloop.experiments")

# Libraries, and the only places that import them.
LIBRARIES = {
    "matplotlib": (
        "hxloop.page", "hxloop.runs.report", "hxloop.analysis.report", "hxloop.calibration.report",
        "hxloop.sweep.page",
        "hxloop.experiments",
    ),
    "plotly": ("hxloop.analysis.report",),
    "h5py": (
        "hxloop.files", "hxloop.activity.log", "hxloop.substrate.recording",
        "hxloop.calibration.files", "hxloop.data.spike_files",
    ),
    "numba": ("hxloop.machine.jit", "hxloop.engine.compiled"),
    "torch": (
        "hxloop.checks.tensors", "hxloop.engine", "hxloop.training", "hxloop.calibration.scales",
        "hxloop.conformance", "hxloop.bench", "hxloop.experiments.reality_check",
    ),
    "brian2": ("hxloop.backends.emulated.brian2", "hxloop.backends.pynn"),
    "pyNN": ("hxloop.backends.pynn",),
    "nest": ("hxloop.backends.pynn",),
    "neuron": ("hxloop.backends.pynn",),
    "pynn_brainscales": ("hxloop.backends.brainscales2",),
    "sklearn": ("hxloop.analysis.measures", "hxloop.data.scikit"),
    "pandas": ("hxloop.data.own.tables", "hxloop.runs.opened"),
    "elephant": ("hxloop.analysis.measures",),
    "neo": ("hxloop.activity.formats", "hxloop.analysis.measures"),
    "nir": ("hxloop.network.nir", "hxloop.activity.formats"),
    "pynwb": ("hxloop.activity.formats", "hxloop.data.own.recordings"),
    "distributed": ("hxloop.sweep.crew",),
    "dask": ("hxloop.sweep.crew",),
    "rich": ("hxloop.training.progress",),
    "typer": ("hxloop.cli",),
    "pydantic": ("hxloop.runs.config", "hxloop.runs.config_network", "hxloop.runs.config_section",
                 "hxloop.runs.config_sections"),
    "safetensors": ("hxloop.network.weights_file", "hxloop.training.checkpoint"),
    "tomli_w": ("hxloop.runs",),
    "pooch": ("hxloop.data",),
}  # fmt: skip
SIMULATORS = ("brian2", "pyNN", "pynn_brainscales", "nest", "neuron")
# What reads the command line and writes to the terminal.
# The last is a program that a queue starts.
TERMINAL = ("hxloop.cli.entry", "hxloop.cli.output", "hxloop.experiments.tutorials.ebrains.run")
# What reports whatever the code of others raises.
SANDBOXES = (
    "hxloop.conformance.runner", "hxloop.conformance.sharing",
    "hxloop.runs.report.training_report", "hxloop.substrate.time_limit", "hxloop.sweep.job",
)  # fmt: skip


def in_all_modules(rule: Callable[[str, str], list[str]]) -> dict[str, list[str]]:
    """What a rule finds in which module."""
    found = {module: rule(module, source_of(module)) for module in sorted(MODULES)}
    return {module: findings for module, findings in found.items() if findings}


@cache
def public_origin() -> dict[str, str]:
    """Name exported by ``hxloop`` -> module that defines it."""
    return names_for_type_checkers(tree_of(source_of("hxloop")).body)


@cache
def imports(source: str) -> frozenset[str]:
    """Dotted names of all that is imported, re-exports of ``hxloop`` traced to their origin."""
    found: set[str] = set()
    for node in nodes_of(source):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found |= {f"hxloop.{node.attr}"} if node.value.id == "hxloop" else set()
    origins = public_origin()
    return frozenset(
        f"{origins[name[7:]]}.{name[7:]}"
        if name.startswith("hxloop.") and name[7:] in origins
        else name
        for name in found
    )


def broken_rules(module: str, source: str) -> list[str]:
    """Imports that the table of rooms does not allow."""
    room = room_of(module)
    if room and room not in FLOOR:
        return [f"{module}: no room of the house is called {room!r}; see FLOORS"]
    found = []
    for name in sorted(imports(source)):
        why = ""
        first, other = name.split(".")[0], room_of(name)
        if not first:
            why = "import through hxloop.*"
        elif first in ("backends", "calibration", "experiments", "tests"):
            why = "a second copy of the module"
        elif room and other in FLOOR and other != room and FLOOR[other] <= FLOOR[room]:
            why = f"{other} stands above or beside {room}"
        elif room and other and other not in FLOOR:
            why = f"no room of the house is called {other!r}"
        elif lies_in(name, "hxloop.backends") and not any(
            lies_in(module, x) for x in NAMES_BACKENDS
        ):
            why = "backends are found by entry point"
        elif first in LIBRARIES and not any(lies_in(module, place) for place in LIBRARIES[first]):
            why = f"{first} is imported only in {', '.join(LIBRARIES[first])}"
        for who, (forbidden, reason, but) in CLOSED.items():
            if lies_in(module, who) and module not in but:
                why = why or (reason if any(lies_in(name, other) for other in forbidden) else "")
        if why:
            found.append(f"{module} imports {name}; it may not: {why}")
    return found


def early_simulators(module: str, source: str) -> list[str]:
    """Simulators that are loaded with a module, used or not."""
    loaded = imports_at_load(tree_of(source))
    return [f"{module}: {name}" for name in loaded if any(lies_in(name, s) for s in SIMULATORS)]


def bad_habits(module: str, source: str) -> list[str]:
    found = []
    for node in nodes_of(source):
        where = f"{module}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Assert):
            found.append(f"{where}: assert")
        elif isinstance(node, ast.ExceptHandler) and module not in SANDBOXES:
            kinds = ast.unparse(node.type) if node.type else "BaseException"
            raises_again = any(isinstance(n, ast.Raise) and n.exc is None for n in ast.walk(node))
            if re.search(r"\b(Base)?Exception\b", kinds) and not raises_again:
                found.append(f"{where}: except {kinds} without raising it again")
        elif isinstance(node, ast.Call) and module not in TERMINAL:
            called = ast.unparse(node.func)
            if called in ("print", "exit", "quit", "sys.exit", "os._exit", "SystemExit"):
                found.append(f"{where}: {called}()")
    return found


# Longer than others, and why.
LONG_FILES = {
    "hxloop.engine.compiled.backward": "one kernel, made for five kinds of layers",
    "hxloop.engine.compiled.forward_unequal": "one kernel",
}
LONG_FUNCTIONS = {
    "hxloop.engine.compiled.backward": "a kernel is one function, or numba does not inline it",
    "hxloop.engine.compiled.forward": "the same",
    "hxloop.engine.compiled.forward_unequal": "the same",
    "hxloop.engine.compiled.loop_block": "the same",
    "hxloop.engine.reference": "the same steps as the kernel, side by side with it",
}
MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_LINES_OF_TESTS = 300, 60, 350


def too_long(module: str, source: str) -> list[str]:
    """Files and functions (without their docstrings) of more lines than one reads at once."""
    lines = len(source.splitlines())
    found = []
    if lines > MOST_LINES and module not in LONG_FILES:
        found.append(f"{module}: {lines} lines; split what has outgrown its idea")
    for node in nodes_of(source):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node, clean=False)
        lines = (node.end_lineno or 0) - node.lineno + 1 - (text.count("\n") + 1 if text else 0)
        if lines > MOST_LINES_OF_A_FUNCTION and module not in LONG_FUNCTIONS:
            found.append(f"{module}.{node.name}: {lines} lines")
    return found


# Private parts of other people's libraries that have no public way in, and of which module.
FOREIGN = {
    "hxloop.machine.jit": ("_cache", "_source_stamp"),
    "hxloop.training.notes.note": ("_getframe",),
    "hxloop.backends.pynn.brian2": ("_devices", "_n_connections", "_brian2_synapses"),
    "hxloop.backends.pynn.neuron": ("_cell",),
}


# What tests may touch of others: of the language, of pytest and PyNN.
FOREIGN_TO_TESTS = ("_exit", "_replace", "_nodeid", "_segments")


def import_graph() -> dict[str, set[str]]:
    """Which module imports which, type checkers' imports and late ones included."""
    graph = {}
    for module in MODULES:
        found = set()
        for name in imports(source_of(module)):
            while name and name not in MODULES:
                name = name.rpartition(".")[0]
            found |= {name} - {"", "hxloop", module}
        graph[module] = found
    del graph["hxloop"]
    return graph


# --- the project --------------------------------------------------------------------------


def test_the_whole_library_is_looked_at() -> None:
    assert {"hxloop", "hxloop.backends.ideal", "hxloop.engine.gradient"} <= set(MODULES)
    assert len({path.resolve() for path in MODULES.values()}) == len(MODULES)


def test_imports_run_one_way() -> None:
    assert in_all_modules(broken_rules) == {}


def test_simulators_are_imported_only_inside_functions() -> None:
    assert in_all_modules(early_simulators) == {}


def test_library_neither_prints_nor_asserts_nor_swallows() -> None:
    assert in_all_modules(bad_habits) == {}


def test_files_and_functions_can_be_read_at_once() -> None:
    found = in_all_modules(too_long)
    assert found == {}


def test_no_module_reaches_into_another_ones_privates() -> None:
    assert in_all_modules(lambda m, source: others_privates(m, source, FOREIGN.get(m, ()))) == {}


def test_tests_touch_what_is_public() -> None:
    """What patches or reads privates holds a library to how it is written, not to what it does."""
    found = {
        path.name: privates_touched(path.name, path.read_text("utf-8"), FOREIGN_TO_TESTS)
        for path in sorted((ROOT / "tests").rglob("*.py"))
    }
    assert {name: findings for name, findings in found.items() if findings} == {}


def test_what_a_backend_has_is_declared_not_probed() -> None:
    assert in_all_modules(probes) == {}


def test_files_of_tests_can_be_read_at_once() -> None:
    found = long_files_of_tests(ROOT / "tests", MOST_LINES_OF_TESTS)
    assert found == {}


def test_no_modules_import_each_other() -> None:
    assert circles(import_graph()) == []


def test_the_table_has_no_room_that_is_not_there() -> None:
    assert {room_of(module) for module in MODULES} - {""} == set(FLOOR)


def test_no_room_gives_out_a_name_that_hides_one_of_its_modules() -> None:
    """``from hxloop.data import mnist`` would be a function or a module, as it happens."""
    hidden = [
        f"{module}: {alias.asname or alias.name}"
        for module in MODULES
        if MODULES[module].name == "__init__.py" and module != "hxloop"
        for node in nodes_of(source_of(module))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{module}.{alias.asname or alias.name}" in MODULES
    ]
    assert hidden == []


def test_public_names_have_docstrings() -> None:
    assert in_all_modules(undocumented) == {}


def test_public_names_are_listed_and_exist() -> None:
    modules = {"calibration", "runs"}
    assert sorted(hxloop.__all__) == sorted({*public_origin()} - modules)
    assert [name for name in hxloop.__all__ if not hasattr(hxloop, name)] == []
