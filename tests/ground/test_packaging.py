"""Wheels and source archives hold the whole package, whatever became of the links in a checkout."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hxloop import NetworkSpec, get_backend
from hxloop.cli.words import in_commands
from hxloop.errors import MissingDependencyError
from hxloop.version import __version__

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
            # The documentation is built from the repository.
            left_out = below.parts[:3] == ("experiments", "tutorials", "site")
            left_out |= seen_already or "__pycache__" in below.parts
            if path.is_file() and not left_out:
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


# What is no dependency of hxloop, and is installed where its tests run.
SIMULATORS = ("brian2", "pyNN", "nest", "neuron")
WITHOUT = f"import sys\nfor name in {SIMULATORS}: sys.modules[name] = None\n"
COMMAND = "from hxloop.cli.entry import main; main(sys.argv[1:])"
SMALL = (
    "--epochs 1 --set dataset.train_size=60 --set dataset.validation_size=20 --set "
    "dataset.test_size=60 --set training.batch_size=20 --set activity.samples=60"
)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel, and what is installed here instead of pip's own
    downloads: nothing of the checkout."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "checkout").mkdir()
    wheel = build(checkout(folder / "checkout", "whole"), "wheel")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index",
         "--no-deps", "--disable-pip-version-check", wheel],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    ((site),) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site / "installed_here.pth").write_text(sysconfig.get_paths()["purelib"])
    shutil.rmtree(folder / "checkout")
    return python


def commanded(
    python: Path, words: str, folder: Path, code: str = WITHOUT + COMMAND
) -> subprocess.CompletedProcess[str]:
    """A command of the installed package, on a machine without any simulator."""
    left = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, "-c", code, *words.split()], cwd=folder, capture_output=True, text=True,
        timeout=600, env={**left, "NUMBA_CACHE_DIR": str(folder / "numba")},
    )  # fmt: skip


def test_the_installed_wheel_has_experiments_and_says_what_is_missing(
    alone: Path, tmp_path: Path
) -> None:
    done = commanded(alone, "experiments --json", tmp_path)
    assert done.returncode == 0, done.stderr
    listed = {each["name"] for each in json.loads(done.stdout)["experiments"]}
    folders = [path.parent.name for path in (ROOT / "experiments").glob("*/config.toml")]
    assert listed == {name.replace("_", "-") for name in folders}
    done = commanded(alone, "train yin-yang-in-the-loop --out run", tmp_path)
    assert done.returncode == 1 and 'pip install "hxloop[brian2]"' in done.stderr
    assert "backend.options.solver=event" in done.stderr and not (tmp_path / "run").exists()
    code = "import hxloop, hxloop.backends; print(*hxloop.backends.__path__)"
    where = Path(commanded(alone, "", tmp_path, code).stdout.strip())
    assert where.is_relative_to(alone.parents[1]) and where.is_dir() and not where.is_symlink()


@pytest.mark.slow  # everything is compiled anew: minutes
def test_the_installed_wheel_trains_in_the_loop_without_simulators(
    alone: Path, tmp_path: Path
) -> None:
    solver = "--set backend.options.solver=event"
    done = commanded(alone, f"train yin-yang-in-the-loop {SMALL} {solver} --out run", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "report.html").stat().st_size > 50_000


def test_a_chip_without_brian2_says_what_to_install_or_to_choose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "brian2", None)
    network = NetworkSpec.feed_forward(2, 3)
    with pytest.raises(MissingDependencyError) as told:
        get_backend("emulated-chip").open(network)
    assert 'pip install "hxloop[brian2]"' in str(told.value)
    assert "backend.options.solver=event" in in_commands(str(told.value))
    get_backend("emulated-chip", solver="event").open(network).close()


def test_hxloop_alone_asks_for_no_simulator_and_its_developers_for_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    packages = ("brian2", "PyNN", "nest-simulator", "neuron")

    def names(lines: list[str]) -> set[str]:
        found: set[str] = set()
        for asked in map(Requirement, lines):
            found |= {asked.name} if asked.name != "hxloop" else set()
            found |= {n for extra in asked.extras for n in names(extras.get(extra, []))}
        return found

    assert not names(project["dependencies"]) & set(packages)
    assert names(extras["dev"]) >= names(extras["simulators"]) >= set(packages)
    for extra, package in zip(("brian2", "pynn", "nest", "neuron"), packages, strict=True):
        assert package in names(extras[extra])


def test_the_version_is_said_in_one_place() -> None:
    """And in the file for those who cite it, which is held to it here."""
    assert "version" not in tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (cited,) = re.findall(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text("utf-8"), re.M)
    assert cited == __version__


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
