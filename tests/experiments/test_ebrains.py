"""The notebook and the job for EBRAINS, run against the double of the vendor's software."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hxloop.experiments.tutorials.ebrains import run as job
from hxloop.runs.config import ExperimentConfig
from tests.contract_double.control import write_calibration
from tests.experiments.notebooks import FOLDER, cells, program
from tests.syntax import ROOT

EBRAINS = FOLDER / "ebrains"
PAGE = (EBRAINS / "notebook.md").read_text(encoding="utf-8")
SETTINGS = (EBRAINS / "on-chip.toml").read_text(encoding="utf-8")

# The vendor's software as every process of its own finds it, and the helper of the demos.
SOFTWARE = """
import sys, types
from tests.contract_double.control import Laboratory, install
install(types.SimpleNamespace(setattr=setattr, setitem=dict.__setitem__), Laboratory())
pynn = sys.modules["pynn_brainscales.brainscales2"]
def nightly_calib_path():
    from pathlib import Path
    return Path("calibrations/latest/spiking_cocolist.pbin")
pynn.helper.nightly_calib_path = nightly_calib_path
"""
HELPERS = """
import os
from pathlib import Path
from tests.contract_double.control import write_calibration
def setup_hardware_client():
    os.environ["QUIGGELDY_ENABLED"] = "1"
def save_nightly_calibration(name):
    write_calibration(Path(name))
"""


def quick(text: str) -> str:
    """The same with few samples and circuits: what is tested are the commands."""
    for name, many in (("train", 40), ("validation", 20), ("test", 20)):
        text = re.sub(rf"{name}_size = \d+", f"{name}_size = {many}", text)
    text = text.replace("hidden = [60]", "hidden = [10]")
    return text.replace("--out scales.json", "--out scales.json --neurons 8 --trials 1")


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """What the environment of a kernel on EBRAINS is, with the double in it."""
    for name, text in (("pynn_brainscales", SOFTWARE), ("_static/common/helpers.py", HELPERS)):
        path = tmp_path / "software" / name
        path = path if path.suffix else path / "__init__.py"
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "here").mkdir()
    known = {name: value for name, value in os.environ.items() if "QUIGGELDY" not in name}
    return known | {
        "PYTHONPATH": f"{tmp_path / 'software'}{os.pathsep}{ROOT}",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }


def ran(code: Path, machine: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(code), *words],
        cwd=code.parent, env=machine, capture_output=True, text=True, timeout=500,
    )  # fmt: skip


def test_both_do_the_same_with_the_same_settings() -> None:
    commands = re.findall(r"^!(?:HXCOMM_ENABLE_ZERO_MOCK=1 )?hxloop (.*)$", PAGE, re.MULTILINE)
    assert commands == [words for words, _ in job.STEPS]
    alone = re.findall(r"^!HXCOMM_ENABLE_ZERO_MOCK=1 hxloop (.*)$", PAGE, re.MULTILINE)
    assert alone == [words for words, without in job.STEPS if without]
    assert f"%%writefile on-chip.toml\n{SETTINGS}" in cells(PAGE)
    config = ExperimentConfig.load(EBRAINS / "on-chip.toml")
    assert config.training.epochs == 2 and config.backend.name == "pynn-brainscales2"


@pytest.mark.slow
def test_the_notebook_runs(machine: dict[str, str], tmp_path: Path) -> None:
    code = tmp_path / "here" / "notebook.py"
    code.write_text(program(quick(PAGE)), encoding="utf-8")
    done = ran(code, machine)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    for told in ("chip                         double-3", "placed and routed", "Stamped late by",
                 "usable            512 of 512 circuits", "chip double-3: [0."):  # fmt: skip
        assert told in done.stdout, told


def test_a_job_stops_where_it_fails_and_says_where(machine: dict[str, str], tmp_path: Path) -> None:
    code = tmp_path / "here" / "run.py"
    code.write_text((EBRAINS / "run.py").read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "here" / "on-chip.toml").write_text(quick(SETTINGS), encoding="utf-8")
    done = ran(code, machine)
    assert done.returncode == 1
    assert "no calibration of this chip (there is no calibrations/ebrains-stable" in done.stderr
    # One of another release, which this one cannot read, is noticed without a chip.
    folder = tmp_path / "here" / "calibrations" / "ebrains-experimental"
    folder.mkdir(parents=True)
    (folder / job.CALIBRATION).write_bytes(b"of another release")
    done = ran(code, machine, "ebrains-experimental")
    assert done.returncode == 1 and "run.py: step 2 of 6 failed" in done.stderr
    assert "expected a portable binary (.pbin)" in done.stderr


@pytest.mark.slow
def test_a_job_runs(machine: dict[str, str], tmp_path: Path) -> None:
    code = tmp_path / "here" / "run.py"
    text = quick((EBRAINS / "run.py").read_text(encoding="utf-8"))
    code.write_text(text, encoding="utf-8")
    (tmp_path / "here" / "on-chip.toml").write_text(quick(SETTINGS), encoding="utf-8")
    write_calibration(tmp_path / "here" / job.CALIBRATION)
    done = ran(code, machine)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.count("--- hxloop ") == len(job.STEPS)
    assert (tmp_path / "here" / "on-chip" / "weights.safetensors").is_file()
