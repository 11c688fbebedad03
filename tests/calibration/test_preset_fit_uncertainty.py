"""How far a fitted preset may be off, with few runs as with many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.calibration.neuron_fit import FittedNeuron
from hxloop.calibration.preset_fit import fit_preset
from tests.calibration.test_preset_fit import recorded

BETWEEN, WITHIN = 0.015, 0.004


def drawn(rng: np.random.Generator, runs: int, spikes: int) -> tuple[FittedNeuron, np.ndarray]:
    """A linear fit of pure noise with a shift for each run; and what it made of the parameters."""
    run = np.repeat(np.arange(runs), spikes + 3 * np.arange(runs))
    jacobian = rng.normal(0.5, 0.3, (len(run), 4)) + 0.3 * rng.normal(size=(runs, 4))[run]
    noise = BETWEEN * rng.normal(size=runs)[run] + WITHIN * rng.normal(size=len(run))
    log = np.linalg.lstsq(jacobian, -noise, rcond=None)[0]
    known = np.ones(4, dtype=np.bool_)
    return FittedNeuron(log, known, noise + jacobian @ log, jacobian, run), log


@pytest.mark.parametrize("runs", [2, 3, 5, 12])
def test_a_fit_that_follows_its_noise_does_not_hide_it(runs: int) -> None:
    rng = np.random.default_rng(runs)
    fits = [drawn(rng, runs, 12) for _ in range(600)]
    pairs = [fit.scatter() for fit, _ in fits]
    squares, expected = (sum(each) for each in zip(*pairs, strict=True))
    found = np.linalg.solve(expected, squares)
    off = np.array([np.linalg.solve(expected, ss - of @ found) for ss, of in pairs])
    errors = np.sqrt((off**2).sum(axis=0))
    assert (errors < 0.15 * np.array([BETWEEN**2, WITHIN**2])).all()
    assert (np.abs(found - [BETWEEN**2, WITHIN**2]) < 3.5 * errors).all()
    if runs <= 3:  # as if nothing had been fitted: most of it is hidden
        assert squares[0] / (len(fits) * (runs - 1)) < 0.6 * BETWEEN**2
    # Errors of the parameters, in units of what they are said to be.
    scaled = [
        np.linalg.solve(np.linalg.cholesky(fit.covariance(BETWEEN**2, WITHIN**2)), log)
        for fit, log in fits
    ]
    assert np.cov(np.array(scaled).T) == pytest.approx(np.eye(4), abs=0.2)


def test_one_run_has_no_noise_from_run_to_run() -> None:
    fit, _ = drawn(np.random.default_rng(1), 1, 200)
    squares, expected = fit.scatter()
    assert fit.n_runs == 1 and squares[0] == pytest.approx(0) and expected[0] == pytest.approx(0)


def intervals(folder: Path, chips: int, runs: int, hidden: int) -> tuple[int, int]:
    """How many of all intervals of so many chips hold what was set; upper bounds count, too."""
    preset = Imperfections.resolve("calibrated")
    true = {
        "v_threshold": float(np.hypot(preset.v_threshold, preset.v_leak)),
        "tau_mem": preset.tau_mem,
        "tau_syn": preset.tau_syn,
        "strength": preset.strength,
        "threshold_trial": preset.threshold_trial,
    }
    held = 0
    for number in range(1, chips + 1):
        path, _ = recorded(
            folder / f"{number}.h5", "calibrated", runs, hidden=hidden, number=number
        )
        found = fit_preset([path])
        for name, value in true.items():
            if name in found.estimates:
                held += found.estimates[name].low <= value <= found.estimates[name].high
            else:
                held += value <= float(found.unknown[name].partition("below ")[2].split()[0])
    return held, chips * len(true)


def test_intervals_hold_what_was_set_with_five_runs(tmp_path: Path) -> None:
    held, of = intervals(tmp_path, chips=2, runs=5, hidden=16)
    assert held >= of - 2


@pytest.mark.slow
def test_intervals_of_many_chips_hold_it_in_their_share(tmp_path: Path) -> None:
    held, of = intervals(tmp_path, chips=12, runs=5, hidden=24)
    assert held >= 0.88 * of
