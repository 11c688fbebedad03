"""What a PyNN simulator is made of: the packages, how they are imported, what they warn of."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import numpy as np

from hxloop.errors import MissingDependencyError
from hxloop.version import __version__


class Packages:
    """The packages of one simulator.

    Attributes:
        name: of the backend.
        module: what to import as PyNN.
        requires: packages whose versions are reported; the last is the simulator's.
        extra: of hxloop, that installs all of them.
        known_warnings: how warnings begin (regular expressions) that PyNN and the simulator cause
            between themselves, and that say nothing about a run; each dialect says why.
    """

    name: str
    module: str
    requires: tuple[str, ...] = ("PyNN",)
    extra: str = "pynn"
    known_warnings: tuple[str, ...] = ()

    def load(self) -> ModuleType:
        """Import PyNN for this simulator.

        Raises:
            MissingDependencyError: a package is missing or of another version; says how to
                install it.
        """
        try:
            self.check_versions()
            return importlib.import_module(self.module)
        except ImportError as error:
            raise MissingDependencyError(
                f"backend {self.name!r} needs the packages {' and '.join(self.requires)}; "
                f'importing them failed ({error}). Try: pip install "hxloop[{self.extra}]"'
            ) from error

    def check_versions(self) -> None:
        """Refuse a PyNN whose insides are not those known here.

        Raises:
            MissingDependencyError: another version of PyNN.
        """
        found = version("PyNN")
        if not found.startswith("0.13."):
            raise MissingDependencyError(
                f"backend {self.name!r}: written for PyNN 0.13, whose insides it knows; found "
                f'{found}. Try: pip install "PyNN>=0.13,<0.14"'
            )

    @contextmanager
    def quiet(self) -> Iterator[None]:
        """Leave out the warnings that are known, and no other."""
        with warnings.catch_warnings():
            for message in self.known_warnings:
                warnings.filterwarnings("ignore", r"\s*" + message)
            yield

    def versions(self) -> dict[str, str]:
        """Versions of all that takes part."""
        found = {"hxloop": __version__, "numpy": np.__version__}
        for name in self.requires:
            try:
                found[name] = version(name)
            except PackageNotFoundError:  # built from source: it does not say
                found[name] = "unknown"
        return found
