"""Old names of modules go on working, and stand in the way of no new one."""

from __future__ import annotations

import importlib
from importlib.machinery import PathFinder
from pathlib import Path

import hxloop
from hxloop.moved import MOVED


def test_an_old_name_gives_the_module_itself() -> None:
    for old, new in MOVED.items():
        now = importlib.import_module(f"hxloop.{new}")
        assert importlib.import_module(f"hxloop.{old}") is now, old
        assert now.__spec__ is not None
        assert now.__spec__.name == now.__name__ == f"hxloop.{new}"


def test_no_old_name_hides_a_module_that_is_there() -> None:
    def is_there(name: str) -> bool:
        *rooms, leaf = name.split(".")
        folder = Path(hxloop.__file__).parent.joinpath(*rooms)
        return PathFinder.find_spec(leaf, [str(folder)]) is not None

    assert [old for old in MOVED if is_there(old)] == []
    assert all(is_there(new) for new in MOVED.values())  # what is there is seen
