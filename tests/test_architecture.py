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
SIMULATORS = ("brian2", "pyNN", "pynn_brainscales", "nest", "neuron")
# What reads the command line and writes to the terminal.
TERMINAL = ("hxloop.cli.entry", "hxloop.cli.output")
# What reports whatever the code of others raises.
SANDBOXES = (
    "hxloop.conformance.runner", "hxloop.conformance.sharing", "hxloop.runs.report.training_report",
    "hxloop.substrate.time_limit",
)  # fmt: skip
# What uses everything else; nothing below may import it.
TOP = (
    "hxloop.cli.entry", "hxloop.cli.app", "hxloop.cli.output", "hxloop.cli.tools", "hxloop.cli.runs",
    "hxloop.runs.run", "hxloop.experiments", "hxloop.bench",
    "hxloop.conformance", "hxloop.runs.recorder",
)  # fmt: skip
TRAINING = (
    "hxloop.training.loop", "hxloop.training.evaluation", "hxloop.training.trainer", "hxloop.training.inputs",
    "hxloop.training.options", "hxloop.training.identity",
    "hxloop.training.losses", "hxloop.training.silent_neurons", "hxloop.training.initialisation", "hxloop.training.checkpoint",
)  # fmt: skip
RUNNING = ("hxloop.backends", "hxloop.calibration")
DATA = ("hxloop.data", "hxloop.data.encoding", "hxloop.runs.config", "hxloop.runs.folder")

# (who, what it may not import, why); a name stands for the module and all below it.
RULES = [
    ("hxloop", ("backends", "calibration", "experiments", "tests"), "a second copy of the module"),
    ("hxloop.errors", ("hxloop",), "the bottom imports nothing"),
    ("hxloop.units", (*TOP, *TRAINING, *RUNNING, *DATA, "hxloop.network"), "only errors"),
    ("hxloop.checks", (*TOP, *TRAINING, *RUNNING, *DATA, "hxloop.network", "torch"), "the ground"),
    ("hxloop.network", (*TOP, *TRAINING, *RUNNING, *DATA, "hxloop.activity"), "below activity"),
    ("hxloop.activity", (*TOP, *TRAINING, *RUNNING, *DATA, "hxloop.substrate"), "below backend"),
    ("hxloop.substrate", (*TOP, *TRAINING, *RUNNING, *DATA, "hxloop.engine"), "the protocol only"),
    ("hxloop.engine", (*TOP, *TRAINING, *RUNNING, *DATA, "hxloop.substrate"), "pure mathematics"),
    ("hxloop.training.loop", (*TOP, *RUNNING, "hxloop.training.trainer", "hxloop.training.losses"), "one run, no training"),
    ("hxloop.training.losses", (*TOP, *RUNNING, "hxloop.training.loop", "hxloop.training.trainer"), "spike times only"),
    ("hxloop.training.evaluation", (*TOP, *RUNNING, "hxloop.training.trainer"), "forward only"),
    ("hxloop.training.trainer", (*TOP, *RUNNING, "hxloop.analysis"), "any session, by its protocol"),
    ("hxloop.data", (*TOP, *TRAINING, *RUNNING), "arrays only"),
    ("hxloop.data.encoding", (*TOP, *TRAINING, *RUNNING), "arrays only"),
    (
        "hxloop.analysis",
        (*TOP, *RUNNING, "hxloop.training.loop", "hxloop.training.trainer", "hxloop.training.losses", "hxloop.substrate"),
        "it reads saved activity and weights",
    ),
    (
        "hxloop.backends",
        (*TOP, *TRAINING, *DATA, "hxloop.analysis", "hxloop.calibration"),
        "a backend runs a network and knows of nothing above",
    ),
    (
        "hxloop.calibration",
        (*TOP, *TRAINING, *DATA, "hxloop.backends", "hxloop.analysis"),
        "it sees a session, never a backend's inside",
    ),
]  # fmt: skip


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


def broken_rules(module: str, source: str) -> list[str]:
    rules = [(who, forbidden, why) for who, forbidden, why in RULES if lies_in(module, who)]
    if not any(lies_in(module, folder) for folder in ("hxloop.backends", "hxloop.experiments")):
        rules.append((module, ("hxloop.backends",), "backends are found by entry point"))
    return [
        f"{module} imports {name}; it may not: {why}"
        for name in sorted(imports(source))
        for _, forbidden, why in [*rules, (module, (".",), "import through hxloop.*")]
        if any(lies_in(name, package) or (package == name[:1] == ".") for package in forbidden)
    ]


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
def test_public_names_have_docstrings(module: str) -> None:
    assert undocumented(module, source_of(module)) == []


def test_public_names_are_listed_and_exist() -> None:
    assert sorted(hxloop.__all__) == sorted({*public_origin(), *hxloop._LATE} - {"__version__"})
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
        ("hxloop.analysis.measures.synchrony", "from hxloop import loop"),
        ("hxloop.network", "from hxloop.activity import Activity"),
        ("hxloop.some_new_module", "from hxloop.chip import weight_grid"),
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
