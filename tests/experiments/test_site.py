"""The documentation, as far as it can be told without building it: pages, contents, links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.syntax import ROOT

SITE = ROOT / "experiments" / "tutorials" / "site"
# What `include_patterns` of its conf.py takes.
_PATTERNS = ("*.md", "experiments/*/README.md", "experiments/tutorials/**/*.md")
PAGES = sorted({path.resolve() for pattern in _PATTERNS for path in ROOT.glob(pattern)})
_CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def contents(page: Path) -> list[Path]:
    """Pages that the tables of contents of a page lead to, and those that these lead to."""
    found = []
    for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text("utf-8"), re.M | re.S):
        for line in block.splitlines():
            if line and not line.startswith(":"):
                name = re.sub(r".*<(.*)>", r"\1", line)
                found.append((page.parent / f"{name}.md").resolve())
    return [*found, *(below for each in found for below in contents(each))]


def headings(page: Path) -> set[str]:
    """Anchors as git servers and MyST make them of headings."""
    titles = re.findall(r"^#+ (.*)$", _FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.strip().replace(" ", "-") for title in plain}


def test_every_page_is_in_the_contents_once() -> None:
    listed = contents(SITE / "index.md")
    assert sorted([*listed, SITE / "index.md"]) == PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = _CODE.sub("", page.read_text(encoding="utf-8"))
    for link in _LINK.findall(text):
        if re.match(r"https?://|mailto:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{link}: no such file"
        if anchor:
            assert target.suffix == ".md" and anchor in headings(target), f"{link}: no such heading"
        # A link to a folder is one on a git server, and none in the documentation.
        assert target.is_file(), f"{link}: a folder"


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    for text in ("[a](b.md)", "[a](#none)", f"[a]({tmp_path})"):
        page = tmp_path / "page.md"
        page.write_text(f"# Title\n\n{text}\n", encoding="utf-8")
        with pytest.raises(AssertionError):
            test_links_of_a_page_lead_somewhere(page)
    page.write_text("# A title: of `two`\n\n[a](#a-title-of-two) `[b](c)`\n", encoding="utf-8")
    test_links_of_a_page_lead_somewhere(page)
