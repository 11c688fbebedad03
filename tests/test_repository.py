"""What holds of the whole repository: what loads what, what lies where, what shares a process."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.syntax import FOLDERS, ROOT
from tests.test_architecture import SIMULATORS


def test_few_files_lie_flat() -> None:
    flat = [path.name for path in (ROOT / "hxloop").glob("*.py")]
    assert len(flat) <= 11, flat


def test_a_fresh_import_loads_no_simulator_and_has_all_modules_at_hand() -> None:
    """The modules also by their old names, and with no import of their own."""
    code = (
        "import sys, hxloop\n"
        "from hxloop.substrate import backend_class, backend_names\n"
        "for name in backend_names(): backend_class(name)\n"
        f"print([name for name in {SIMULATORS} if name in sys.modules])\n"
        "from hxloop.ttfs import kernels\n"
        "for thing in (hxloop.losses, hxloop.experiment, kernels, hxloop.runs.train,\n"
        "              hxloop.calibration.CalibrationResult, hxloop.load_experiment):\n"
        "    print(thing.__name__)\n"
        "import runpy\n"
        "runpy.run_module('hxloop.backends.neuron_mechanisms', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.splitlines()[:7] == [
        "[]", "hxloop.training.losses", "hxloop.runs.run", "hxloop.engine.compiled.interface",
        "train", "CalibrationResult", "load_experiment",
    ]  # fmt: skip


def test_no_file_holds_a_path_of_somebodys_machine() -> None:
    owner = "|".join(["work", "home", "root", "tmp", "Users", "mnt", "scratch"])
    pattern = re.compile(rb"(?<![\w.~/)}])/(?:" + owner.encode() + rb")/[\w.]")
    # `make coverage` writes where what it measures lies; that is no file of the repository.
    left = (".git", ".coverage")
    files = [p for p in ROOT.iterdir() if p.is_file() and not p.name.startswith(left)]
    for folder in (*FOLDERS, "tests", ".ci"):
        files += [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    found = [
        f"{path.relative_to(ROOT)}: {match.group().decode()}..."
        for path in files
        if "__pycache__" not in path.parts
        for match in pattern.finditer(path.read_bytes())
    ]
    assert found == []


# Of these only the version of constraints.txt is tried: hxloop runs without them. Of aeon it reads
# files, and runs nothing.
TOOLS = {
    "aeon", "mypy", "ruff", "playwright", "setuptools",
    "ipykernel", "myst-nb", "pydata-sphinx-theme", "sphinx",
}  # fmt: skip


def test_the_oldest_versions_that_are_tried_are_those_that_are_admitted() -> None:
    """torch 2.3 was admitted, and no training ran with it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    admitted = {}
    for line in itertools.chain(
        project["dependencies"], *project["optional-dependencies"].values()
    ):
        asked = Requirement(line)
        floors = [Version(part.version) for part in asked.specifier if part.operator == ">="]
        here = asked.marker is None or asked.marker.evaluate({"python_version": "3.11"})
        if here and asked.name != "hxloop" and asked.name not in TOOLS:
            (admitted[canonicalize_name(asked.name)],) = floors
    text = (ROOT / "constraints-oldest.txt").read_text(encoding="utf-8")
    tried = {
        canonicalize_name(name): Version(version)
        for name, version in re.findall(r"^([\w-]+)==(\S+)$", text, re.MULTILINE)
    }
    assert tried == admitted


def test_what_is_shared_by_a_group_of_tests_stays_in_one_process(
    request: pytest.FixtureRequest,
) -> None:
    """pytest-xdist marks groups in ``_nodeid``; a pytest without it spreads them in silence.

    So did it the files whose group was given after it had looked: module fixtures were made twice.
    """
    assert request.node.nodeid == request.node._nodeid
    if request.config.getoption("loadgroup", False):  # set in the workers of xdist
        assert request.node.nodeid.endswith("@test_repository.py")
