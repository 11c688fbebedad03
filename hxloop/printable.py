"""Text that only says something: without what moves cursors, sets colours or turns lines round."""

from __future__ import annotations

import unicodedata

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
