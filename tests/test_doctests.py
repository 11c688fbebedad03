"""Examples in docstrings run as they stand: who copies one gets what it shows."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

from tests.test_architecture import MODULES, source_of

WITH_EXAMPLES = sorted(module for module in MODULES if ">>> " in source_of(module))


def test_there_are_examples() -> None:
    assert {"hxloop.network.spec", "hxloop.training.trainer", "hxloop.units"} <= set(WITH_EXAMPLES)


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_examples_of(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    failed, _ = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert failed == 0, f"examples of {module} fail; the captured output says which and how"


def test_a_wrong_example_fails() -> None:
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(verbose=False).run(wrong, out=lambda text: None).failed == 1
