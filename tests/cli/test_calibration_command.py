"""``hxloop calibrate`` as its users meet it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from hxloop.calibration import load_calibration, save_calibration
from hxloop.calibration import workflow as calibrating
from hxloop.calibration.options import QUANTITIES
from hxloop.calibration.report import axis_label, distributions
from hxloop.calibration.workflow import judge_result
from hxloop.cli.entry import main
from hxloop.errors import CalibrationError, ConfigError
from hxloop.experiments.registry import load_experiment
from hxloop.runs.run import train
from tests.calibration.calibrated_chip import calibrated, faulty_chip

pytestmark = pytest.mark.xdist_group("calibrated-chip")

# Options of a faulty chip, and of a quick search.
CHIP = [
    word
    for setting in (
        'backend.options.imperfections={preset="uncalibrated", dead=0.01}',
        "backend.options.knob_options={stuck=0.02, weak=0.02}",
    )
    for word in ("--set", setting)
]
QUICK = [
    word
    for setting in ('search="prediction"', "repeats=4", "refine_steps=1")
    for word in ("--set", f"calibration.{setting}")
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder of one calibration by command, and the JSON that it printed."""
    folder = tmp_path_factory.mktemp("calibration")
    out = folder / "chip5.h5"
    from contextlib import redirect_stdout
    from io import StringIO

    stdout = StringIO()
    words = ["calibrate", "--chip", "5", "--out", str(out), "--json", *CHIP, *QUICK]
    words += ["--cache", str(folder / "cache")]
    with redirect_stdout(stdout), pytest.raises(SystemExit) as status:
        main(words)
    assert status.value.code == 0
    return folder, json.loads(stdout.getvalue())


def test_json_has_what_is_promised(made):
    folder, summary = made
    assert set(summary["ratios"]) == {
        "v_leak", "v_reset", "v_threshold", "tau_mem", "tau_syn_exc", "tau_syn_inh", "strength",
    }  # fmt: skip
    for name in ("chip", "failed", "seconds", "runs", "weight_scale", "passed_bad"):
        assert name in summary
    assert summary["ratios_judged_by"] == "truth" and summary["passed_bad"] == []
    assert set(summary["drawn_dead"]) <= set(summary["failed"])
    result = load_calibration(folder / "chip5.h5")
    assert summary["digest"] == result.digest and summary["runs"] == result.runs
    assert not list(folder.glob("*.unfinished"))


def test_the_report_shows_everything_without_loading_anything(made):
    folder, summary = made
    page = (folder / "chip5.html").read_text(encoding="utf-8")
    headings = ("Distributions", "Circuit by circuit", "Failed circuits", "Convergence", "Effort")
    for heading in headings:
        assert f"<h2>{heading}</h2>" in page
    assert page.count("data:image/png") == 4 and "http" not in page
    for circuit in summary["failed"]:
        assert f"circuit {circuit}<" in page


def test_a_file_is_not_overwritten_and_a_cached_result_costs_nothing(made, run, tmp_path):
    folder, summary = made
    words = ["calibrate", "--chip", 5, *CHIP, *QUICK, "--cache", folder / "cache"]
    status, _, err = run(*words, "--out", folder / "chip5.h5")
    assert status == 2 and "exists" in err and "--force" in err
    status, out, err = run(*words, "--out", tmp_path / "again.h5", "--json")
    assert status == 0 and "step 1/" not in err
    assert json.loads(out)["digest"] == summary["digest"]


def test_verify_tells_fresh_from_drifted(made, run):
    folder, _ = made
    words = ["calibrate", "--chip", 5, "--verify", "--out", folder / "chip5.h5", *CHIP]
    status, out, _ = run(*words, "--json")
    fresh = json.loads(out)
    assert status == 0 and not fresh["expired"] and fresh["checked"] > 480
    status, out, err = run(*words, "--set", "backend.options.hours=1500")
    assert status == 0 and "has expired: calibrate again" in out and "warning" in err
    assert "v_leak" in out and "tolerances" in out


def test_verify_refuses_another_chip_and_a_missing_file(made, run, tmp_path):
    folder, _ = made
    status, _, err = run("calibrate", "--chip", 6, "--verify", "--out", folder / "chip5.h5", *CHIP)
    assert status == 1 and "made on chip emulated-5" in err
    status, _, err = run("calibrate", "--verify", "--out", tmp_path / "no.h5")
    assert status == 1 and "no such file" in err


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--target", "tau_mem_us=100"], 2, "tau_mem_us: expected a number from 0.5 to 60"),
        (["--target", "tau=6"], 2, "unknown target 'tau'"),
        (["--target", "tau_mem_us"], 2, "expected KEY=VALUE"),
        (["--set", "training.epochs=3"], 2, "expected backend.options.NAME=VALUE (an option of"),
        (["--set", "calibration.repeat=3"], 2, "unknown calibration option 'repeat'"),
        (["--set", "backend.options.knob_options={drif=1.0}"], 2, "unknown knob option 'drif'"),
        (["--backend", "ideal"], 2, "no knobs to turn"),
        (["--backend", "ideal", "--chip", "3"], 2, "unknown option of backend 'ideal' 'chip'"),
        (["--backend", "idael"], 2, "Did you mean 'ideal'?"),
    ],
)
def test_wrong_usage_is_told(run, tmp_path, words, status, message):
    got, out, err = run("calibrate", "--out", tmp_path / "chip.h5", *words)
    assert got == status and message in err and out == ""
    assert not list(tmp_path.iterdir())


def test_an_interrupted_command_says_how_to_go_on(run, tmp_path, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrating, "calibrate", interrupted)
    status, _, err = run("calibrate", "--out", tmp_path / "chip.h5")
    assert status == 130 and "the same command goes on" in err


def test_a_judgement_without_truth_is_by_measurement():
    class Real:
        name = "real"

    judged = judge_result(Real(), calibrated())
    truth = judge_result(faulty_chip(), calibrated())
    assert judged.by == "measurement" and judged.dead == ()
    for name, ratio in judged.ratios.items():
        assert 0 < ratio < 0.5 and ratio < 4 * truth.ratios[name] + 0.1


def test_a_judgement_sees_what_is_wrongly_passed():
    result = calibrated()
    codes = {name: values.copy() for name, values in result.codes.items()}
    good = int(np.flatnonzero(result.usable)[5])
    codes["v_leak"][good] += 60  # 25 LSB: far out of tolerance
    from dataclasses import replace

    assert judge_result(faulty_chip(), replace(result, codes=codes)).passed_bad == (good,)


def test_a_training_takes_a_calibration_by_its_file(tmp_path):
    save_calibration(tmp_path / "chip.h5", calibrated())
    small = [
        "dataset.train_size=60", "dataset.validation_size=20", "dataset.test_size=30",
        "training.batch_size=20", "network.hidden=[8]", "training.epochs=1",
        'backend.options={chip=5, solver="event", imperfections={preset="uncalibrated", dead=0.01},'
        " knob_options={stuck=0.02, weak=0.02}}",
    ]  # fmt: skip
    chosen = [f'backend.calibration="{tmp_path / "chip.h5"}"']
    for more in ([], ["backend.twin=true"]):
        result = train(load_experiment("yin-yang-in-the-loop", [*small, *chosen, *more]))
        assert np.isfinite(result.test.loss)
    with pytest.raises(ConfigError, match=r"twin: needs measurements.*hxloop calibrate"):
        train(load_experiment("yin-yang-in-the-loop", [*small, "backend.twin=true"]))
    shutil.copy(tmp_path / "chip.h5", tmp_path / "same.h5")
    other = [setting.replace("chip=5", "chip=6") for setting in small]
    with pytest.raises(CalibrationError, match=r"made on chip emulated-5.*this is emulated-6"):
        train(load_experiment("yin-yang-in-the-loop", [*other, *chosen]))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("v_leak", "potential (LSB)"),
        ("v_threshold", "potential (LSB)"),
        ("tau_mem", "time (us)"),
        ("strength_inh", "strength (of median)"),
    ],
)
def test_histograms_of_the_report_say_what_they_count(name, label):
    assert axis_label(name) == label
    figure = distributions(calibrated())
    axes = np.array(figure.axes).reshape(4, 4)
    place = list(QUANTITIES).index(name)
    for row in (2 * (place // 4), 2 * (place // 4) + 1):
        assert axes[row, place % 4].get_xlabel() == label
        assert axes[row, 0].get_ylabel() == "circuits"
