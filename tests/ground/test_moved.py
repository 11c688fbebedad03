"""Old names of modules go on working, and stand in the way of no new one."""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest

import hxloop
from hxloop.moved import MOVED


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_gives_the_module_itself(old: str) -> None:
    now = importlib.import_module(f"hxloop.{MOVED[old]}")
    assert importlib.import_module(f"hxloop.{old}") is now
    assert now.__spec__ is not None
    assert now.__spec__.name == now.__name__ == f"hxloop.{MOVED[old]}"


@pytest.mark.parametrize("old", sorted(MOVED))
def test_no_old_name_hides_a_module_that_is_there(old: str) -> None:
    *rooms, leaf = old.split(".")
    folder = Path(hxloop.__file__).parent.joinpath(*rooms)
    assert PathFinder.find_spec(leaf, [str(folder)]) is None


def test_old_names_are_attributes_and_run_with_python_m() -> None:
    code = (
        "import hxloop\nfrom hxloop.ttfs import kernels\n"
        "print(hxloop.losses.__name__, hxloop.experiment.__name__, kernels.__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.split() == [
        "hxloop.training.losses", "hxloop.runs.run", "hxloop.engine.compiled.interface",
    ]  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "hxloop.backends.neuron_mechanisms"], check=True, timeout=120
    )
