"""A preset fitted to recordings: drawn spreads are found again, and what cannot be is said."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import NetworkSpec, get_backend, record
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.calibration.preset_fit import NEVER_IDENTIFIED, fit_preset
from hxloop.cli.entry import main
from hxloop.errors import CalibrationError, FileFormatError
from hxloop.network import NeuronSpec, Population

NEURONS = 60


def recorded(path, imperfections, runs=12, mean=0.25, pre=20, hidden=NEURONS, number=1):
    rng = np.random.default_rng(number - 1)
    network = NetworkSpec.feed_forward(pre, hidden, t_window=8.0)
    chip = get_backend("emulated-chip", chip=number, imperfections=imperfections, solver="event")
    with record(chip.open(network, seed=3), path) as session:
        for trial in range(runs):
            weights = rng.normal(mean, 0.25, (pre, hidden))
            if mean > 1:
                weights = np.abs(weights) / 4
            session.run([weights], rng.uniform(0, 2.5, (100, pre)), trial=trial)
    return path, chip.substrate_parameters(network)


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory):
    path, drawn = recorded(tmp_path_factory.mktemp("fit") / "session.h5", "calibrated", runs=40)
    return path, drawn, fit_preset([path])


def test_drawn_spreads_are_found_again(calibrated):
    _, drawn, found = calibrated
    logs = {name: np.log(drawn[name]) for name in drawn if (drawn[name] > 0).all()}
    distance = np.log(1 + drawn["v_threshold"] - drawn["v_leak"])
    strengths = np.concatenate([logs["strength_exc"], logs["strength_inh"]])
    synapses = np.concatenate([logs["tau_syn_exc"], logs["tau_syn_inh"]])
    true = {
        "v_threshold": distance.std(ddof=1),
        "tau_mem": logs["tau_mem"].std(ddof=1),
        "tau_syn": synapses.std(ddof=1),
        "strength": strengths.std(ddof=1),
        "threshold_trial": 0.015,
    }
    assert found.neurons == (NEURONS, NEURONS)
    for name, value in true.items():
        estimate = found.estimates[name]
        assert estimate.error < 0.25 * estimate.value, name
        assert abs(estimate.value - value) < 3.5 * estimate.error, name
    assert "threshold_sample" in found.unknown and found.unknown.keys() >= NEVER_IDENTIFIED.keys()


def test_what_a_file_says_is_the_preset_that_was_found(calibrated, tmp_path):
    found = calibrated[2]
    found.write(tmp_path / "mine.toml")
    read = Imperfections.resolve(str(tmp_path / "mine.toml"))
    for name, estimate in found.estimates.items():
        assert getattr(read, name) == pytest.approx(estimate.value, rel=1e-5)
    assert read.v_leak == 0 and "v_leak: not identified" in (tmp_path / "mine.toml").read_text()


def test_noise_within_runs_is_told_from_noise_between_them(tmp_path):
    noise = {"preset": "none", "threshold_sample": 0.03}
    found = fit_preset([recorded(tmp_path / "s.h5", noise, runs=6, hidden=24)[0]])
    assert found.estimates["threshold_sample"].value == pytest.approx(0.03, rel=0.06)
    for name in ("threshold_trial", "tau_mem", "tau_syn", "strength", "v_threshold"):
        assert "below" in found.unknown[name], name


def test_inputs_of_one_sign_leave_strengths_and_thresholds_together(tmp_path):
    found = fit_preset([recorded(tmp_path / "s.h5", "calibrated", 3, 2.0, hidden=10)[0]])
    for name in ("v_threshold", "strength", "tau_mem", "tau_syn"):
        assert "both signs" in found.unknown[name]


def test_what_cannot_be_fitted_is_refused(tmp_path, capsys):
    with pytest.raises(CalibrationError, match="expected recorded sessions; got none"):
        fit_preset([])
    (tmp_path / "no.h5").write_text("no")
    with pytest.raises(FileFormatError):
        fit_preset([tmp_path / "no.h5"])
    path, _ = recorded(tmp_path / "few.h5", "calibrated", runs=1, hidden=4)
    with pytest.raises(CalibrationError, match=r"at least 8 neurons.*got 4 of 4"):
        fit_preset([path])
    again = NetworkSpec(2, (Population("a", 2, NeuronSpec(t_refractory=1.0)),))
    with record(get_backend("ideal").open(again), tmp_path / "again.h5") as session:
        session.run([np.full((2, 2), 3.0)], np.zeros((2, 2)))
    with pytest.raises(CalibrationError, match="whose neurons and inputs spike once"):
        fit_preset([tmp_path / "again.h5"])
    small, _ = recorded(tmp_path / "small.h5", "calibrated", runs=3, hidden=9)
    for out, code, text in (
        ("x.txt", 2, "ends with .toml"),
        ("x.toml", 0, "not identified"),
        ("x.toml", 2, "--force"),
    ):
        with pytest.raises(SystemExit) as status:
            main(["fit-preset", str(small), "--out", str(tmp_path / out)])
        printed = "".join(capsys.readouterr())
        assert status.value.code == code and text in printed
