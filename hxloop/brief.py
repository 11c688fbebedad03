"""A ``repr`` that can be read: arrays by shape and type, long lists by their length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

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
