"""Seeds, trials, jitter and lost spikes of the emulated chip."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import TrialNoise
from hxloop.errors import (
    HxloopError,
    RunInputError,
)
from hxloop.network import NetworkSpec
from hxloop.substrate import get_backend
from tests.backends.emulated_chip_examples import (
    EXACT,
    NETWORK,
    NOISY,
    assert_same,
    chip,
    run,
    workload,
)


def differ(a, b):
    pairs = zip(a.first_spike_times, b.first_spike_times, strict=True)
    return any((x != y).any() for x, y in pairs)


# --- seeds and trials ---------------------------------------------------------------------


def test_same_seed_and_trial_give_the_same_activity():
    backend = chip(imperfections=NOISY)
    first = run(backend, seed=3, trial=2)
    assert_same(first, run(backend, seed=3, trial=2))
    assert_same(first, run(pickle.loads(pickle.dumps(backend)), seed=3, trial=2))
    for seed, trial in ((3, 1), (2, 2), (2, 3)):
        assert differ(first, run(backend, seed=seed, trial=trial))
    assert differ(first, run(chip(imperfections=NOISY, chip=1), seed=3, trial=2))


def test_runs_without_a_trial_take_one_after_the_other():
    weights, times = workload()
    with chip(imperfections=NOISY).open(NETWORK, seed=9) as session:
        with pytest.raises(RunInputError):
            session.run(weights, times[:0])  # a refused run takes no trial
        taken = [session.run(weights, times) for _ in range(2)]
        chosen = session.run(weights, times, trial=7)
        taken.append(session.run(weights, times))
    assert [activity.info.trial for activity in (*taken, chosen)] == [0, 1, 2, 7]
    assert {activity.info.seed for activity in taken} == {9}
    assert differ(taken[0], taken[1]) and differ(taken[1], taken[2])
    for trial, activity in enumerate(taken):
        assert_same(activity, run(chip(imperfections=NOISY), seed=9, trial=trial))


def test_a_drawn_seed_is_reported_and_repeats_the_run():
    backend = chip(imperfections=NOISY)
    first, second = run(backend, seed=None, trial=None), run(backend, seed=None, trial=None)
    assert first.info.seed != second.info.seed
    assert differ(first, second)
    for activity in (first, second):
        assert_same(activity, run(backend, seed=activity.info.seed, trial=activity.info.trial))


def test_without_trial_noise_seed_and_trial_change_nothing():
    quiet = {"preset": "uncalibrated", "threshold_trial": 0.0}
    backend = chip(imperfections=quiet)
    assert backend.capabilities.deterministic
    assert_same(run(backend, seed=1, trial=0), run(backend, seed=2, trial=5))


@pytest.mark.parametrize("solver", ["event", "brian2"])
def test_a_sample_has_the_same_noise_in_every_batch(solver):
    backend = chip(solver=solver, codegen="numpy", dt=0.05, imperfections=NOISY)
    weights, times = workload()
    together = run(backend, load=(weights, times))
    for first in (1, 5):
        assert_same(together, run(backend, load=(weights, times[:first])), slice(first))


@pytest.mark.parametrize("number", [-1, 1.5, "one"])
@pytest.mark.parametrize("which", ["seed", "trial"])
def test_a_seed_or_trial_that_is_none_is_refused_by_name(which, number):
    """NumPy refuses these too, but names neither, and only where there is noise to draw."""
    given_numbers = {"seed": 0, "trial": 0} | {which: number}
    with pytest.raises(HxloopError, match=which):
        run(chip(), **given_numbers)


# --- jitter and loss ----------------------------------------------------------------------


@pytest.mark.parametrize("jitter", [0.01, 0.5])
def test_jitter_and_loss_act_on_every_spike_and_are_passed_on(jitter):
    """Each layer is the ideal one for what it was given, then shifted and thinned."""
    values = {"preset": "none", "spike_jitter": jitter, "spike_loss": 0.2}
    imperfections = Imperfections.resolve(values)
    weights, times = workload(batch=40)
    times[20:] += 1.8  # so that some spikes are shifted beyond the end of the window
    activity = run(chip(imperfections=values, **EXACT), seed=6, trial=2, load=(weights, times))
    noise = TrialNoise(imperfections, 6, 2)
    early = late = 0
    for layer, (matrix, spikes) in enumerate(zip(weights, activity.first_spike_times, strict=True)):
        alone = NetworkSpec.feed_forward(*matrix.shape, t_window=NETWORK.t_window)
        free = run(get_backend("ideal"), alone, load=([matrix], times)).output_times
        shifted = np.maximum(free + noise.jitter(layer, *free.shape), 0.0)
        early += (shifted == 0).sum()
        late += (np.isfinite(shifted) & (shifted > 4.0)).sum()
        shifted[(shifted > 4.0) | noise.lost(layer, *free.shape)] = np.inf
        np.testing.assert_allclose(spikes, shifted, rtol=0, atol=1e-9)
        assert np.isfinite(spikes).sum() > 20
        times = spikes
    assert jitter < 0.1 or (early > 0 and late > 0)


def test_lost_spikes_are_counted_and_concern_no_other_spike():
    network = NetworkSpec.feed_forward(6, 40)
    load = workload(network, batch=50)
    free = run(chip(), network, load=load)
    lossy = run(chip(imperfections={"spike_loss": 0.25}), network, load=load)
    lost = np.isinf(lossy.output_times) & np.isfinite(free.output_times)
    np.testing.assert_array_equal(lossy.output_times[~lost], free.output_times[~lost])
    n = np.isfinite(free.output_times).sum()
    assert lost.sum() / n == pytest.approx(0.25, abs=5 * np.sqrt(0.25 * 0.75 / n))
    # Counted are all pairs hit, also those without a spike to lose.
    pairs = free.output_times.size
    assert lossy.info.lost_spikes / pairs == pytest.approx(
        0.25, abs=5 * np.sqrt(0.25 * 0.75 / pairs)
    )
    assert lossy.info.lost_spikes >= lost.sum()
    assert free.info.lost_spikes == 0


def test_lost_spikes_of_all_layers_are_counted():
    noise = TrialNoise(Imperfections.resolve({"preset": "calibrated", "spike_loss": 0.3}), 1, 0)
    expected = sum(int(noise.lost(layer, 12, n).sum()) for layer, n in enumerate((10, 3)))
    assert run(chip(imperfections={"spike_loss": 0.3})).info.lost_spikes == expected > 10


def test_jitter_has_the_width_asked_for():
    network = NetworkSpec.feed_forward(6, 40)
    load = workload(network, batch=50)
    free = run(chip(**EXACT), network, load=load).output_times
    moved = run(chip(imperfections={"spike_jitter": 0.01}, **EXACT), network, load=load)
    both = np.isfinite(free) & np.isfinite(moved.output_times) & (free > 0.1) & (free < 3.9)
    shift = moved.output_times[both] - free[both]
    assert shift.size > 500
    assert shift.std() == pytest.approx(0.01, rel=5 / np.sqrt(2 * shift.size))
    assert abs(shift.mean()) < 5 * 0.01 / np.sqrt(shift.size)
