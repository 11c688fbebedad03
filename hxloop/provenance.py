"""Where a result comes from: versions, machine, command."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("hxloop", "numpy", "torch", "numba", "scipy", "brian2", "safetensors", "pydantic")


def provenance(**more: Any) -> dict[str, Any]:
    """Versions, machine, command, time, and git commit where the code is a checkout.

    A commit that ends in "+changes" had uncommitted changes on top.

    Args:
        **more: further entries.
    """
    return {
        "started": now(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git_commit": _git_commit(),
        "command": ["hxloop", *sys.argv[1:]] if sys.argv[0].endswith("hxloop") else None,
        **more,
    }


def now() -> str:
    """The time, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_commit() -> str | None:
    folder = Path(__file__).resolve().parent
    if not (folder.parent / ".git").exists():
        return None
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+changes"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
