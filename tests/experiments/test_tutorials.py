"""The tutorials: every page runs from its first cell to its last, and is what a page is to be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hxloop.experiments.registry import experiment_names
from tests.experiments.notebooks import FOLDER, cells, notebooks, program, prose, run

# The others are left to ``make test-all``; all together take three minutes of processor time.
QUICK = {"delays_and_loops.md"}
PAGES = notebooks()
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
KERNEL = "kernelspec:\n  display_name: Python 3\n  language: python\n  name: python3\n---\n"


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, marks=[] if p.name in QUICK else pytest.mark.slow) for p in PAGES],
    ids=lambda page: page.stem,
)
def test_a_page_runs_and_draws_one_picture(page: Path, tmp_path: Path) -> None:
    assert run(page, tmp_path).splitlines()[-1] == "pictures: 1"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_one_idea_and_ends_with_what_to_try(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text.startswith("---\njupytext:") and KERNEL in text
    titles = re.findall(r"^(#+ .*)", prose(text), re.MULTILINE)
    assert [title[:2] == "# " for title in titles] == [True] + [False] * (len(titles) - 1)
    assert titles[-1] == "## What to try" and text.count("\n*One idea: ") == 1
    assert len(text.splitlines()) <= (270 if page.stem == "coming_from" else 150)
    ast.parse(program(text))
    # What the text says is held by a cell that nobody has to look at.
    assert any("assert " in cell for cell in cells(text))


def test_every_page_is_in_the_table_of_the_folder() -> None:
    listed = re.findall(r"^\| \[.*?\]\((.*?)\)", INDEX, re.MULTILINE)
    assert sorted(listed) == [page.name for page in PAGES] and set(listed) >= QUICK


def test_tutorials_are_no_experiments() -> None:
    """Else ``hxloop experiments`` would list a folder that nobody can train."""
    assert "tutorials" not in experiment_names()


def test_a_page_becomes_a_program() -> None:
    text = (
        "# Title\n\n```{code-cell}\n:tags: [remove-cell]\nx = 1\n```\n\n```python\nno cell\n```\n"
        "\n```{code-cell}\n%%writefile a.txt\n!kept\n```\n\n```{code-cell}\n!ls 'a b'\nx\n```\n"
    )
    assert cells(text) == ["x = 1\n", "%%writefile a.txt\n!kept\n", "!ls 'a b'\nx\n"]
    made = program(text)
    assert "open('a.txt', 'w').write('!kept\\n')" in made and "_command(\"ls 'a b'\")" in made


@pytest.mark.parametrize("cell", ["1 / 0", "!exit 3", "assert False"])
def test_a_cell_that_fails_is_told(cell: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"```{{code-cell}}\nprint('before')\n{cell}\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"page\.md: before"):
        run(page, tmp_path)


# Programs of other frameworks on the page "coming from", and where they leave the spike.
OTHERS = {
    "pyNN.nest": ("first", 1.0691),
    "norse": ("output.index(1.0) * dt", 1.0),
    "jaxsnn": ("float(first(weights))", 1.0003),
}


def other_programs() -> list[str]:
    text = (FOLDER / "coming_from.md").read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def test_programs_of_other_frameworks_are_programs() -> None:
    for code in other_programs():
        ast.parse(code)
    assert len(other_programs()) == 6


@pytest.mark.slow
@pytest.mark.parametrize("framework", OTHERS)
def test_another_framework_does_what_the_page_says(framework: str) -> None:
    """Those that are installed; the others were run by hand, with the versions on the page."""
    for module in {framework, "nest" if framework == "pyNN.nest" else framework}:
        pytest.importorskip(module.partition(".")[0])
    begin = re.compile(rf"^(from|import) {framework}", re.MULTILINE)
    (code,) = [code for code in other_programs() if begin.search(code)]
    expression, expected = OTHERS[framework]
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nprint('spike', {expression})"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.findall(r"^spike (.*)", done.stdout, re.MULTILINE)
    assert float(found[0]) == pytest.approx(expected, abs=1e-4)
