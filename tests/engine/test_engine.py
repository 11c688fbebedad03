"""The exact engine against brute force, closed forms and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import lambertw

from hxloop.engine import first_spike_times as engine
from hxloop.engine import recorded_spike_times
from hxloop.engine.crossing import lambert_w0
from hxloop.engine.psp import psp
from hxloop.engine.reference import first_spike_times as reference
from hxloop.errors import NetworkError, RunInputError
from hxloop.network import NeuronSpec
from tests.engine.brute_force import first_spike, membrane
from tests.engine.engine_cases import RATIOS, parameters, random_case, run

IMPLEMENTATIONS = [pytest.param(reference, id="reference"), pytest.param(engine, id="kernels")]


@pytest.mark.parametrize("kind", [*RATIOS, "chip"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_agrees_with_brute_force(implementation, kind):
    rng = np.random.default_rng([7, len(kind)])
    spikes = 0
    for _ in range(12):
        times, weights, neuron = random_case(rng, kind)
        got = run(implementation, times, weights, neuron, 5.0)
        for b in range(got.shape[0]):
            for j in range(got.shape[1]):
                want, margin = first_spike(
                    times[b], weights[:, j], neuron.tau_mem[j], neuron.tau_syn_exc[j],
                    neuron.tau_syn_inh[j], neuron.v_threshold[j] - neuron.v_leak[j], 5.0,
                )  # fmt: skip
                assert np.isfinite(got[b, j]) == np.isfinite(want), (margin, want, got[b, j])
                if np.isfinite(want):
                    spikes += 1
                    assert abs(got[b, j] - want) <= 1e-9
    assert spikes > 100  # the test has seen something


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("ratio", [1.0, 2.0, 1.7])
@pytest.mark.parametrize("margin", [1e-4, 1e-8, 1e-11])
def test_grazing_crossing(implementation, ratio, margin):
    # One input: the membrane peaks at w k_max. Put the threshold just below, just above.
    tau_mem = torch.tensor(ratio, dtype=torch.float64)
    one = torch.tensor(1.0, dtype=torch.float64)
    when = 1.0 if ratio == 1 else math.log(ratio) / (1 - 1 / ratio)
    peak = float(psp(torch.tensor(when, dtype=torch.float64), tau_mem, one))
    touching = NeuronSpec(tau_mem=ratio, v_threshold=peak * (1 - margin))
    missing = NeuronSpec(tau_mem=ratio, v_threshold=peak * (1 + margin))
    got = run(implementation, [[0.3]], [[1.0]], touching, 6.0)[0, 0]

    def above(s):
        value = float(psp(torch.tensor(s, dtype=torch.float64), tau_mem, one))
        return value - touching.v_threshold

    want = 0.3 + brentq(above, 0.0, when, xtol=1e-15)
    # The crossing moves by sqrt(2 delta / |V''|): near the peak its condition is 1/sqrt(margin).
    assert abs(got - want) <= max(1e-9, 1e-15 / math.sqrt(margin))
    assert np.isinf(run(implementation, [[0.3]], [[1.0]], missing, 6.0)[0, 0])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_inhibition_that_just_prevents_a_spike(implementation):
    free = run(implementation, [[0.0, np.inf]], [[3.0], [-2.0]], NeuronSpec(), 6.0)[0, 0]
    assert np.isfinite(free)
    just_before, just_after = free - 1e-6, free + 1e-6
    late = run(implementation, [[0.0, just_after]], [[3.0], [-2.0]], NeuronSpec(), 6.0)[0, 0]
    assert late == pytest.approx(free, abs=1e-12)
    early = run(implementation, [[0.0, just_before]], [[3.0], [-30.0]], NeuronSpec(), 6.0)[0, 0]
    want, _ = first_spike([0.0, just_before], [3.0, -30.0], 1.0, 1.0, 1.0, 1.0, 6.0, 2_000_001)
    assert np.isfinite(early) == np.isfinite(want)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_two_humps_between_inputs(implementation):
    # Fast excitation against slow inhibition, and the other way round: the membrane has two
    # extrema between inputs, and the only crossing lies in the first or in the second hump.
    cases = []
    rng = np.random.default_rng(5)
    while len(cases) < 40:
        exc, inh = rng.uniform(0.2, 3.0, 2)
        tau_mem = rng.uniform(0.2, 3.0)
        times = np.array([0.0, 0.0, 0.3, 0.3])
        weights = np.array(
            [rng.uniform(2, 9), -rng.uniform(2, 9), rng.uniform(0, 9), -rng.uniform(0, 9)]
        )
        x = np.linspace(0.3, 12, 4000)
        u = membrane(x, times, weights, tau_mem, exc, inh)
        extrema = np.flatnonzero(np.diff(np.sign(np.diff(u))) != 0)
        if len(extrema) == 2 and u[extrema].max() > 0.05:
            cases.append((times, weights, tau_mem, exc, inh, u[extrema].max()))
    for times, weights, tau_mem, exc, inh, highest in cases:
        for threshold in (0.5 * highest, 0.999 * highest, 1.001 * highest):
            want, _ = first_spike(times, weights, tau_mem, exc, inh, threshold, 12.0)
            neuron = parameters(1, tau_mem, exc, inh, threshold)
            got = run(implementation, times[None], weights[:, None], neuron, 12.0)[0, 0]
            assert np.isfinite(got) == np.isfinite(want)
            if np.isfinite(want):
                assert abs(got - want) <= 1e-9


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("gap", [1e-12, 1e-9, 1e-6])
def test_nearly_equal_time_constants(implementation, gap):
    rng = np.random.default_rng(2)
    times, weights = rng.uniform(0, 2, (4, 10)), rng.normal(0.6, 1, (10, 6))
    equal = run(implementation, times, weights, NeuronSpec(), 6.0)
    near = run(implementation, times, weights, NeuronSpec(tau_mem=1 + gap), 6.0)
    assert (np.isfinite(equal) == np.isfinite(near)).all()
    spiked = np.isfinite(equal)
    assert np.abs(equal[spiked] - near[spiked]).max() <= 20 * gap + 1e-13


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_window_of_500_tau(implementation):
    times = np.array([[0.0, 1.0, 250.0, 250.5, 499.0]])
    weights = np.array([[0.9, 0.9], [-1.0, -0.5], [2.0, 0.8], [1.9, 0.9], [5.0, 5.0]])
    got = run(implementation, times, weights, NeuronSpec(), 500.0)
    for j in range(2):
        want, _ = first_spike(times[0], weights[:, j], 1.0, 1.0, 1.0, 1.0, 500.0, 500_001)
        assert abs(got[0, j] - want) <= 1e-9
    # An unlimited window gives the same and does not overflow.
    assert np.array_equal(got, run(implementation, times, weights, NeuronSpec(), math.inf))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_silence(implementation):
    silent = np.full((2, 3), np.inf)
    assert np.isinf(run(implementation, silent, np.ones((3, 4)), NeuronSpec(), 6.0)).all()
    assert np.isinf(run(implementation, [[0.1]], [[0.5]], NeuronSpec(), 6.0)).all()
    late = run(implementation, [[0.1]], [[5.0]], NeuronSpec(), 6.0)[0, 0]
    assert np.isinf(run(implementation, [[0.1]], [[5.0]], NeuronSpec(), late - 1e-9)).all()
    dead_and_leaky = parameters(2, threshold=[np.inf, 0.2], leak=[0.0, 0.3])
    got = run(implementation, [[0.1]], [[5.0, 0.0]], dead_and_leaky, 6.0)[0]
    assert np.isinf(got[0]) and got[1] == 0.0


def test_lambert_w_agrees_with_scipy():
    x = np.concatenate([-np.logspace(-12, np.log10(0.36), 200), [0.0]])
    want = lambertw(x).real
    got = lambert_w0(torch.tensor(x)).numpy()
    assert np.abs(got - want).max() <= 3e-8  # the branch point itself loses half the digits
    assert np.abs(got - want)[x > -0.3].max() <= 1e-14
    branch_point = torch.tensor([-1 / math.e], dtype=torch.float64)
    assert float(lambert_w0(branch_point)) == pytest.approx(-1, abs=3e-8)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), shift=st.floats(0.01, 3), chip=st.booleans())
def test_properties_of_spike_times(seed, shift, chip):
    rng = np.random.default_rng(seed)
    times, weights, neuron = random_case(rng, "chip" if chip else "r=1.7", batch=3, post=5)
    first = run(engine, times, weights, neuron, math.inf)
    same = run(reference, times, weights, neuron, math.inf)
    assert (np.isfinite(first) == np.isfinite(same)).all()
    spiked = np.isfinite(first)
    assert np.abs(first[spiked] - same[spiked]).max(initial=0) <= 1e-10
    # Shifting the inputs shifts the spikes (a neuron that fires at rest stays at 0).
    later = run(engine, times + shift, weights, neuron, math.inf)
    moves = spiked & (neuron.v_threshold > neuron.v_leak)
    assert np.abs(later[moves] - first[moves] - shift).max(initial=0) <= 1e-9
    # More excitation never delays a spike.
    more = run(engine, times, weights + np.abs(weights) * 0.1 * (weights > 0), neuron, math.inf)
    assert (more[spiked] <= first[spiked] + 1e-12).all()
    # Silent inputs do not matter, nor does the order of the channels.
    order = rng.permutation(times.shape[1])
    shuffled = run(engine, times[:, order], weights[order], neuron, math.inf)
    assert np.abs(shuffled[spiked] - first[spiked]).max(initial=0) <= 1e-9


def test_arguments_are_not_written_to():
    t = torch.tensor([[0.2, np.inf]], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([[2.0], [1.0]], dtype=torch.float64, requires_grad=True)
    recorded = torch.tensor([[np.inf]], dtype=torch.float64)
    copies = [x.detach().clone() for x in (t, w, recorded)]
    out = recorded_spike_times(t, w, recorded, NeuronSpec())
    torch.where(torch.isfinite(out), out, 0.0).sum().backward()
    assert all(torch.equal(a.detach(), b) for a, b in zip((t, w, recorded), copies, strict=True))
    assert not w.grad.any()  # silent: no gradient, and no NaN


@pytest.mark.parametrize("function", [engine, reference])
def test_bad_input_is_refused(function):
    good_t, good_w = torch.ones(2, 3, dtype=torch.float64), torch.ones(3, 4, dtype=torch.float64)
    bad = good_t.clone()
    bad[0, 0] = math.nan
    for times, weights, match in (
        (good_t[:, :2], good_w, "same pre"),
        (bad, good_w, "NaN"),
        (-good_t, good_w, "negative"),
        (good_t, good_w * math.inf, "finite"),
        (good_t, good_w.to(torch.float16), "float32 or float64"),
    ):
        with pytest.raises(RunInputError, match=match):
            function(times, weights, NeuronSpec(), 6.0)
    with pytest.raises(RunInputError, match="t_window"):
        function(good_t, good_w, NeuronSpec(), 0.0)
    with pytest.raises(NetworkError, match="4 neurons"):
        function(good_t, good_w, parameters(3), 6.0)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_last_interval_of_an_unlimited_window_with_two_currents(implementation):
    # Regression: the slope at the end of the last interval underflowed to 0, so that the
    # maximum in between was not looked for and the spike was missed.
    neuron = parameters(1, 1.04, 0.80, 1.00, 0.95)
    for inhibition in (0.0, -0.1):
        times, weights = np.array([0.5, 0.75, 0.75]), np.array([2.35, 0.66, inhibition])
        got = run(implementation, times[None], weights[:, None], neuron, math.inf)[0, 0]
        want, _ = first_spike(times, weights, 1.04, 0.80, 1.00, 0.95, 10.0)
        assert abs(got - want) <= 1e-9
