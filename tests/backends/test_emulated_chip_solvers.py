"""Both solvers of the emulated chip: against the ideal substrate and against each other."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate import get_backend
from tests.backends.emulated_chip_examples import EXACT, chip, run, workload

# --- the solvers against the ideal substrate and against each other -----------------------

# Enough spikes for a statement about a hundredth of them; numpy needs the same time for one.
LARGER = NetworkSpec.feed_forward(12, 24, 4, t_window=4.0)


LARGER_LOAD = workload(LARGER, batch=60, seed=0)


IMPERFECT = {
    "calibrated": "calibrated",
    "uncalibrated": "uncalibrated",
    "with jitter and loss": {"preset": "calibrated", "spike_jitter": 0.01, "spike_loss": 0.02},
    "with strong jitter": {"preset": "calibrated", "spike_jitter": 0.1},
}


def spike_errors(got, expected):
    """Of all layers: errors where either spiked, ``inf`` where only one did."""
    errors = []
    for a, b in zip(got.first_spike_times, expected.first_spike_times, strict=True):
        fired = np.isfinite(a) | np.isfinite(b)
        errors.append(np.abs(a[fired] - b[fired]))
        assert errors[-1].size > 5
    return np.concatenate(errors)


@pytest.mark.parametrize(
    "neuron", [NeuronSpec(), NeuronSpec(tau_mem=2.0), NeuronSpec(0.7, 1.3, 1.3, 0.6)]
)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_perfect_chip_solved_by_events_is_the_ideal_substrate(neuron, seed):
    network = NetworkSpec.feed_forward(8, 15, 10, 4, neuron=neuron, t_window=5.0)
    load = workload(network, batch=30, seed=seed)
    load[1][0] = np.inf
    load[1][1, :3] = 5.5  # later than the window
    got = run(chip(imperfections="none", chip=seed, **EXACT), network, load=load)
    ideal = run(get_backend("ideal"), network, load=load)
    assert spike_errors(got, ideal).max() < 1e-9
    np.testing.assert_array_equal(got.input_times, ideal.input_times)
    assert np.isinf(got.output_times[0]).all()


def test_a_perfect_chip_on_brian2_is_the_ideal_substrate_within_its_resolution():
    backend = chip(imperfections="none", solver="brian2", codegen="numpy", dt=1 / 100, **EXACT)
    load = workload(batch=60, seed=3)
    errors = spike_errors(run(backend, load=load), run(get_backend("ideal"), load=load))
    assert errors.size > 400
    assert errors.max() < backend.capabilities.time_resolution == 0.02
    assert np.median(errors) < 1e-9


@pytest.mark.parametrize("kind", IMPERFECT)
def test_both_solvers_see_the_same_chip(kind):
    options = {"chip": 3, "imperfections": IMPERFECT[kind]}
    brian2 = chip(solver="brian2", codegen="numpy", **options)
    got, exact = (run(one, LARGER, load=LARGER_LOAD) for one in (brian2, chip(**options)))
    errors = spike_errors(got, exact)
    assert errors.size > 1000
    # Exempt are crossings that inhibition undoes within a step, and what follows from them.
    within = errors <= brian2.capabilities.time_resolution
    assert within.mean() > 0.99
    assert got.info.chip_id == exact.info.chip_id
    assert got.info.lost_spikes == exact.info.lost_spikes
    np.testing.assert_array_equal(got.input_times, exact.input_times)
    # The agreement is about this chip and this trial: others are far off.
    for other in (chip(**options | {"chip": 4}), chip(imperfections="none")):
        far = spike_errors(got, run(other, LARGER, load=LARGER_LOAD))
        assert (far > brian2.capabilities.time_resolution).mean() > 0.5


@pytest.mark.parametrize("kind", ["calibrated", "uncalibrated"])
def test_the_solvers_come_closer_with_the_step(kind):
    options = {"chip": 3, "imperfections": IMPERFECT[kind], "quantise_times": False}
    exact = run(chip(**options), LARGER, load=LARGER_LOAD)
    coarse, fine = (
        spike_errors(
            run(chip(solver="brian2", codegen="numpy", dt=dt, **options), LARGER, load=LARGER_LOAD),
            exact,
        )
        for dt in (1 / 10, 1 / 100)
    )
    # Spikes that met further input in the step of their crossing: a tenth as many of them.
    assert (fine > 1e-6).mean() < (coarse > 1e-6).mean() / 4
    assert np.quantile(fine, 0.98) < np.quantile(coarse, 0.98) / 4
    assert np.median(fine) < 1e-9
