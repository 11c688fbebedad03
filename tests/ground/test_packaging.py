"""Wheels and source archives hold the whole package, whatever became of the links in a checkout."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINKED = ("backends", "calibration", "experiments")
TOP = (
    "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md",
    "CITATION.cff", "CONTRIBUTING.md",
)  # fmt: skip


def package_files() -> set[str]:
    """Every file of the package, by the name under which it is installed."""
    found = set()
    for folder in ("hxloop", *LINKED):
        for path in (ROOT / folder).rglob("*"):
            below = path.relative_to(ROOT)
            seen_already = below.parts[0] == "hxloop" and below.parts[1] in LINKED
            if path.is_file() and "__pycache__" not in below.parts and not seen_already:
                found.add((below if folder == "hxloop" else "hxloop" / below).as_posix())
    return found


def checkout(folder: Path, links: str) -> Path:
    """A copy of the repository whose links are whole, texts (as git and zip leave them) or gone."""
    ignore = shutil.ignore_patterns("__pycache__")
    for name in TOP:
        shutil.copy(ROOT / name, folder / name)
    for name in LINKED:
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copytree(
        ROOT / "hxloop", folder / "hxloop", ignore=shutil.ignore_patterns("__pycache__", *LINKED)
    )
    (folder / "tests").mkdir()
    (folder / "tests" / "test_architecture.py").touch()
    for name in LINKED:
        link = folder / "hxloop" / name
        if links == "whole":
            link.symlink_to(f"../{name}")
        elif links == "texts":
            link.write_text(f"../{name}")
    return folder


def build(folder: Path, what: str) -> Path:
    """As ``pip wheel --no-build-isolation --no-deps`` does."""
    code = (
        "import sys\nfrom setuptools import build_meta\n"
        f"name = build_meta.build_{what}('dist')\nopen('dist/name', 'w').write(name)\n"
    )
    (folder / "dist").mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "dist" / (folder / "dist" / "name").read_text()


def installed_by(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as file:
        return {name for name in file.namelist() if ".dist-info/" not in name}


@pytest.mark.parametrize("links", ["whole", "texts"])
def test_a_wheel_is_whole_with_links_and_without(tmp_path: Path, links: str) -> None:
    """A checkout without symbolic links built a wheel with half of the files."""
    wheel = build(checkout(tmp_path, links), "wheel")
    assert installed_by(wheel) == package_files()


@pytest.mark.parametrize("links", ["whole", "gone"])
def test_a_source_archive_is_whole_and_builds_the_same_wheel(tmp_path: Path, links: str) -> None:
    (tmp_path / "checkout").mkdir()
    archive = build(checkout(tmp_path / "checkout", links), "sdist")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "sdist", filter="data")
    (unpacked,) = (tmp_path / "sdist").iterdir()
    assert {name for name in TOP if not (unpacked / name).is_file()} == set()
    assert not (unpacked / "tests").exists()
    assert installed_by(build(unpacked, "wheel")) == package_files()


def test_a_checkout_with_a_folder_missing_is_refused(tmp_path: Path) -> None:
    layout = runpy.run_path(str(ROOT / "setup.py"))["layout"]
    for name in ("hxloop", "backends", "experiments"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    with pytest.raises(SystemExit, match=r"expected the package hxloop\.calibration.*git clone"):
        layout(tmp_path)
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "__init__.py").touch()
    packages, folders = layout(tmp_path)
    assert set(packages) == {"hxloop", *(f"hxloop.{name}" for name in LINKED)}
    assert folders == {f"hxloop.{name}": name for name in LINKED}
