"""Things by name: those that come along, and those of other packages, found by entry point."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
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

    def check_options(self, name: str, made_by: Any, options: Mapping[str, Any], how: str) -> None:
        """Check that options are fields of the dataclass that is to be made with them.

        Args:
            name: under which it is registered.
            made_by: the dataclass.
            options: by name.
            how: one gives an option that is missing, ``{option}`` in the place of its name.

        Raises:
            UnknownNameError: there is no such option; the message lists the known ones.
            ConfigError: one without a default is missing.
        """
        known = {field.name: field for field in fields(made_by) if field.init}
        for option in options:
            if option not in known:
                kind = f"option of {self.kind} {name!r}"
                raise UnknownNameError(unknown_name(kind, option, known))
        for option, field in known.items():
            if option not in options and field.default is field.default_factory is MISSING:
                raise ConfigError(
                    f"{self.kind} {name!r}: needs the option {option!r}; got "
                    f"{', '.join(options) or 'no options'}. Give it: {how.format(option=option)}"
                )

    def make(self, name: str, options: Mapping[str, Any], protocol: Any, asked: str) -> Any:
        """Make what is registered under a name; it is a dataclass, and its fields are options.

        Args:
            name: of ``names()``.
            options: by name.
            protocol: what it is to be; checkable at run time.
            asked: that in words, for messages.

        Raises:
            UnknownNameError: no such name or option; the message lists the known ones.
            MissingDependencyError: another package's needs one that is not installed.
            ConfigError: no dataclass, an option missing or out of range, or not that protocol.
        """
        made_by = self.get(name)
        if not (isinstance(made_by, type) and is_dataclass(made_by)):
            raise ConfigError(
                f"{self.kind} {name!r}: expected a dataclass; its package registers {made_by!r}"
            )
        self.check_options(name, made_by, options, f"{self.kind} option {{option}}=...")
        made = made_by(**options)
        if not isinstance(made, protocol):
            raise ConfigError(
                f"{self.kind} {name!r}: expected what {asked}; {made_by.__qualname__} lacks some "
                "of it"
            )
        return made


@dataclass(frozen=True)
class Option:
    """An option of something that is found by name.

    Attributes:
        name: as a configuration has it.
        default: what it is unless it is said; None may be one.
        required: whether it has to be said.
        meaning: what its docstring says of it.
    """

    name: str
    default: Any
    required: bool
    meaning: str


def options_of(kind: type[Any]) -> tuple[Option, ...]:
    """The options of a dataclass: its fields, with what its docstring says of them.

    That is the section ``Args:``, or else ``Attributes:``; none for what is no dataclass.
    """
    if not is_dataclass(kind):
        return ()
    meanings: dict[str, str] = {}
    for each in reversed(kind.__mro__):
        meanings |= _meanings(each.__doc__ or "")
    found = []
    for field in fields(kind):
        if not field.init:
            continue
        default = field.default if field.default_factory is MISSING else field.default_factory()
        required = default is MISSING
        found.append(
            Option(
                field.name, None if required else default, required, meanings.get(field.name, "")
            )
        )
    return tuple(found)


def _meanings(docstring: str) -> dict[str, str]:
    """Names and texts of the section of a docstring that lists arguments."""
    _, found, section = inspect.cleandoc(docstring).partition("Args:\n")
    if not found:
        _, found, section = inspect.cleandoc(docstring).partition("Attributes:\n")
    texts: dict[str, list[str]] = {}
    names: list[str] = []
    for line in section.splitlines():
        if line.strip() and not line.startswith("    "):
            break
        entry = re.match(r" {4}(\w+(?:, \w+)*): (.*)", line)
        if entry:
            names = entry[1].split(", ")
            texts |= {name: [entry[2]] for name in names}
        elif names and line.strip():
            for name in names:
                texts[name].append(line.strip())
    return {name: " ".join(lines) for name, lines in texts.items()}
