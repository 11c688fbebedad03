"""One note, and how it is told."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from hxloop.errors import HxloopWarning

# Shares below this are counted in the result, but nothing is said.
WORTH_A_WORD = 0.01
_PACKAGE = str(Path(__file__).parents[2])


@dataclass(frozen=True)
class Note:
    """Something odd.

    Attributes:
        key: what it is, e.g. "inputs-after-window"; the same in every run.
        text: a sentence, with numbers and what to do.
        values: the numbers, plain values by name.
    """

    key: str
    text: str
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as files and ``--json`` have them."""
        return {"key": self.key, "text": self.text, **self.values}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Note:
        """What ``as_dict`` made."""
        rest = {name: value for name, value in content.items() if name not in ("key", "text")}
        return cls(str(content["key"]), str(content["text"]), rest)


def tell(notes: Iterable[Note]) -> None:
    """Warn of notes, as if from the line of the user's code that called hxloop."""
    for note in notes:
        warnings.warn(HxloopWarning(note.text), stacklevel=_depth_of_the_caller())


def latest(notes: Iterable[Note]) -> tuple[Note, ...]:
    """One note of each key, the last, in the order in which the keys first came."""
    return tuple({note.key: note for note in notes}.values())


def share(n: int, total: int, what: str) -> str:
    """ "12 of 60 samples (20 %)"."""
    percent = 100 * n / max(total, 1)
    shown = f"{percent:.0f}" if percent >= 10 or percent == 0 else f"{percent:.2g}"
    # Never "100 %" of what is not all.
    shown = "99.9" if shown == "100" and n < total else shown
    return f"{n} of {total} {what} ({shown} %)"


def _depth_of_the_caller() -> int:
    """``stacklevel`` of the first frame outside this package, seen from ``tell``."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, depth = frame.f_back, depth + 1
    return depth
