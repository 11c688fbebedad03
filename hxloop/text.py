"""Text that people read: a ``repr`` of a few words, and nothing that a terminal would obey."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from hxloop.errors import ConfigError, HxloopError

# Control characters, halves of characters, separators of lines, what changes the direction.
_KINDS = {"Cc", "Cs", "Zl", "Zp"}
_DIRECTIONS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: str) -> str:
    """The text with whatever a terminal would obey written out, as ``\\x1b``; lines stay.

    >>> printable("a\\x1b[31mb")
    'a\\\\x1b[31mb'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in "\n\t" or not _acts(character) else _written_out(character)
        for character in text
    )


def check_printable(where: str, text: str, error: type[HxloopError] = ConfigError) -> None:
    """Refuse a name or description that holds more than characters to be read.

    Raises:
        error: there is a control character in it, a line break among them.
    """
    wrong = [character for character in text if _acts(character)]
    if wrong:
        raise error(
            f"{where}: expected text without control characters; got {_written_out(wrong[0])} in "
            f"'{printable(text)}'"
        )


def _acts(character: str) -> bool:
    return unicodedata.category(character) in _KINDS or character in _DIRECTIONS


def _written_out(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


# Longer texts and lists are described instead of shown.
SHORT = 60


class Brief:
    """For dataclasses that hold arrays; they take ``@dataclass(repr=False)``."""

    def __repr__(self) -> str:
        shown = ", ".join(
            f"{field.name}={brief(getattr(self, field.name))}"
            for field in fields(self)  # type: ignore[arg-type]
            if field.repr
        )
        return f"{type(self).__name__}({shown})"


def brief(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, np.ndarray):
        return f"<{'x'.join(map(str, value.shape)) or 'scalar'} {value.dtype}>"
    if isinstance(value, np.generic):
        return repr(value.item())
    full = repr(value)
    if len(full) <= SHORT or isinstance(value, Brief):
        return full
    if isinstance(value, str):
        return repr(value[: SHORT - 3] + "...")
    if isinstance(value, list | tuple):
        if all(isinstance(item, np.ndarray | Brief) for item in value) and len(value) <= 10:
            return f"({', '.join(map(brief, value))})"
        return f"<{len(value)} items>"
    if isinstance(value, Mapping):
        return f"<{len(value)} entries: {', '.join(map(str, list(value)[:5]))}>"
    return f"<{type(value).__name__}>"
