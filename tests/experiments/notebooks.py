"""Tutorials as programs: the code cells of a notebook in MyST Markdown, run without Jupyter.

A notebook here uses Python, lines that begin with ``!`` (a command, which must succeed) and
cells that begin with ``%%writefile``: no other magic.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.syntax import ROOT

FOLDER = ROOT / "experiments" / "tutorials"
_CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_OPTION = re.compile(r"\A(?::[a-z-]+:[^\n]*\n)+")

# Commands are those of the environment that runs the tests, wherever they are started.
_HEAD = """\
import os, subprocess, sys
os.environ["MPLBACKEND"] = "Agg"

def _command(words):
    if subprocess.run(words, shell=True).returncode:
        raise SystemExit(f"failed: {words}")

"""
_TAIL = """\
_pyplot = sys.modules.get("matplotlib.pyplot")
print("pictures:", len(_pyplot.get_fignums()) if _pyplot else 0)
"""


def notebooks() -> list[Path]:
    """All pages of the tutorials that hold code to run."""
    return sorted(path for path in FOLDER.glob("*.md") if cells(path.read_text(encoding="utf-8")))


def cells(text: str) -> list[str]:
    """The code cells, without their options."""
    return [_OPTION.sub("", cell) for cell in _CELL.findall(text)]


def prose(text: str) -> str:
    """A notebook without what is run."""
    return _CELL.sub("", text)


def program(text: str) -> str:
    """What a notebook runs, as one program in Python."""
    parts = [_HEAD]
    for number, cell in enumerate(cells(text), 1):
        parts.append(f"# --- cell {number}")
        first, _, rest = cell.partition("\n")
        if first.startswith("%%writefile "):
            path = first.removeprefix("%%writefile ").strip()
            parts.append(f"open({path!r}, 'w').write({rest!r})")
        else:
            parts.append(re.sub(r"(?m)^!(.*)$", lambda found: f"_command({found[1]!r})", cell))
    return "\n".join([*parts, _TAIL])


def run(notebook: Path, folder: Path) -> str:
    """Run a notebook from its first cell to its last, in a process of its own.

    Args:
        notebook: the page.
        folder: where it runs, and leaves what it writes.

    Returns:
        What it printed; the last line counts its pictures.

    Raises:
        AssertionError: a cell failed.
    """
    code = folder / f"{notebook.stem}.py"
    code.write_text(program(notebook.read_text(encoding="utf-8")), encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, str(code)],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{notebook.name}: {done.stdout[-2000:]}\n{done.stderr[-3000:]}"
    return done.stdout
