"""Runs on a calibrated chip: announced, reported and evaluated as what they are."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest

from hxloop import NetworkSpec, get_backend
from hxloop.calibration import load_calibration
from hxloop.cli.entry import main
from hxloop.errors import CalibrationError
from hxloop.experiments.registry import load_experiment
from hxloop.runs.run import evaluate_run, prepare
from hxloop.substrate.recording.file import SessionFile

QUICK = [
    word
    for setting in ('search="prediction"', "repeats=2", "refine_steps=0")
    for word in ("--set", f"calibration.{setting}")
]
SMALL = [
    "dataset.train_size=60", "dataset.validation_size=20", "dataset.test_size=30",
    "training.batch_size=20", "network.hidden=[8]", "training.epochs=1",
]  # fmt: skip
SPEC = NetworkSpec.feed_forward(25, 8, 3, t_window=4.0)


def command(*words):
    """Exit status, stdout, stderr on one line."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as status:
        main([str(word) for word in words])
    return status.value.code, out.getvalue(), " ".join(err.getvalue().split())


def sets(*settings):
    return [word for setting in settings for word in ("--set", setting)]


@pytest.fixture(scope="module")
def chip3(tmp_path_factory):
    """The file that ``hxloop calibrate --chip 3`` writes (faster than by default)."""
    path = tmp_path_factory.mktemp("calibration") / "chip3.h5"
    status, _, err = command("calibrate", "--chip", "3", "--out", path, *QUICK)
    assert status == 0, err
    return path


@pytest.fixture(scope="module")
def trained(chip3, tmp_path_factory):
    """A run trained as the README says, with the path unquoted; what was announced."""
    folder = tmp_path_factory.mktemp("runs") / "chip3"
    status, _, err = command(
        "train", "yin-yang-in-the-loop", "--out", folder,
        *sets("backend.options.chip=3", f"backend.calibration={chip3}",
              "backend.options.solver=event", f"backend.record={folder.parent / 'rec.h5'}",
              *SMALL),
    )  # fmt: skip
    assert status == 0, err
    return folder, err


def test_a_calibration_and_a_training_of_the_readme_fit_each_other(trained, chip3):
    folder, _ = trained
    summary = json.loads((folder / "evaluation.json").read_text())
    result = load_calibration(chip3)
    assert summary["chip"] == result.chip_id
    assert summary["calibration"] == str(chip3)
    assert summary["calibration_digest"] == result.digest


def test_a_calibrated_run_is_announced_and_reported_as_calibrated(trained, chip3):
    folder, announced = trained
    assert f"calibrated: {chip3}, made on chip emulated-3-" in announced
    assert "circuits usable" in announced
    page = (folder / "report.html").read_text()
    assert "Calibration" in page and f"{chip3}, made on chip emulated-3-" in page


def test_the_preset_calibrated_gives_way_to_a_calibration_of_the_same_chip(chip3):
    result = load_calibration(chip3)
    stand_in = get_backend("emulated-chip", chip=3, solver="event")
    raw = get_backend("emulated-chip", chip=3, solver="event", imperfections="uncalibrated")
    rng = np.random.default_rng(0)
    weights = [rng.normal(0.3, 0.2, shape) for shape in SPEC.shapes]
    times = rng.uniform(0, 2, (4, 25))
    runs = []
    for backend in (stand_in, raw):
        with backend.open(SPEC, calibration=result, seed=1) as session:
            runs.append(session.run(weights, times, trial=0))
    assert runs[0].info.chip_id == runs[1].info.chip_id == result.chip_id
    for a, b in zip(runs[0].first_spike_times, runs[1].first_spike_times, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"chip": 4}, ["--set backend.options.chip=3", "hxloop calibrate --chip 4 --out"]),
        (
            {"chip": 3, "imperfections": "none"},
            ["had other imperfections", "hxloop calibrate --chip 3 --set 'backend.options.imp"],
        ),
        (
            {"chip": 3, "knob_options": {"stuck": 0.5}},
            ["--set 'backend.options.knob_options={stuck=0.5}' --out FILE"],
        ),
    ],
)
def test_a_calibration_of_another_chip_is_refused_in_words_to_type(chip3, options, words):
    backend = get_backend("emulated-chip", solver="event", **options)
    with pytest.raises(CalibrationError) as error:
        backend.open(SPEC, calibration=load_calibration(chip3))
    for text in words:
        assert text in str(error.value)


def test_the_report_shows_the_chip_as_it_is_calibrated(trained, chip3):
    """Spreads are those that the calibration left, of the circuits that are in use."""
    folder, announced = trained
    config = load_experiment(str(folder / "config.toml"))
    prepared = prepare(config)
    shown = prepared.substrate
    uncalibrated = get_backend("emulated-chip", chip=3, imperfections="uncalibrated")
    raw = uncalibrated.substrate_parameters(SPEC)
    for name in ("v_threshold", "v_leak", "tau_mem", "tau_syn_exc", "strength_exc"):
        assert np.std(shown[name]) < 0.5 * np.std(raw[name])
    assert "standard deviations: tau_mem 14" not in announced
    assert f"tau_mem {100 * np.std(shown['tau_mem']):.1f} %" in announced


def test_the_chip_that_is_shown_is_the_one_that_runs(chip3):
    """Circuits that failed are not shown, and those in use are, as the solver has them."""
    result = load_calibration(chip3)
    failures = {**result.failures, 0: "made up", 5: "made up", 9: "made up"}
    result = replace(result, failures=failures)
    backend = get_backend("emulated-chip", chip=3, solver="event")
    shown = backend.substrate_parameters(SPEC, result)
    with backend.open(SPEC, calibration=result, seed=0) as session:
        layers, circuits = session.placed, session.circuits
    used = np.concatenate([layer.ravel() for layer in circuits])
    assert not set(used) & set(failures) and len(used) == 11
    whole = backend.substrate_parameters(NetworkSpec.feed_forward(25, 480, 3), result)
    np.testing.assert_array_equal(whole["tau_mem"][:8], shown["tau_mem"][:8])
    neurons = [layer.parameters for layer in layers]
    np.testing.assert_allclose(shown["tau_mem"], np.concatenate([n.tau_mem for n in neurons]))
    threshold = np.concatenate([n.v_threshold for n in neurons])
    np.testing.assert_allclose(1 + shown["v_threshold"], threshold)
    felt = np.concatenate([layer.strength_exc[0] for layer in layers])
    np.testing.assert_allclose(shown["strength_exc"], felt)


def test_no_run_is_made_to_read_the_name_of_a_chip(trained):
    folder, _ = trained
    with SessionFile(folder.parent / "rec.h5") as file:
        sizes = [file.activity(run).batch for run in file.runs]
    assert min(sizes) >= 10  # the least of training, validation, test and decision plane


def test_a_calibrated_run_is_evaluated_elsewhere_without_its_calibration(trained):
    folder, _ = trained
    ideal = evaluate_run(folder, "ideal")
    assert ideal.as_dict()["calibration"] is None and ideal.chip_id is None
    other = evaluate_run(folder, options={"chip": 4})
    assert other.chip_id.startswith("emulated-4-")
    assert other.as_dict()["calibration_digest"] is None
    own = evaluate_run(folder)
    same_chip = evaluate_run(folder, options={"hours": 1.0})
    assert own.test.info.calibration_digest == same_chip.test.info.calibration_digest is not None
    assert own.chip_id == same_chip.chip_id


def test_transfer_onto_a_calibrated_chip_from_the_command_line(chip3, tmp_path):
    folder = tmp_path / "software"
    status, _, err = command(
        "train", "yin-yang-in-the-loop", "--backend", "ideal", "--out", folder, *sets(*SMALL)
    )
    assert status == 0, err
    words = ["evaluate", folder, "--backend", "emulated-chip"]
    options = sets("backend.options.chip=3", "backend.options.solver=event")
    status, out, err = command(*words, *options, *sets(f"backend.calibration={chip3}"))
    assert status == 0, err
    assert "chip emulated-3-" in out and f"calibrated ({chip3})" in out
    status, out, err = command(*words, *options, *sets(f"backend.calibration={chip3}"), "--json")
    digest = load_calibration(chip3).digest
    assert json.loads(out)["calibration_digest"] == digest
    status, _, err = command(
        *words, *sets("backend.options.chip=4", f"backend.calibration={chip3}")
    )
    assert status != 0 and "made on chip emulated-3-" in err and "hxloop calibrate --chip 4" in err


def test_a_run_with_a_twin_is_evaluated_elsewhere_and_without_its_file(chip3, tmp_path):
    folder, copy = tmp_path / "twin", tmp_path / "copy.h5"
    copy.write_bytes(chip3.read_bytes())
    status, _, err = command(
        "train", "yin-yang-in-the-loop", "--out", folder,
        *sets("backend.options.chip=3", f"backend.calibration={copy}", "backend.twin=true",
              "backend.options.solver=event", *SMALL),
    )  # fmt: skip
    assert status == 0 and "gradient of the measured neurons" in err
    copy.unlink()
    status, _, err = command("evaluate", folder, "--backend", "ideal")
    assert status == 0, err
    status, out, err = command("evaluate", folder, *sets(f"backend.calibration={chip3}"))
    assert status == 0 and "calibrated" in out, err
    status, out, err = command("evaluate", folder, *sets('backend.calibration=""'))
    assert status == 0 and "calibrated" not in out, err


def test_what_is_no_module_of_hxloop_is_no_attribute():
    with pytest.raises(AttributeError, match="has no attribute 'calibrate_it'"):
        sys.modules["hxloop"].calibrate_it  # noqa: B018
