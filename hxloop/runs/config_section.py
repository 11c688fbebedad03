"""What a section of a configuration is: a table with known keys, and how it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from hxloop.errors import ConfigError


class Section(BaseModel):
    """A table of a configuration; unknown keys are refused.

    It is written down with every default, but for keys that earlier versions did not have: a
    configuration that does not use them reads, and has the digest, as it had.
    """

    # Strict: "5" is no number and true is no 1.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    LATER: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        left = self._left_out(values)
        return {key: value for key, value in values.items() if key not in left}

    def _left_out(self, values: Mapping[str, Any]) -> set[str]:
        known = type(self).model_fields
        return {
            key
            for key in self.LATER
            if getattr(self, key) == known[key].get_default(call_default_factory=True)
        }


class ChoiceSection(Section):
    """One whose keys are the options of what comes along; another package's has ``options``.

    It is written down with what means something for the choice.
    """

    CHOICE: ClassVar[str]
    COME_ALONG: ClassVar[Mapping[str, type[Any]]]
    # A configuration that does not choose reads, and has the digest, as before one could.
    UNSAID: ClassVar[str | None] = None
    # Keys of whatever is chosen.
    OF_ALL: ClassVar[frozenset[str]] = frozenset()
    # Whether the keys of one that comes along are refused, and left out, for another one.
    APART: ClassVar[bool] = False

    options: dict[str, Any] = Field(default_factory=dict)

    def _left_out(self, values: Mapping[str, Any]) -> set[str]:
        left = super()._left_out(values)
        if not self.options:
            left.add("options")
        if values[self.CHOICE] not in self.COME_ALONG:
            left |= set(values) - {self.CHOICE, "options"} - self.OF_ALL
        elif values[self.CHOICE] == self.UNSAID:
            left.add(self.CHOICE)
        return left | self._foreign()

    def _foreign(self) -> set[str]:
        """Keys of others that come along, where these are apart."""
        name = getattr(self, self.CHOICE)
        if not self.APART or name not in self.COME_ALONG:
            return set()
        own = {field.name for field in fields(self.COME_ALONG[name])}
        return set(type(self).model_fields) - own - {self.CHOICE, "options"} - self.OF_ALL

    def options_of_choice(self, section: str) -> dict[str, Any]:
        """What the chosen one is made with.

        Raises:
            ConfigError: ``options`` for one that comes along, or a key of another one.
        """
        name = getattr(self, self.CHOICE)
        if name not in self.COME_ALONG:
            return self.options
        taken = [field.name for field in fields(self.COME_ALONG[name])]
        if self.options:
            raise ConfigError(
                f"{section}.options: expected none for {name!r}, whose options are keys of "
                f"[{section}]: {', '.join(taken)}; got {', '.join(self.options)}"
            )
        known = type(self).model_fields
        for key in sorted(self._foreign()):
            if getattr(self, key) != known[key].default:
                raise ConfigError(
                    f"{section}.{key}: {name!r} has no such key; expected those of it, "
                    f"{', '.join(taken)}. Leave it out, or choose another {section}.{self.CHOICE}"
                )
        return {key: getattr(self, key) for key in taken}
