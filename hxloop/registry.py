"""Things by name: those that come along, and those of other packages, found by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from hxloop.errors import (
    ConfigError,
    MissingDependencyError,
    UnknownNameError,
    unknown_name,
)


@dataclass(frozen=True)
class Registry:
    """Where things of one kind are found by name.

    Another package registers its own in its ``pyproject.toml``, for example

    .. code-block:: toml

        [project.entry-points."hxloop.losses"]
        my-loss = "my_package.losses:MyLoss"

    A name that comes along stays what it is.

    Attributes:
        kind: in messages: "loss", "data set".
        group: of the entry points.
        built_in: what comes along, by name.
    """

    kind: str
    group: str
    built_in: Mapping[str, Any]

    def others(self) -> dict[str, EntryPoint]:
        """Those of other packages, not loaded."""
        found = {point.name: point for point in entry_points(group=self.group)}
        return {name: point for name, point in found.items() if name not in self.built_in}

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        return tuple(sorted({*self.built_in, *self.others()}))

    def get(self, name: str) -> Any:
        """What is registered under a name.

        Raises:
            UnknownNameError: nothing is; the message lists what there is.
            MissingDependencyError: its module needs a package that is not installed.
            ConfigError: its package registers what is not there.
        """
        if name in self.built_in:
            return self.built_in[name]
        others = self.others()
        if name not in others:
            raise UnknownNameError(unknown_name(self.kind, name, self.names()))
        try:
            return others[name].load()
        except ImportError as error:
            package = str(error.name).partition(".")[0]
            raise MissingDependencyError(
                f"{self.kind} {name!r} needs the package {error.name!r}, which is not installed "
                f"({error}); try: pip install {package}"
            ) from error
        except AttributeError as error:
            raise ConfigError(
                f"{self.kind} {name!r}: its package registers {others[name].value}, which is not "
                f"there ({error}); install that package again, or ask its authors"
            ) from error
