"""Names of a package that are imported when they are asked for, and not before.

What a package lists for type checkers (``if TYPE_CHECKING:``) is what it gives out: so much has to
be written anyway, and is then written once. ``import hxloop`` loads neither torch nor numba, and a
program that reads spikes from a file does not wait for the kernels of the engine.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any


def names(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package (PEP 562).

    A name is looked for among those that stand below ``if TYPE_CHECKING:`` in the package's
    ``__init__.py``, then among its modules. What was found stays.

    Args:
        package: its ``__name__``.
    """
    module = sys.modules[package]

    def __getattr__(name: str) -> Any:
        if not name.startswith("_"):
            origin = _origins(module.__file__).get(name, package)
            if origin != package:  # else it is a module of the package
                found = getattr(importlib.import_module(origin), name)
                setattr(module, name, found)
                return found
            if importlib.util.find_spec(f"{package}.{name}") is not None:
                return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        modules = (found.name for found in pkgutil.iter_modules(module.__path__))
        return sorted({*vars(module), *_origins(module.__file__), *modules})

    return __getattr__, __dir__


@cache
def _origins(file: str | None) -> dict[str, str]:
    return names_for_type_checkers(ast.parse(Path(file or "").read_text(encoding="utf-8")).body)


def names_for_type_checkers(statements: Iterable[ast.stmt]) -> dict[str, str]:
    """Name -> module that defines it, of what is imported below ``if TYPE_CHECKING:``."""
    return {
        alias.name: node.module or ""
        for block in statements
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
