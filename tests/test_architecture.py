"""Which way imports run, and what library code may not hold: read off the syntax trees."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import hxloop

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("hxloop", "backends", "calibration", "experiments")

# The rooms from top to bottom. A module may import what stands on floors below its own, and from
# its own room; rooms of one floor do not know each other. A room that is not here does not pass.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("bench",),
    ("experiments",),
    ("runs", "conformance"),
    ("backends", "calibration", "training"),
    ("chip",),
    ("substrate", "analysis"),
    ("engine", "activity"),
    ("network", "data"),
    ("units", "files", "page"),
    ("checks", "text", "machine"),
    ("errors", "version", "provenance", "moved"),
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
        "hxloop.experiments",
    ),
    "plotly": ("hxloop.analysis.report",),
    "h5py": (
        "hxloop.files", "hxloop.activity.log", "hxloop.substrate.recording",
        "hxloop.calibration.files",
    ),
    "numba": ("hxloop.machine.jit", "hxloop.engine.compiled"),
    "torch": (
        "hxloop.checks.tensors", "hxloop.engine", "hxloop.training", "hxloop.calibration.scales",
        "hxloop.conformance", "hxloop.bench",
    ),
    "brian2": ("hxloop.backends.emulated.brian2", "hxloop.backends.pynn"),
    "pyNN": ("hxloop.backends.pynn",),
    "nest": ("hxloop.backends.pynn",),
    "neuron": ("hxloop.backends.pynn",),
    "pynn_brainscales": ("hxloop.backends.brainscales2",),
    "sklearn": ("hxloop.analysis.measures",),
    "elephant": ("hxloop.analysis.measures",),
    "neo": ("hxloop.activity.formats", "hxloop.analysis.measures"),
    "pynwb": ("hxloop.activity.formats",),
    "rich": ("hxloop.training.progress",),
    "typer": ("hxloop.cli",),
    "pydantic": ("hxloop.runs.config",),
    "safetensors": ("hxloop.network.weights_file", "hxloop.training.checkpoint"),
    "tomli_w": ("hxloop.runs",),
    "pooch": ("hxloop.data",),
}  # fmt: skip
SIMULATORS = ("brian2", "pyNN", "pynn_brainscales", "nest", "neuron")
# What reads the command line and writes to the terminal.
TERMINAL = ("hxloop.cli.entry", "hxloop.cli.output")
# What reports whatever the code of others raises.
SANDBOXES = (
    "hxloop.conformance.runner", "hxloop.conformance.sharing",
    "hxloop.runs.report.training_report", "hxloop.substrate.time_limit",
)  # fmt: skip


def module_name(path: Path) -> str:
    """``backends/ideal.py`` -> ``hxloop.backends.ideal``."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    if parts[0] != "hxloop":
        parts = ("hxloop", *parts)
    return ".".join(part for part in parts if part != "__init__")


def library() -> Iterator[tuple[str, Path]]:
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            below = path.relative_to(ROOT).parts
            # Symlinks hxloop/backends -> ../backends: every file once, where it really is.
            if "__pycache__" not in below and not (below[0] == "hxloop" and below[1] in FOLDERS):
                yield module_name(path), path


MODULES = dict(library())
every_module = pytest.mark.parametrize("module", sorted(MODULES))


def source_of(module: str) -> str:
    return MODULES[module].read_text(encoding="utf-8")


@cache
def public_origin() -> dict[str, str]:
    """Name exported by ``hxloop`` -> module that defines it."""
    tree = ast.parse(source_of("hxloop"))
    return {
        alias.asname or alias.name: node.module or ""
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("hxloop")
        for alias in node.names
    }


def imports(source: str) -> set[str]:
    """Dotted names of all that is imported, re-exports of ``hxloop`` traced to their origin."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            found |= {f"{base}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hxloop":
            found.add(f"hxloop.{node.attr}")
    origins = public_origin()
    return {
        f"{origins[name[7:]]}.{name[7:]}"
        if name.startswith("hxloop.") and name[7:] in origins
        else name
        for name in found
    }


def lies_in(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def room_of(name: str) -> str:
    """``hxloop.training.losses`` -> ``training``; "" for what is not ours, or ``hxloop`` itself."""
    parts = name.split(".")
    return parts[1] if parts[0] == "hxloop" and len(parts) > 1 else ""


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


def imports_at_load(tree: ast.AST) -> Iterator[str]:
    """What importing the module imports: all but what stands inside a function."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
        yield from imports_at_load(node)


def bad_habits(module: str, source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
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
    "hxloop.engine.reference": "the same steps as the kernel, side by side with it",
}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 300, 60
# What does not keep the rules yet; the list may only get shorter.
STILL_LONG = {
    "hxloop.activity.formats.neo", "hxloop.activity.log.reader", "hxloop.analysis.analyse",
    "hxloop.analysis.assess.claims_of_classes", "hxloop.analysis.assess.summary",
    "hxloop.analysis.measures.statistics", "hxloop.analysis.measures.synchrony",
    "hxloop.analysis.report.page", "hxloop.backends.emulated.brian2.model",
    "hxloop.backends.emulated.brian2.solver", "hxloop.backends.emulated.session",
    "hxloop.backends.pynn.dialect", "hxloop.calibration.procedures", "hxloop.calibration.result",
    "hxloop.chip.readout", "hxloop.experiments.calibration_pays.study",
    "hxloop.experiments.one_network_everywhere.study", "hxloop.experiments.synchronization.study",
    "hxloop.runs.config", "hxloop.runs.run", "hxloop.substrate.recording.file",
    "hxloop.training.losses", "hxloop.training.notes", "hxloop.training.trainer",
}  # fmt: skip
STILL_PROBING = {
    "hxloop.backends.brainscales2.backend", "hxloop.calibration.workflow", "hxloop.cli.output",
    "hxloop.conformance.subject", "hxloop.runs.elsewhere", "hxloop.runs.plan",
    "hxloop.training.loop",
}  # fmt: skip
STILL_IN_CIRCLES = {
    "hxloop.backends.brainscales2.backend",
    "hxloop.backends.emulated.backend",
}  # fmt: skip


def too_long(module: str, source: str) -> list[str]:
    """Files and functions (without their docstrings) of more lines than one reads at once."""
    lines = len(source.splitlines())
    found = []
    if lines > MOST_LINES and module not in LONG_FILES:
        found.append(f"{module}: {lines} lines; split what has outgrown its idea")
    for node in ast.walk(ast.parse(source)):
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
    "hxloop.training.notes": ("_getframe",),
    "hxloop.backends.pynn.brian2": ("_devices", "_n_connections", "_brian2_synapses"),
    "hxloop.backends.pynn.neuron": ("_cell",),
}


def others_privates(module: str, source: str) -> list[str]:
    """``other._name`` where the module itself defines no such name."""
    own = set(re.findall(r"(?:def|class) (_\w+)", source))
    own |= set(re.findall(r"^\s*(?:self\.)?(_\w+)\b.*[:=]", source, re.MULTILINE))
    own |= set(re.findall(r"self\.(_\w+)", source)) | set(FOREIGN.get(module, ()))
    return [
        f"{module}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and re.match(r"_[^_]", node.attr)
        and ast.unparse(node.value) not in ("self", "cls", "super()")
        and node.attr not in own
    ]


PROBED = re.compile(r"(backend|session|calibration|readout|subject)s?$")


def probes(module: str, source: str) -> list[str]:
    """Literal ``getattr`` and ``hasattr`` where a protocol should stand."""
    return [
        f"{module}:{node.lineno}: {ast.unparse(node)}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("getattr", "hasattr")
        and len(node.args) > 1
        and isinstance(node.args[1], ast.Constant)
        and PROBED.search(ast.unparse(node.args[0]))
        and room_of(module) != "substrate"
    ]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, however far round."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        todo = list(graph[start])
        while todo:
            module = todo.pop()
            if module not in seen:
                seen.add(module)
                todo += graph.get(module, ())
        reach[start] = seen
    groups = {
        tuple(sorted(o for o in graph if o in reach[module] and module in reach[o]))
        for module in graph
        if module in reach[module]
    }
    return [list(group) for group in sorted(groups)]


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


def undocumented(module: str, source: str) -> list[str]:
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) or not tree.body else [module]
    owners: list[tuple[str, ast.Module | ast.ClassDef]] = [(module, tree)]
    for owner, node in owners:
        for child in node.body:
            if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            if child.name.startswith("_"):
                continue
            name = f"{owner}.{child.name}"
            if not ast.get_docstring(child):
                found.append(name)
            if isinstance(child, ast.ClassDef):
                owners.append((name, child))
    return found


# --- the project --------------------------------------------------------------------------


def test_the_whole_library_is_looked_at() -> None:
    assert {"hxloop", "hxloop.backends.ideal", "hxloop.engine.gradient"} <= set(MODULES)
    assert len({path.resolve() for path in MODULES.values()}) == len(MODULES)


@every_module
def test_imports_run_one_way(module: str) -> None:
    assert broken_rules(module, source_of(module)) == []


@every_module
def test_simulators_are_imported_only_inside_functions(module: str) -> None:
    loaded = imports_at_load(ast.parse(source_of(module)))
    assert [n for n in loaded if any(lies_in(n, simulator) for simulator in SIMULATORS)] == []


@every_module
def test_library_neither_prints_nor_asserts_nor_swallows(module: str) -> None:
    assert bad_habits(module, source_of(module)) == []


@every_module
def test_files_and_functions_can_be_read_at_once(module: str) -> None:
    assert bool(too_long(module, source_of(module))) == (module in STILL_LONG)


@every_module
def test_no_module_reaches_into_another_ones_privates(module: str) -> None:
    assert others_privates(module, source_of(module)) == []


@every_module
def test_what_a_backend_has_is_declared_not_probed(module: str) -> None:
    assert bool(probes(module, source_of(module))) == (module in STILL_PROBING)


def test_no_modules_import_each_other() -> None:
    assert {group[0] for group in circles(import_graph())} == STILL_IN_CIRCLES


def test_the_table_has_no_room_that_is_not_there() -> None:
    assert {room_of(module) for module in MODULES} - {""} == set(FLOOR)


def test_no_room_gives_out_a_name_that_hides_one_of_its_modules() -> None:
    """``from hxloop.data import mnist`` would be a function or a module, as it happens."""
    hidden = [
        f"{module}: {alias.asname or alias.name}"
        for module in MODULES
        if MODULES[module].name == "__init__.py" and module != "hxloop"
        for node in ast.parse(source_of(module)).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{module}.{alias.asname or alias.name}" in MODULES
    ]
    assert hidden == []


def test_few_files_lie_flat() -> None:
    flat = [path.name for path in (ROOT / "hxloop").glob("*.py")]
    assert len(flat) <= 11, flat


@every_module
def test_public_names_have_docstrings(module: str) -> None:
    assert undocumented(module, source_of(module)) == []


def test_public_names_are_listed_and_exist() -> None:
    assert sorted(hxloop.__all__) == sorted(
        {*public_origin(), *hxloop._LATE} - {"__version__", "moved"}
    )
    assert [name for name in hxloop.__all__ if not hasattr(hxloop, name)] == []


def test_importing_hxloop_and_its_backends_loads_no_simulator() -> None:
    code = (
        "import sys, hxloop\n"
        "from hxloop.substrate import backend_class, backend_names\n"
        "for name in backend_names(): backend_class(name)\n"
        f"print([name for name in {SIMULATORS} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    owner = "|".join(["work", "home", "root", "tmp", "Users", "mnt", "scratch"])
    pattern = re.compile(rb"(?<![\w.~/)}])/(?:" + owner.encode() + rb")/[\w.]")
    files = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    for folder in (*FOLDERS, "tests", ".ci"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}..."
        for path in files
        if "__pycache__" not in path.parts
        for match in pattern.finditer(path.read_bytes())
    ]
    assert found == []


# --- the checks themselves can fail -------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hxloop.training.loop", "from hxloop.backends.ideal import IdealBackend"),
        ("hxloop.training.loop", "import hxloop.backends.ideal as ideal"),
        ("hxloop.training.trainer", "def late():\n    from hxloop.backends import ideal"),
        ("hxloop.calibration.search", "from hxloop.backends.emulated import model as chip_model"),
        ("hxloop.backends.mine", "from hxloop import LoopNetwork"),
        ("hxloop.backends.mine", "import hxloop\nnetwork = hxloop.Trainer"),
        ("hxloop.backends.mine", "from backends.ideal import IdealBackend"),
        ("hxloop.backends.mine", "from .ideal import IdealBackend"),
        ("hxloop.analysis.measures.synchrony", "from hxloop.substrate import Session"),
        ("hxloop.analysis.measures.synchrony", "from hxloop.analysis.assess import claims"),
        ("hxloop.network", "from hxloop.activity import Activity"),
        ("hxloop.some_new_module", "from hxloop.chip import weight_grid"),
        ("hxloop.training.loop", "from hxloop.some_new_room import thing"),
        ("hxloop.training.loop", "from hxloop.calibration import result"),  # beside it
        ("hxloop.chip.clock", "from hxloop.training.loop import LoopNetwork"),  # above it
        ("hxloop.bench.engine", "from hxloop.backends.ideal import IdealBackend"),
        ("hxloop.training.loop", "import h5py"),
        ("hxloop.checks.values", "from torch import Tensor"),
        ("hxloop.training.losses", "from hxloop.training.loop import LoopNetwork"),
    ],
)
def test_a_forbidden_import_is_seen(module: str, source: str) -> None:
    assert broken_rules(module, source) != []


def test_allowed_imports_are_left_alone() -> None:
    source = "from hxloop.version import __version__\nfrom hxloop.engine import first_spike_times\n"
    assert broken_rules("hxloop.backends.mine", source) == []


@pytest.mark.parametrize(
    "source",
    ["import brian2", "try:\n    from pyNN import nest\nexcept ImportError:\n    nest = None"],
)
def test_an_early_simulator_is_seen(source: str) -> None:
    assert {"brian2", "pyNN"} & set(imports_at_load(ast.parse(source)))
    late = "def late():\n    import brian2\n"
    assert list(imports_at_load(ast.parse(late))) == []


@pytest.mark.parametrize(
    "source",
    [
        "print(1)",
        "assert True",
        "import sys\nsys.exit(1)",
        "raise SystemExit(1)",
        "try:\n    f()\nexcept Exception:\n    pass",
        "try:\n    f()\nexcept:\n    pass",
        "try:\n    f()\nexcept (ValueError, BaseException) as e:\n    log(e)",
    ],
)
def test_a_bad_habit_is_seen(source: str) -> None:
    assert bad_habits("hxloop.mine", source) != []


def test_a_long_file_and_a_long_function_are_seen() -> None:
    body = "    x = 1\n" * MOST_LINES_OF_A_FUNCTION
    assert too_long("hxloop.mine", "x = 1\n" * (MOST_LINES + 1)) != []
    assert too_long("hxloop.mine", f"def f():\n{body}") != []
    docstring = '    """' + "\n" * MOST_LINES_OF_A_FUNCTION + '"""\n'
    assert too_long("hxloop.mine", f"def f():\n{docstring}    return 1\n") == []


@pytest.mark.parametrize("source", ["other._secret()", "a.b._secret = 1", "f(x)._secret"])
def test_reaching_into_others_privates_is_seen(source: str) -> None:
    assert others_privates("hxloop.mine", source) != []
    own = "class A:\n    def _secret(self): ...\n"
    assert others_privates("hxloop.mine", own + source) == []


@pytest.mark.parametrize(
    "source",
    ["getattr(self.backend, 'x', None)", "hasattr(session, 'x')", "getattr(calibration, 'x', 1)"],
)
def test_a_probe_is_seen(source: str) -> None:
    assert probes("hxloop.runs.run", source) != []
    assert probes("hxloop.substrate.recording.record", source) == []


def test_a_circle_is_seen() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circles(graph) == [["a", "b", "c"]]


def test_a_missing_docstring_is_seen() -> None:
    source = (
        '"""."""\nclass A:\n    """."""\n    def b(self): ...\n    def _c(self): ...\ndef d(): ...'
    )
    assert undocumented("m", source) == ["m.d", "m.A.b"]


def test_what_is_shared_by_a_group_of_tests_stays_in_one_process(
    request: pytest.FixtureRequest,
) -> None:
    """pytest-xdist marks groups in ``_nodeid``; a pytest without it spreads them in silence."""
    assert request.node.nodeid == request.node._nodeid
