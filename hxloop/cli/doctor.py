"""What this machine has of all that hxloop may need, in words that can be sent to somebody."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

from hxloop.data.folders import data_folders
from hxloop.errors import HxloopError
from hxloop.substrate import backend_class, backend_names, get_backend
from hxloop.substrate.chip_software import ChipSoftware, chip_software
from hxloop.substrate.optional import offers
from hxloop.version import __version__

# What a training on a chip needs: of the vendor's software, and of requirements-chip.txt.
NEEDED = (
    "numpy", "torch", "neo",
    "h5py", "numba", "pydantic", "rich", "safetensors", "scipy", "tomli-w", "typer",
)  # fmt: skip
# What else hxloop asks for, and what is missing without it.
FOR_REPORTS = {
    "matplotlib": "reports of trainings",
    "plotly": "pages of analyses",
    "elephant": "analyses",
    "scikit-learn": "analyses, small data sets",
    "pooch": "downloading MNIST",
}
SIMULATORS = {"PyNN": "PyNN", "Brian2": "brian2", "NEST": "nest-simulator", "NEURON": "neuron"}
COMPILERS = ("g++", "gcc", "clang++", "make", "nrnivmodl")
THREADS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "NUMBA_NUM_THREADS")


@dataclass
class Findings:
    """What was found.

    Attributes:
        sections: title -> what is what.
        problems: what keeps something from working, each with what to do.
    """

    sections: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"sections": self.sections, "problems": self.problems}


def examine(calibration: Path | None = None, *, connect: bool = False) -> Findings:
    """Look, and change nothing.

    Args:
        calibration: a calibration file that is to be used.
        connect: whether to open a connection to a chip and ask which one it is.
    """
    found = Findings()
    found.sections["Python"] = {
        "hxloop": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
    }
    found.sections["Packages"] = _packages(found)
    found.sections["Simulators"] = {
        name: _version(package) or "not installed" for name, package in SIMULATORS.items()
    }
    found.sections["Compilers"] = {name: shutil.which(name) or "not found" for name in COMPILERS}
    found.sections |= _chips(found, calibration, connect)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found.sections["Folders"] = {
        "caches": f"{cache / 'hxloop'} ({_size(cache / 'hxloop')})",
        "numba": os.environ.get("NUMBA_CACHE_DIR", "beside the package, or the user's cache"),
        "calix": f"{cache / 'calix'} ({_size(cache / 'calix')})",
        "data": ", ".join(str(folder) for folder in data_folders("mnist")),
    }
    found.sections["Threads"] = {name: os.environ.get(name, "not set") for name in THREADS}
    return found


def _packages(found: Findings) -> dict[str, str]:
    rows = {}
    asked = _asked()
    for name in NEEDED:
        has = _version(name)
        rows[name] = f"{has or 'not installed'} (tested with {asked.get(name, 'any')})"
        least = re.search(r">=\s*([\d.]+)", asked.get(name, ""))
        if has is None:
            found.problems.append(f"{name} is not installed. Try: pip install {name}")
        elif least and name != "PyNN" and _numbers(has) < _numbers(least[1]):
            found.problems.append(
                f"{name} {has} is too old: hxloop is tested from {least[1]} on. On a machine with "
                "the vendor's software ask for a newer release of it, rather than replacing it"
            )
    for name, what in FOR_REPORTS.items():
        rows[name] = _version(name) or f"not installed: no {what}"
    return rows


def _chips(found: Findings, calibration: Path | None, connect: bool) -> dict[str, dict[str, str]]:
    """Of every backend with a vendor's software behind it."""
    sections = {}
    for name in backend_names():
        try:
            if not offers(backend_class(name), ChipSoftware):
                continue
            software = chip_software(get_backend(name))
        except HxloopError as error:
            found.problems.append(f"backend {name!r} is not usable: {error}")
            continue
        if software is not None:
            told = software.examine(calibration, connect=connect)
            sections[name] = dict(told.rows)
            found.problems += told.problems
    return sections


def _asked() -> dict[str, str]:
    """What hxloop's own metadata say of each package; {} where it is not installed."""
    try:
        lines = requires("hxloop") or []
    except PackageNotFoundError:
        return {}
    found: dict[str, str] = {}
    for line in lines:
        name = re.match(r"[\w.-]+", line)
        if name and "extra ==" not in line:
            found.setdefault(name[0], line[name.end() :].partition(";")[0].strip())
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _size(folder: Path) -> str:
    if not folder.is_dir():
        return "not there"
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{size / 1e6:.1f} MB"
