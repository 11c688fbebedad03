"""Where a chip vendor's software is: hxloop with what it brings and ``requirements-chip.txt``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from hxloop.cli import doctor
from tests.syntax import ROOT

# Of the vendor's software; neo comes with PyNN.
VENDOR = {"numpy", "torch", "neo"}


def listed() -> dict[str, str]:
    lines = (ROOT / "requirements-chip.txt").read_text(encoding="utf-8").splitlines()
    asked = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {requirement.name: str(requirement.specifier) for requirement in asked}


def with_what_they_need(names: set[str]) -> set[str]:
    """Distributions, and all that they ask for themselves."""
    todo, seen = list(names), set()
    while todo:
        name = canonicalize_name(todo.pop())
        if name in seen:
            continue
        seen.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:  # of another machine
            continue
        for asked in map(Requirement, lines):
            if asked.marker is None or asked.marker.evaluate({"extra": ""}):
                todo.append(asked.name)
    return seen


def test_the_list_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {line.name: str(line.specifier) for line in map(Requirement, project["dependencies"])}
    assert listed() == {name: asked[name] for name in listed()}
    # Whoever adds a dependency says here whether a chip's machine needs it.
    assert {*listed(), *VENDOR, *doctor.FOR_REPORTS} == set(asked)
    assert set(doctor.NEEDED) == {*listed(), *VENDOR}


PROGRAM = """
import json, sys, types
for name in json.loads(sys.argv[1]):
    sys.modules[name] = None  # its import fails
from hxloop.cli.entry import main

def command(*words):
    try:
        main(list(words))
    except SystemExit as done:
        return int(done.code or 0)

small = [f"dataset.{part}_size=20" for part in ("train", "validation", "test")]
small += ["network.hidden=[4]", "training.epochs=1"]
words = [word for setting in small for word in ("--set", setting)]
found = {"trained": command("train", "yin-yang", "--out", "run", *words)}
found["refused"] = command("analyse", "run")

from tests.contract_double.control import install
install(types.SimpleNamespace(setattr=setattr, setitem=dict.__setitem__))
found["prepared"] = command("check-backend", "pynn-brainscales2", "--prepare-only")
found["doctor"] = command("doctor")
print(json.dumps(found))
"""


def test_it_trains_and_prepares_where_nothing_else_is(tmp_path: Path) -> None:
    """Of all that is installed here nothing can be imported but what the list and PyNN bring."""
    there = with_what_they_need({*listed(), *VENDOR, "PyNN"})
    blocked = [
        module
        for module, owners in packages_distributions().items()
        if module != "hxloop" and not any(canonicalize_name(name) in there for name in owners)
    ]
    assert {"brian2", "neuron", "matplotlib", "plotly", "sklearn"} <= set(blocked)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(blocked)],
        cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["trained"] == told["prepared"] == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "There is no report: the package 'matplotlib'" in " ".join(done.stderr.split())
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert "provenance.json" in files and "report.html" not in files
    assert told["refused"] != 0 and "this needs the package" in done.stderr
    assert told["doctor"] == 0


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def test_the_doctor_says_what_is_missing_and_for_what(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(doctor, "version", nothing)
    found = doctor.examine()
    told = found.sections["Packages"]
    assert told["matplotlib"] == "not installed: no reports of trainings"
    missing = {problem.split()[0] for problem in found.problems}
    assert missing == set(doctor.NEEDED)  # what is for reports only is no problem
