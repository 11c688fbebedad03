"""JSON from files that anybody may have written or damaged."""

from __future__ import annotations

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """What ``json.loads`` gives; also for nesting without end the error is a ``ValueError``.

    Raises:
        ValueError: no JSON, or nested deeper than Python can follow.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
