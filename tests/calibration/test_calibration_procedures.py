"""Calibrating a faulty chip through its session alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hxloop import LoopNetwork, get_backend
from hxloop.calibration import (
    scale_network,
)
from hxloop.calibration.measurements import averaged, decay_constant
from hxloop.calibration.sequence import sequence
from hxloop.calibration.workflow import RATIO_BOUNDS, judge_result
from hxloop.errors import (
    CapacityError,
    NetworkError,
)
from hxloop.network import NetworkSpec
from hxloop.training.twin import digital_twin
from tests.calibration.calibrated_chip import TARGET, calibrated, faulty_chip
from tests.calibration.calibrations import NETWORK

pytestmark = pytest.mark.xdist_group("calibrated-chip")


def workload(network=NETWORK, seed=0):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(4.0 / pre, 2.0 / pre**0.7, (pre, n)) for pre, n in network.shapes]
    return [np.clip(w, -0.8, 0.8) for w in weights], rng.uniform(0, 2, (20, network.n_inputs))


# --- what it comes to ---------------------------------------------------------------------


def test_spreads_fall_to_less_than_half_of_what_real_chips_are_accepted_with():
    judgement = judge_result(faulty_chip(), calibrated())
    for name, bound in RATIO_BOUNDS.items():
        assert judgement.ratios[name] <= 0.5 * (bound or 0.3), name
    assert judgement.strength_spread <= 0.05
    assert judgement.by == "truth"


def test_all_bad_circuits_are_found_and_few_good_ones_are_lost():
    result, backend = calibrated(), faulty_chip()
    judgement = judge_result(backend, result)
    assert judgement.dead and set(judgement.dead) <= set(result.failed)
    assert judgement.passed_bad == ()
    assert len(judgement.failed_good) < 0.05 * 512
    for circuit in judgement.dead:
        assert "v_threshold not measurable" in result.failures[circuit]
    # Stuck where they are far off.
    assert len(result.failed) > len(judgement.dead)


@pytest.mark.parametrize("before", [False, True], ids=["calibrated", "before"])
def test_estimates_are_the_truth_within_their_errors(before):
    result, chip = calibrated(), faulty_chip()
    codes = result.codes
    if before:
        with chip.open(scale_network(512)) as session:
            codes = session.codes
    truth = chip.parameters_at(scale_network(512), codes, TARGET)
    unit = np.median(truth["strength_exc"][result.usable])
    for name, values in result.pattern(before=before).items():
        true = truth[name] / unit if name.startswith("strength") else truth[name]
        off = (values - true)[result.usable]
        # The converter's own channel offsets (0.5 LSB), which no measurement can see, come on
        # top of the noise; fits of time constants and charges are good to a percent.
        allowed = 5 * 0.5 / TARGET.distance_lsb + 0.03 if name.startswith("v_") else 0.04
        if before:
            # Measured twice only, and of potentials that are far from where they should be.
            known = result.usable & np.isfinite(values)
            assert known.sum() > 450
            assert np.corrcoef(values[known], true[known])[0, 1] > 0.98, name
            allowed *= 2
        assert np.nanmax(np.abs(off)) < allowed, name


def test_spikes_of_a_calibrated_chip_are_close_to_the_ideal_ones():
    weights, times = workload()
    backend = faulty_chip()
    off = {}
    with get_backend("ideal").open(NETWORK) as ideal:
        for name, calibration in (("before", None), ("after", calibrated())):
            with backend.open(NETWORK, calibration=calibration, seed=2) as session:
                got = session.run(weights, times)
            expected = ideal.run(got.weights_used, got.input_times)
            a, b = got.first_spike_times[0], expected.first_spike_times[0]
            both = np.isfinite(a) & np.isfinite(b)
            off[name] = np.median(np.abs(a[both] - b[both]))
    assert off["after"] < 0.25 * off["before"]
    # Dominated by the trial noise of the thresholds, 1.5 % of the distance.
    assert off["after"] < 0.02


def test_the_session_uses_only_good_circuits_and_reports_the_calibration():
    result = calibrated()
    with faulty_chip().open(NETWORK, calibration=result, seed=0) as session:
        used = np.concatenate([circuits.ravel() for circuits in session.circuits])
        assert result.usable[used].all() and len(np.unique(used)) == 65
        assert min(result.failed) < used.max()  # there was something to avoid
        info = session.run(*workload()).info
        assert info.calibration_digest == result.digest
        assert session.capabilities.weight_limit == pytest.approx(63 / 78 * result.weight_scale)
        codes = session.codes
    for name, values in result.codes.items():
        np.testing.assert_array_equal(codes[name], values)


def test_scales_of_a_session_convert_times_and_weights():
    # The same codes; a calibration that says that a unit of time is 10 % longer.
    result = calibrated()
    scaled = replace(result, scales=replace(result.scales, time_scale=1.1, spike_offset=0.05))
    plain = replace(result, scales=replace(result.scales, time_scale=1.0, spike_offset=0.0))
    quiet = {"imperfections": {"preset": "uncalibrated", "dead": 0.01, "threshold_trial": 0.0}}
    backend = faulty_chip(**quiet, quantise_times=False)
    weights, times = workload()
    with backend.open(NETWORK, calibration=scaled.for_any_chip(), seed=0) as session:
        a = session.run(weights, times / 1.1)
    with backend.open(NETWORK, calibration=plain.for_any_chip(), seed=0) as session:
        b = session.run(weights, times)
    spiked = np.isfinite(a.output_times) & np.isfinite(b.output_times)
    assert spiked.sum() > 10
    np.testing.assert_allclose(
        a.output_times[spiked], b.output_times[spiked] / 1.1 - 0.05, atol=1e-9
    )


# --- the digital twin ---------------------------------------------------------------------


def test_the_gradient_of_a_twin_is_that_of_the_chip():
    quiet = {
        "imperfections": {"preset": "uncalibrated", "threshold_trial": 0.0},
        "quantise_times": False,
        "quantise_weights": False,
    }
    backend = faulty_chip(**quiet)
    network = NetworkSpec.feed_forward(12, 8, 3)
    weights, times = workload(network, seed=3)
    weights = [np.abs(w) + 0.25 for w in weights]
    with backend.open(network, seed=0) as session:
        truth = backend.parameters_at(network)
        twin = LoopNetwork(session, weights, twin=digital_twin(session, truth))
        plain = LoopNetwork(session, weights)
        gradients = []
        for model in (twin, plain):
            output, activity = model(times)
            assert np.isfinite(activity.output_times).all()
            output.sum().backward()
            gradients.append([w.grad.numpy().copy() for w in model.weights])
        step, numeric = 1e-5, []
        for layer, matrix in enumerate(weights):
            for index in [(0, 0), (3, 2), (matrix.shape[0] - 1, matrix.shape[1] - 1)]:
                ends = []
                for sign in (1, -1):
                    moved = [w.copy() for w in weights]
                    moved[layer][index] += sign * step
                    ends.append(session.run(moved, times).output_times.sum())
                numeric.append((layer, index, (ends[0] - ends[1]) / (2 * step)))
        off = []
        for layer, index, expected in numeric:
            assert gradients[0][layer][index] == pytest.approx(expected, rel=1e-4, abs=1e-7)
            off.append(abs(gradients[1][layer][index] - expected) / abs(expected))
        assert max(off) > 0.02  # the nominal gradient is another


def test_a_twin_needs_a_session_that_tells_its_placement():
    with get_backend("ideal").open(NETWORK) as ideal:
        with pytest.raises(CapacityError, match="does not say on which circuits"):
            digital_twin(ideal, calibrated().pattern())
        with faulty_chip().open(NETWORK, seed=0) as session:
            twin = digital_twin(session, calibrated().pattern())
        wrong = [np.zeros(shape) for shape in NetworkSpec.feed_forward(4, 3).shapes]
        with (
            get_backend("ideal").open(NetworkSpec.feed_forward(4, 3)) as other,
            pytest.raises(NetworkError, match="twin: expected layers of shapes"),
        ):
            LoopNetwork(other, wrong, twin=twin)


# --- small parts --------------------------------------------------------------------------


def test_decay_constants_of_clean_noisy_and_impossible_traces():
    times = np.arange(0, 60, 0.034)
    tau = np.array([1.0, 3.0, 6.0, 15.0])
    clean = 300 * np.exp(-times / tau[:, None])
    np.testing.assert_allclose(decay_constant(times, clean, 0.0), tau, rtol=1e-9)
    noisy = clean + np.random.default_rng(0).normal(0, 2, clean.shape)
    # About tau/0.034 samples, each good to 2/300 or so.
    np.testing.assert_allclose(decay_constant(times, noisy, 0.0), tau, rtol=0.03)
    flat = np.stack([np.zeros_like(times), np.full_like(times, 50.0), -clean[0]])
    assert np.isnan(decay_constant(times, flat, 0.0)).all()


def test_means_know_their_error_and_what_could_not_be_measured():
    rng = np.random.default_rng(0)
    values = [np.where(np.arange(400) == 7, np.nan, rng.normal(3, 2, 400)) for _ in range(8)]
    mean, error = averaged(lambda: values.pop(), 8)
    assert np.isnan(mean[7]) and np.isnan(error[7])
    ok = np.arange(400) != 7
    assert len(np.unique(error[ok])) == 1
    assert error[0] == pytest.approx(2 / np.sqrt(8), rel=0.12)  # 5 % of variances cut off


def test_the_order_of_the_steps_is_the_proven_one():
    names = [step.name for step in sequence(TARGET)]
    assert names == [
        "tau_syn_exc", "tau_syn_inh", "v_threshold", "strength_exc", "strength_inh",
        "offset_inh", "offset_exc", "v_leak", "tau_mem", "v_reset",
    ]  # fmt: skip
