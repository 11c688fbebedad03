"""The engine where scales lie far apart: no result depends on what has nothing to do with it."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import LoopNetwork, NetworkSpec, NeuronParameters, NeuronSpec, get_backend, get_loss
from hxloop.engine import GradientCounts, recorded_spike_times, reference
from hxloop.engine import first_spike_times as engine
from hxloop.engine.compiled import interface as kernels
from hxloop.engine.psp import psp_derivative
from hxloop.errors import RunInputError
from tests.engine import extreme_layers

IMPLEMENTATIONS = [pytest.param(reference.first_spike_times, id="reference"),
                   pytest.param(engine, id="kernels")]  # fmt: skip
PRECISIONS = pytest.mark.parametrize("kind", [np.float64, np.float32])
SEEDS = st.integers(0, 2**32 - 1)


def layer_of(**values):
    names = ("tau_mem", "tau_syn_exc", "tau_syn_inh", "v_threshold", "v_leak")
    return NeuronParameters(*(np.atleast_1d(np.asarray(values[n], float)) for n in names))


def chosen(layer, index, threshold=1.0):
    return NeuronParameters(
        layer.tau_mem[index], layer.tau_syn_exc[index], layer.tau_syn_inh[index],
        layer.v_threshold[index] * threshold, layer.v_leak[index],
    )  # fmt: skip


def run(implementation, times, weights, layer, window):
    return implementation(torch.tensor(times), torch.tensor(weights), layer, window).numpy()


@PRECISIONS
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("window", [1.0, 100.0, 150.0, 1e4, math.inf])
def test_a_slow_neighbour_does_not_hide_a_spike(implementation, kind, window):
    # Regression: intervals followed the slowest neuron of the layer; there the slope of the fast
    # one was 0 by underflow, which was taken for a peak.
    layer = layer_of(
        tau_mem=[0.1, 1.5], tau_syn_exc=[0.1, 1.5], tau_syn_inh=[0.08, 1.5],
        v_threshold=[1, 1], v_leak=[0, 0],
    )  # fmt: skip
    times, weights = np.array([[0.5, 0.5]]), np.array([[100.0, 0.0], [-1.0, 0.0]], kind)
    want, _ = extreme_layers.first_spike(times[0], [100.0, -1.0], (0.1, 0.1, 0.08), 1.0, 1.0)
    assert want == pytest.approx(0.5113088102, abs=5e-11)
    got = run(implementation, times, weights, layer, window)[0]
    assert got[0] == pytest.approx(want, rel=1e-13 if kind == np.float64 else 1e-6)
    assert np.isinf(got[1])


def test_spikes_of_layers_of_all_scales_against_forty_digits():
    compared = 0
    for seed in (2, 3, 18):
        times, weights, layer, window = extreme_layers.drawn(seed, post=3)
        got = [
            run(f, times[:1], weights.astype(kind), layer, window)[0]
            for f in (engine, reference.first_spike_times)
            for kind in (np.float64, np.float32)
        ]
        for j in range(3):
            taus = layer.tau_mem[j], layer.tau_syn_exc[j], layer.tau_syn_inh[j]
            want, _ = extreme_layers.first_spike(times[0], weights[:, j], taus, 1.0, window)
            compared += np.isfinite(want)
            for found, digits in zip(got, (1e-12, 1e-5, 1e-12, 1e-5), strict=True):
                assert found[j] == pytest.approx(want, rel=digits)
    assert compared >= 4


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, one_sign=st.booleans(), two_currents=st.booleans(), single=st.booleans())
def test_a_spike_depends_on_its_neuron_and_what_came_before(seed, one_sign, two_currents, single):
    times, weights, layer, window = extreme_layers.drawn(seed, 5, one_sign, two_currents)
    weights = weights.astype(np.float32 if single else np.float64)
    got = run(engine, times, weights, layer, window)
    # Not on the batch, nor on threads: to the bit.
    for b in range(3):
        np.testing.assert_array_equal(
            run(engine, times[b : b + 1], weights, layer, window)[0], got[b]
        )
    # Not on the neighbours, nor on what follows it, but for rounding, which a spike that grazes
    # its threshold magnifies: as if the threshold were a little lower or higher.
    digits, margin = (1e-5, 1e-4) if single else (1e-12, 1e-11)
    early, late = (
        run(
            engine,
            times,
            weights.astype(float),
            chosen(layer, slice(None), 1 + sign * margin),
            window,
        )
        for sign in (-1, 1)
    )
    for longer in (3 * window, 1e3 * window, math.inf):
        found = run(engine, times, weights, layer, longer)
        found[found > window] = np.inf
        assert ((found >= early * (1 - digits)) & (found <= late * (1 + digits))).all()
    for implementation in (engine, reference.first_spike_times):
        alone = np.concatenate(
            [
                run(implementation, times, weights[:, [j]], chosen(layer, [j]), window)
                for j in range(5)
            ],
            axis=1,
        )
        together = run(implementation, times, weights, layer, window)
        for found in (alone, together):
            assert ((found >= early * (1 - digits)) & (found <= late * (1 + digits))).all()


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, ratio=st.sampled_from([0.01, 0.3, 1.0, 2.0, 100.0]), single=st.booleans())
def test_equal_neurons_give_the_same_bits_whatever_follows_and_whoever_else_there_is(
    seed, ratio, single
):
    rng = np.random.default_rng(seed)
    times = np.sort(rng.uniform(0, 2, (2, 12)))
    times[:, 4] = times[:, 3]
    weights = rng.normal(0.3, 1.0, (12, 70)).astype(np.float32 if single else np.float64)
    weights /= min(ratio, 1.0)
    layer = NeuronParameters.uniform(NeuronSpec(tau_mem=ratio), 70)
    got = run(engine, times, weights, layer, 1e4)
    for window in (2.5, 30.0, math.inf):
        found = run(engine, times, weights, layer, window)
        np.testing.assert_array_equal(found[got <= window], got[got <= window])
    for few in ([7], [7, 50, 69], list(range(5, 35))):
        part = NeuronParameters.uniform(NeuronSpec(tau_mem=ratio), len(few))
        np.testing.assert_array_equal(run(engine, times, weights[:, few], part, 1e4), got[:, few])
    # Inputs after a spike: those of the first half decide whether there was one before the rest.
    half = run(engine, times[:, :6], weights[:6], layer, 1e4)
    before = got < times[:, 6:7]
    np.testing.assert_array_equal(half[before], got[before])


@pytest.mark.parametrize("unequal", [False, True])
def test_a_spike_in_single_precision_is_not_overwritten_where_a_bound_overflows(unequal):
    # Regression: current times 1e30 is infinite in single precision, and so was the threshold
    # of a neuron that had spiked.
    taus = np.ones(2), np.ones(2), np.ones(2)
    if unequal:
        taus = np.array([1.0, 20.0]), np.array([1.0, 20.0]), np.array([0.9, 20.0])
    layer = NeuronParameters(*taus, np.ones(2), np.zeros(2))
    times = np.array([[0.1, 1.0]])
    weights = np.array([[5.0, 5.0], [1e12, 1e12]], np.float32)
    got = run(engine, times, weights, layer, 1e4)
    np.testing.assert_allclose(
        got, run(engine, times, weights.astype(float), layer, 1e4), rtol=1e-6
    )
    assert (got < 1.0).all()


@pytest.mark.parametrize("weight", [1e9, 1e30, 1e100])
def test_strong_inhibition_that_decays_in_a_long_interval_hides_no_spike(weight):
    # The bound on what may spike has to reach over hundreds of time constants.
    layer = NeuronParameters(*(np.array([x]) for x in (1.0, 500.0, 1.0, 1.0, 0.0)))
    times, weights = np.array([[0.0, 0.0]]), np.array([[2.0], [-weight]])
    want, _ = extreme_layers.first_spike(times[0], weights[:, 0], (1.0, 500.0, 1.0), 1.0, 1e3)
    for implementation in (engine, reference.first_spike_times):
        got = run(implementation, times, weights, layer, 1e3)[0, 0]
        assert got == pytest.approx(want, rel=1e-12)


# --- gradients ----------------------------------------------------------------------------


def gradients(times, weights, recorded, neuron, kind, grad=None, **options):
    t = torch.tensor(times, requires_grad=True)
    w = torch.tensor(weights, requires_grad=True)
    counts = GradientCounts()
    out = recorded_spike_times(
        t, w, torch.tensor(recorded), neuron,
        weights_used=torch.tensor(weights.astype(kind)), counts=counts, **options,
    )  # fmt: skip
    grad = np.isfinite(recorded).astype(float) if grad is None else grad
    out.backward(torch.tensor(grad))
    return w.grad.numpy(), t.grad.numpy(), counts


def test_gradient_in_single_precision_of_spikes_far_apart():
    # Regression: 104 time constants apart the gradient was 0, and counted as not rising.
    network = NetworkSpec.feed_forward(2, 2, neuron=NeuronSpec(tau_mem=0.05), t_window=6.0)
    found = {}
    for precision in ("double", "single"):
        with get_backend("ideal", precision=precision).open(network) as session:
            loop = LoopNetwork(session, [np.array([[90.0, 0.0], [0.0, 90.0]])])
            output, _ = loop(np.array([[0.1, 5.3]]))
            get_loss("target-time")(output, torch.tensor([0])).backward()
            found[precision] = loop.weights[0].grad.numpy(), loop.gradient_counts
    (double, _), (single, counts) = found["double"], found["single"]
    # One input: dT/dw = -k(s)/(w k'(s)), and dL/dT = T - 1 for the target of the correct neuron.
    s = float(output[0, 0].detach()) - 0.1
    mem, syn = 0.05, 1.0
    k = (math.exp(-s / mem) - math.exp(-s / syn)) / (1 / syn - 1 / mem)
    slope = math.exp(-s / syn) - k / mem
    assert double[0, 0] == pytest.approx((s + 0.1 - 1.0) * -k / (90 * slope), rel=1e-5)
    np.testing.assert_allclose(single, double, rtol=1e-5, atol=0)
    assert (counts.n_spikes, counts.n_not_rising) == (2, 0)


@settings(max_examples=80, deadline=None)
@given(
    seed=SEEDS,
    apart=st.sampled_from([0.0, 1.0, 30.0, 36.0, 45.0, 86.0, 88.0, 90.0, 300.0, 700.0, 1e4]),
    ratio=st.one_of(
        st.sampled_from([0.01, 1.0, 1 + 1e-6, 1.001001, 1.03, 2.0, 100.0]), st.floats(0.05, 20)
    ),
    strength=st.sampled_from([1.0, 30.0, 1e3, 1e6]),
)
def test_gradient_in_single_precision_is_that_in_double(seed, apart, ratio, strength):
    rng = np.random.default_rng(seed)
    neuron = NeuronSpec(tau_mem=ratio)
    times = rng.uniform(0, 2, (3, 8))
    times[:, 4:] += apart
    weights = rng.normal(0.7, 1.0, (8, 20)) * strength / min(ratio, 1.0)
    # Numbers of single precision, at which both are differentiated.
    weights = weights.astype(np.float32).astype(float)
    weights[:4, 10:] = 0.0  # these spike late, if at all
    recorded = run(engine, times, weights, neuron, math.inf)
    grad = rng.normal(size=recorded.shape)
    arguments = times, weights, recorded, neuron
    double, double_t, _ = gradients(*arguments, np.float64, grad, min_slope=1e-3)
    single, single_t, _ = gradients(*arguments, np.float32, grad, min_slope=1e-3)
    assert np.isfinite(double).all() and np.isfinite(single).all()
    # Compared where no gradient is much larger than the others: near a grazing spike.
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=2e-4 * np.abs(double).max(initial=0))
    np.testing.assert_allclose(
        single_t, double_t, rtol=1e-3, atol=2e-4 * np.abs(double_t).max(initial=0)
    )


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinite_gradient_of_a_spike_is_refused(compiled, value, monkeypatch):
    # Regression: it became NaN gradients of the weights, without a word.
    monkeypatch.setattr("hxloop.engine.gradient.use_kernels", lambda weights: compiled)
    times, weights = np.array([[0.2, 0.4]]), np.ones((2, 3))
    recorded = np.array([[1.0, math.inf, 1.5]])
    with pytest.raises(
        RunInputError, match=rf"{value} at sample 0, neuron 2, which spiked at 1\.5"
    ):
        gradients(times, weights, recorded, NeuronSpec(), float, np.array([[1.0, 1.0, value]]))
    # Of a silent neuron it does not count.
    of_weights, _, _ = gradients(
        times, weights, recorded, NeuronSpec(), float, np.array([[1.0, value, 1.0]])
    )
    assert np.isfinite(of_weights).all() and (of_weights[:, 1] == 0).all()


@pytest.mark.parametrize("compiled", [True, False])
def test_gradient_that_single_precision_cannot_hold_is_refused(compiled, monkeypatch):
    monkeypatch.setattr("hxloop.engine.gradient.use_kernels", lambda weights: compiled)
    arguments = np.array([[0.2, 0.4]]), np.ones((2, 1)), np.array([[1.0]]), NeuronSpec()
    with pytest.raises(RunInputError, match=r"gradient of the (weights|input times): more than"):
        gradients(*arguments, np.float32, np.array([[1e39]]))
    assert np.isfinite(gradients(*arguments, np.float64, np.array([[1e39]]))[0]).all()


def test_derivative_of_the_kernel_keeps_its_digits_long_after_an_input():
    s = torch.tensor([1e-3, 0.1, 1.0, 30.0], dtype=torch.float32)
    for mem, syn in ((1e-5, 1.0), (0.3, 1.0), (0.9, 1.0), (1.0, 1.0), (7.0, 1.0), (1.0, 1e-5)):
        found = psp_derivative(s, torch.tensor(mem), torch.tensor(syn)).double()
        mem, syn = (torch.tensor(torch.tensor(x).item(), dtype=torch.float64) for x in (mem, syn))
        rate = 1 / syn - 1 / mem
        exact = (torch.exp(-s.double() / syn) / syn - torch.exp(-s.double() / mem) / mem) / rate
        if mem == syn:
            exact = (1 - s.double() / mem) * torch.exp(-s.double() / mem)
        # exp(-x) is off by x times the rounding of x; near its zero so is the derivative.
        scale = torch.exp(-s.double() / torch.maximum(mem, syn))
        torch.testing.assert_close(found, exact, rtol=1e-5, atol=2e-7 * float(scale.max()))


def test_kernels_are_the_same_with_any_number_of_threads():
    times, weights, layer, window = extreme_layers.drawn(11, 40)
    times = np.repeat(times, 60, axis=0)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(kernels.first_spike_times_cpu(times, weights, layer, window))
    finally:
        torch.set_num_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("kind", "apart", "tolerance"), [("32", 0.07, 5e-5), ("64", 1.1e-3, 1e-9)])
def test_gradient_of_a_spike_soon_after_its_cause_with_nearly_equal_time_constants(
    kind, apart, tolerance
):
    """The separated form lost digits: rounding x tau / (s x difference of the rates)."""
    dtype = torch.float32 if kind == "32" else torch.float64
    tau, start = 0.6969597851905582, 2.0
    neuron = NeuronSpec(tau_mem=tau, tau_syn=tau * (1 + apart))
    soon = [x * 10.0**-n for n in range(2, 8) for x in (1, 1.7, 3, 6.1)]
    before = torch.full((len(soon), 1), start, dtype=torch.float64)
    times = torch.cat([before + torch.tensor(soon)[:, None].double(), before + 2.0], dim=1)
    for row in range(len(soon)):
        weights = torch.ones((1, 2), dtype=dtype, requires_grad=True)
        out = recorded_spike_times(before[row : row + 1], weights, times[row : row + 1], neuron)
        out[:, 0].sum().backward()
        with mpmath.workdps(40):
            mem, syn = mpmath.mpf(neuron.tau_mem), mpmath.mpf(neuron.tau_syn)
            s = mpmath.mpf(float(times[row, 0])) - mpmath.mpf(start)
            k = (mpmath.exp(-s / mem) - mpmath.exp(-s / syn)) / (1 / syn - 1 / mem)
            right = float(-k / (mpmath.exp(-s / syn) - k / mem))
        assert float(weights.grad[0, 0]) == pytest.approx(right, rel=tolerance, abs=0)
