"""What a check is: a name, what it says of a backend, and a function that finds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hxloop.conformance.subject import Subject

Figures = Mapping[str, float]
CheckFunction = Callable[["Subject"], Figures | None]


@dataclass(frozen=True)
class Check:
    """One thing that every backend must do.

    Attributes:
        name: short, with hyphens; known deviations are listed by it.
        group: what it belongs to.
        description: one sentence that is true of a backend that passes.
        function: called with the subject; returns measured figures, if any. Raises
            ``ConformanceError`` where the backend falls short, and ``CheckNotApplicable`` where
            the check does not concern it.
        long: takes minutes; left out unless asked for.
    """

    name: str
    group: str
    description: str
    function: CheckFunction
    long: bool = False

    def __str__(self) -> str:
        return self.name


class CheckGroup:
    """The checks of one module, in the order in which they are written there.

    Example:
        >>> group = CheckGroup("form")
        >>> @group.check
        ... def batch_is_kept(subject):
        ...     '''As many samples come back as went in.'''
        >>> [str(check) for check in group.checks]
        ['batch-is-kept']
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._checks: list[Check] = []

    @property
    def checks(self) -> tuple[Check, ...]:
        """All checks of the group."""
        return tuple(self._checks)

    def check(self, function: CheckFunction) -> CheckFunction:
        """Make a check of a function; its name and the first line of its docstring are used."""
        return self.add(function)

    def long(self, function: CheckFunction) -> CheckFunction:
        """As ``check``, for one that takes minutes."""
        return self.add(function, long=True)

    def add(
        self, function: CheckFunction, name: str | None = None, long: bool = False
    ) -> CheckFunction:
        """Add a check under another name than that of its function."""
        name = name or function.__name__.replace("_", "-")
        description = (function.__doc__ or "").strip().partition("\n")[0]
        self._checks.append(Check(name, self.name, description, function, long))
        return function
