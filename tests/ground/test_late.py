"""What is imported when it is asked for: nobody waits for it before, and it is all there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import hxloop
from hxloop.late import names_for_type_checkers
from tests.syntax import MODULES, source_of, tree_of

# What takes longer to import than hxloop itself: 1.1 s of processor time, 0.3, 0.4, 0.1 and so on.
HEAVY = (
    "brian2", "h5py", "matplotlib", "neo", "numba", "plotly", "pyNN", "pydantic", "scipy",
    "sklearn", "torch",
)  # fmt: skip
LATE = sorted(module for module in MODULES if "late.names(__name__)" in source_of(module))


def loaded_by(code: str) -> list[str]:
    """Which heavy libraries a new process has loaded after it."""
    code += "\nimport sys\nprint('loaded:', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = done.stdout.rpartition("loaded:")[2].split()
    assert "hxloop" in loaded
    return sorted({*HEAVY} & {*loaded})


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import hxloop", []),
        ("from hxloop.__main__ import main\ntry: main(['--help'])\nexcept SystemExit: pass", []),
        # What a backend, and what a reader of spikes, is written with.
        ("import hxloop.data.encoding, hxloop.units\nfrom hxloop import NetworkSpec, Spikes", []),
        ("from hxloop.substrate import BaseBackend, BaseSession, get_backend", []),
        ("from hxloop.activity import ActivityLog", ["h5py"]),
    ],
    ids=["import", "help", "network", "backend", "log"],
)
def test_nobody_waits_for_what_is_not_needed(code: str, needed: list[str]) -> None:
    assert loaded_by(code) == needed


def test_what_is_seen_not_to_be_loaded_is_seen_where_it_is() -> None:
    assert {"torch", "numba"} <= set(loaded_by("from hxloop import Trainer"))


@pytest.mark.parametrize("room", LATE)
def test_a_room_gives_out_what_it_lists_and_nothing_else(room: str) -> None:
    module = importlib.import_module(room)
    listed = names_for_type_checkers(tree_of(source_of(room)).body)
    of_room = {name for name, origin in listed.items() if origin != room}
    assert of_room == {*module.__all__} and of_room <= {*dir(module)}
    for name, origin in listed.items():
        assert getattr(module, name) is getattr(importlib.import_module(origin), name)
    with pytest.raises(AttributeError, match=f"module '{room}' has no attribute 'trian'"):
        module.trian  # noqa: B018


def test_modules_are_there_when_they_are_asked_for() -> None:
    assert "hxloop" in LATE and len(LATE) > 5
    assert hxloop.runs.train is importlib.import_module("hxloop.runs.run").train
    assert isinstance(hxloop.training.losses, ModuleType) and "losses" in dir(hxloop.training)
