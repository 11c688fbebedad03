"""Settings of the documentation, which Sphinx builds from the pages where they lie: ``make docs``.

The source is the repository itself, so that every link is the one that is seen on a git server.
"""

import importlib
import inspect
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from hxloop.version import __version__

ROOT = Path(__file__).resolve().parents[3]
SITE = "experiments/tutorials/site"
_NAMES = re.compile(r"^```\{public-names\} (\S+)\n```$", re.MULTILINE)

project = "hxloop"
copyright = "The hxloop developers, Apache-2.0"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
root_doc = f"{SITE}/index"
include_patterns = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "experiments/*/README.md",
    "experiments/tutorials/**.md",
]
# Not searched: what is installed, built and trained, and the links to the folders at the top.
exclude_patterns = [".*", "build", "dist", "runs", "hxloop", "tests", "backends", "calibration"]

# --- notebooks: run when they have changed, their output kept beside the pages -----------------
nb_execution_mode = os.environ.get("HXLOOP_DOCS_EXECUTION", "cache")
nb_execution_cache_path = str(ROOT / "build" / "notebooks")
nb_execution_in_temp = True
nb_execution_excludepatterns = ["experiments/tutorials/ebrains/*"]  # needs a chip
# What is not executed is taken for plain Python, which knows no "!command".
suppress_warnings = ["misc.highlighting_failure"]
nb_execution_timeout = 600
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_heading_anchors = 4

# --- reference ----------------------------------------------------------------------------------
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented_params"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False  # what stands before a colon there is in words

# --- look ---------------------------------------------------------------------------------------
html_theme = "pydata_sphinx_theme"
html_title = "hxloop"
html_static_path = ["look"]
html_css_files = ["hxloop.css"]
templates_path = ["look"]
html_additional_pages = {"index": "to_first_page.html"}
# Pages of no section, whose lines of code need the room.
html_sidebars: dict[str, list[str]] = {page: [] for page in ("README", "CONTRIBUTING", "CHANGELOG")}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navbar_persistent": ["search-button"],
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def given_out(module: Any) -> dict[str, Any]:
    """Classes and functions of a module: those of its ``__all__``, or those that it defines."""
    own = [name for name, thing in vars(module).items() if inspect.getmodule(thing) is module]
    names = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    things = {name: getattr(module, name) for name in names}
    return {n: t for n, t in things.items() if inspect.isclass(t) or inspect.isroutine(t)}


@cache
def owners() -> dict[Any, str]:
    """Of every class and function the module under whose name it is documented.

    That is the first page in alphabetical order, the room and not ``hxloop`` itself: what is there
    twice would have two places to be looked up.
    """
    pages = sorted((ROOT / SITE / "api").glob("*.md"))
    modules = [name for page in pages for name in _NAMES.findall(page.read_text(encoding="utf-8"))]
    found: dict[Any, str] = {}
    for name in sorted(modules, key=lambda name: name == "hxloop"):
        for thing in given_out(importlib.import_module(name)).values():
            found.setdefault(thing, name)
    return found


def directives(found: re.Match[str]) -> str:
    """What documents the names of a module, with links to those documented elsewhere."""
    lines, links = [], []
    for name, thing in given_out(importlib.import_module(found[1])).items():
        owner = owners()[thing]
        if owner != found[1]:
            links.append(f"- {{py:obj}}`{name} <{owner}.{name}>`")
        elif inspect.isclass(thing):
            lines.append(f".. autoclass:: {owner}.{name}\n   :members:")
        else:
            lines.append(f".. autofunction:: {owner}.{name}")
    return "\n".join([*links, "", "```{eval-rst}", *lines, "```"])


def one_by_one(lines: list[str]) -> list[str]:
    """``a, b: text`` of a docstring as two lines: Sphinx takes the first name for a type."""
    written: list[str] = []
    index = 0
    while index < len(lines):
        shared = re.match(r"( {4,})(\w+(?:, \w+)+)(: .*)$", lines[index])
        index += 1
        if shared is None:
            written.append(lines[index - 1])
            continue
        end = index
        while end < len(lines) and lines[end].startswith(f"{shared[1]}    "):
            end += 1
        for name in shared[2].split(", "):
            written += [f"{shared[1]}{name}{shared[3]}", *lines[index:end]]
        index = end
    return written


def setup(app: Any) -> None:
    """Take ``{public-names} MODULE`` in a page for what the module gives out."""

    def expand(app: Any, page: str, source: list[str]) -> None:
        source[0] = _NAMES.sub(directives, source[0])

    def split(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
        lines[:] = one_by_one(lines)

    app.connect("source-read", expand)
    app.connect("autodoc-process-docstring", split, priority=400)  # before sections are read
