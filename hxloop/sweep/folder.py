"""The folder of a sweep: its plan, its tables and its page, beside the folders of its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hxloop.errors import FileFormatError, OutputError
from hxloop.files import write_atomically
from hxloop.files.json_text import parse_json
from hxloop.provenance import provenance
from hxloop.sweep.result import SweepResult

PLAN, RESULTS, TABLE, LIST = "sweep.json", "results.json", "results.md", "results.csv"
FIGURE, PAGE = "figure.png", "sweep.html"


@dataclass(frozen=True)
class SweepFolder:
    """Where a sweep is."""

    path: Path

    @classmethod
    def made(cls, path: Path, plan: Mapping[str, Any], *, force: bool) -> SweepFolder:
        """Made, or found with the same configuration; grids may grow and shrink.

        Args:
            path: where.
            plan: what ``sweep.json`` is to hold.
            force: take one with another configuration as well.

        Raises:
            OutputError: something else is there.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            there = [entry.name for entry in path.iterdir() if not entry.name.startswith(".")]
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        found = cls(path)
        if not there:
            return found
        if PLAN not in there:
            raise OutputError(f"{path}: holds something else than a sweep. Give another --out.")
        before = found.plan()
        for key in ("config", "threads"):
            if before.get(key) != plan[key] and not force:
                what = "another configuration" if key == "config" else "other --threads"
                raise OutputError(
                    f"{path}: holds a sweep of {what}. Give another --out, or --force to train "
                    "anew what differs."
                )
        return found

    def plan(self) -> dict[str, Any]:
        """What is swept here.

        Raises:
            FileFormatError: nothing is, or its file is damaged.
        """
        path = self.path / PLAN
        try:
            plan = parse_json(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise FileFormatError(
                f"{self.path}: expected the folder of a sweep; there is no {PLAN} in it"
            ) from error
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{path}: truncated or corrupt: {error}") from error
        if not isinstance(plan, dict):
            raise FileFormatError(f"{path}: expected a JSON object; got {type(plan).__name__}")
        return plan

    def write_plan(self, plan: Mapping[str, Any]) -> None:
        """Write down what is swept."""
        self._write(PLAN, _json({**plan, "provenance": provenance()}))

    def write(self, result: SweepResult, by: Sequence[str] | None) -> None:
        """Write down what came of it so far."""
        self._write(RESULTS, _json(result.as_dict(by)))
        self._write(TABLE, result.markdown(by))
        self._write(LIST, result.csv())

    def draw(self, result: SweepResult, by: Sequence[str] | None) -> None:
        """Write the page and its figure."""
        from hxloop.sweep.page import write_page  # with matplotlib, which takes a second

        write_page(result, self.path / PAGE, self.path / FIGURE, by)

    def _write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text.encode())


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
