"""Each rule of the house catches what it is there for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import test_architecture
from tests.syntax import (
    circles,
    imports_at_load,
    long_files_of_tests,
    others_privates,
    privates_touched,
    probes,
    tree_of,
    undocumented,
)
from tests.test_architecture import (
    MOST_LINES,
    MOST_LINES_OF_A_FUNCTION,
    MOST_LINES_OF_TESTS,
    bad_habits,
    broken_rules,
    early_simulators,
    in_all_modules,
    too_long,
)


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
    assert {"brian2", "pyNN"} & set(imports_at_load(tree_of(source)))
    assert early_simulators("hxloop.mine", source) != []
    late = "def late():\n    import brian2\n"
    assert list(imports_at_load(tree_of(late))) == []


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


def test_a_long_file_of_tests_is_seen(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "test_a.py").write_text("x = 1\n" * (MOST_LINES_OF_TESTS + 1))
    (tmp_path / "room" / "test_b.py").write_text("x = 1\n" * MOST_LINES_OF_TESTS)
    assert long_files_of_tests(tmp_path, MOST_LINES_OF_TESTS) == {
        "room/test_a.py": MOST_LINES_OF_TESTS + 1
    }


def test_what_is_found_anywhere_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """All modules are gone through, the last one as well as the first."""
    monkeypatch.setattr(test_architecture, "MODULES", {"m.a": Path("a"), "m.b": Path("b")})
    monkeypatch.setattr(test_architecture, "source_of", {"m.a": "", "m.b": "print(1)"}.get)
    assert in_all_modules(bad_habits) == {"m.b": ["m.b:1: print()"]}


def test_a_long_file_and_a_long_function_are_seen() -> None:
    body = "    x = 1\n" * MOST_LINES_OF_A_FUNCTION
    assert too_long("hxloop.mine", "x = 1\n" * (MOST_LINES + 1)) != []
    assert too_long("hxloop.mine", f"def f():\n{body}") != []
    docstring = '    """' + "\n" * MOST_LINES_OF_A_FUNCTION + '"""\n'
    assert too_long("hxloop.mine", f"def f():\n{docstring}    return 1\n") == []


@pytest.mark.parametrize(
    "source",
    [
        "session._layers[0]",
        "patch.setattr(Trainer, '_step', fail)",
        "monkeypatch.setattr('hxloop.runs.run._run', fail)",
        "getattr(session, '_sim')",
        "from hxloop.backends.pynn.neuron_mechanisms import _library",
    ],
)
def test_a_test_that_touches_privates_is_seen(source: str) -> None:
    assert privates_touched("test_mine.py", source) != []
    public = "session.placed[0]\npatch.setattr(builtins, '__import__', f)\nself._own\nos._exit(0)"
    assert privates_touched("test_mine.py", public, ("_exit",)) == []


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
