"""The highest membranes of leaky read-outs: a dense scan, differences, closed forms, kinks."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.engine.membrane_peaks import membrane_peak_gradients, membrane_peaks
from hxloop.engine.psp import psp_after, time_of_peak
from hxloop.errors import NetworkError
from hxloop.network import (
    Feature,
    NetworkSpec,
    NeuronParameters,
    NeuronSpec,
    Parameters,
    Population,
    Projection,
)
from tests.engine.networks import KINDS

READOUT = NeuronSpec(tau_mem=1.7, v_threshold=np.inf)
STEP = 1e-6


def readout(kind=None, *, n=4, post=5, t_window=4.0):
    """A read-out fed by the input and by a population."""
    return NetworkSpec(
        3,
        (Population("a", n, NeuronSpec(t_refractory=0.3)), Population("out", post, READOUT)),
        t_window=t_window,
        projections=(
            Projection("input", "a"),
            Projection("input", "out", kind),
            Projection("a", "out", kind),
        ),
    )


def drawn(rng, network, batch, *, per_sample=9):
    """Spikes of input and population, whatever the model says, and parameters."""
    sources = [
        Spikes.from_events(
            rng.integers(0, batch, batch * per_sample),
            rng.integers(0, n, batch * per_sample),
            rng.random(batch * per_sample) * 5,
            batch=batch,
            n_units=n,
        )
        for n in network.sizes[:-1]
    ]
    sources.append(Spikes.from_events([], [], [], batch=batch, n_units=network.sizes[-1]))
    weights = tuple(rng.normal(0.2, 1.0, shape) for shape in network.shapes)
    delays = tuple(None if s is None else rng.random(s) for s in network.delay_shapes)
    return Parameters(weights, delays), sources


def neurons_of(rng, n, two_currents):
    exc = rng.uniform(0.2, 3.0, n)
    inh = rng.uniform(0.2, 3.0, n) if two_currents else exc
    zero = np.zeros(n)
    return NeuronParameters(rng.uniform(0.2, 3.0, n), exc, inh, zero + np.inf, zero)


def membrane(network, parameters, sources, neurons, sample, j, times):
    """The membrane of a read-out at many times, as the sum that it is."""
    total = np.zeros(len(times))
    for i, (pre, post) in enumerate(network.ends):
        if post != 1:
            continue
        spikes = sources[1 + pre]
        own = slice(*spikes.offsets[sample : sample + 2])
        for when, unit in zip(spikes.times[own], spikes.units[own], strict=True):
            delays = parameters.delays[i]
            kind = network.all_projections[i].delays
            place = {"axonal": unit, "dendritic": j, "synaptic": (unit, j)}.get(kind)
            arrives = when + (0.0 if delays is None else delays[place])
            weight = parameters.weights[i][unit, j]
            tau = neurons.tau_syn_exc[j] if weight > 0 else neurons.tau_syn_inh[j]
            since = np.maximum(times - arrives, 0.0)
            total += np.where(
                times > arrives, weight * psp_after(since, neurons.tau_mem[j], tau), 0.0
            )
    return total


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("two_currents", [False, True])
@pytest.mark.parametrize("begin", [0.0, 2.3])
def test_peaks_are_those_of_a_dense_scan(kind, two_currents, begin):
    rng = np.random.default_rng(3)
    network = readout(kind)
    parameters, sources = drawn(rng, network, 20)
    neurons = neurons_of(rng, 5, two_currents)
    found = membrane_peaks(network, parameters, sources, 1, neurons, begin=begin)
    times = np.linspace(begin, network.t_window, 20_001)
    for sample in range(20):
        for j in range(5):
            dense = membrane(network, parameters, sources, neurons, sample, j, times)
            value = found.values[sample, j]
            assert dense.max() - 1e-12 <= value <= dense.max() + 1e-3
            at = membrane(network, parameters, sources, neurons, sample, j,
                          found.times[sample, j : j + 1])  # fmt: skip
            np.testing.assert_allclose(at, value, rtol=0, atol=1e-12)
    assert (found.times == network.t_window).any()
    if not begin:
        assert (found.values == 0).any() and found.values.min() == 0
        return
    # Some only fall from then on, and some are below leak all the time.
    assert (found.times == begin).any() and found.times.min() == begin
    assert found.values.min() < 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("two_currents", "begin"), [(False, 0.0), (True, 0.0), (True, 2.3)])
def test_gradients_are_differences(kind, two_currents, begin):
    rng = np.random.default_rng(4)
    network = readout(kind)
    parameters, sources = drawn(rng, network, 6)
    neurons = neurons_of(rng, 5, two_currents)
    of_values = rng.normal(size=(6, 5))
    base = membrane_peaks(network, parameters, sources, 1, neurons, begin=begin)
    found = membrane_peak_gradients(
        network, parameters, sources, 1, base.times, of_values, neurons, begin=begin
    )

    def loss(parameters=parameters, sources=sources):
        peaks = membrane_peaks(network, parameters, sources, 1, neurons, begin=begin)
        return float((of_values * peaks.values).sum())

    assert found.projections == (1, 2)
    for place, i in enumerate(found.projections):
        weights, _ = parameters.weights[i], parameters.delays[i]
        for at in np.ndindex(weights.shape):
            ends = []
            for sign in (1, -1):
                moved = parameters.copy()
                moved.weights[i][at] += sign * STEP
                ends.append(loss(parameters=moved))
            # A weight that changes its sign changes its current.
            np.testing.assert_allclose(
                (ends[0] - ends[1]) / (2 * STEP), found.weights[place][at], rtol=0, atol=1e-7
            )
        if parameters.delays[i] is None:
            assert found.delays[place] is None
            continue
        for at in np.ndindex(parameters.delays[i].shape):
            ends = []
            for sign in (1, -1):
                moved = parameters.copy()
                moved.delays[i][at] += sign * STEP
                ends.append(loss(parameters=moved))
            np.testing.assert_allclose(
                (ends[0] - ends[1]) / (2 * STEP), found.delays[place][at], rtol=0, atol=1e-7
            )
    for which in (0, 1):
        spikes = sources[which]
        for k in range(spikes.n_spikes):
            ends = []
            for sign in (1, -1):
                times = spikes.times.copy()
                times[k] += sign * STEP
                moved = list(sources)
                moved[which] = Spikes.trusted(times, spikes.units, spikes.offsets, spikes.n_units)
                ends.append(loss(sources=moved))
            np.testing.assert_allclose(
                (ends[0] - ends[1]) / (2 * STEP), found.spikes[which][k], rtol=0, atol=1e-7
            )
    # Of peaks that inhibition ends, which move along with it, there were some.
    assert np.isin(base.times, np.concatenate([s.times for s in sources])).any() or kind


def one_input(times, weights, t_window=6.0):
    """A read-out with an input channel for each spike."""
    n = len(times)
    network = NetworkSpec(n, (Population("out", 1, READOUT),), t_window)
    sources = [
        Spikes.from_first(np.array([times])),
        Spikes.from_events([], [], [], batch=1, n_units=1),
    ]
    return network, Parameters((np.array(weights, np.float64)[:, None],), (None,)), sources


def test_one_spike_has_the_peak_of_the_kernel():
    network, parameters, sources = one_input([0.5], [2.0])
    found = membrane_peaks(network, parameters, sources, 0)
    top = time_of_peak(1.7, 1.0)
    np.testing.assert_allclose(found.times, 0.5 + top, rtol=1e-14)
    np.testing.assert_allclose(found.values, 2 * psp_after(top, 1.7, 1.0), rtol=1e-14)


def test_a_peak_that_inhibition_ends_moves_with_it():
    network, parameters, sources = one_input([0.5, 1.0], [2.0, -5.0])
    found = membrane_peaks(network, parameters, sources, 0)
    assert found.times == 1.0
    gradient = membrane_peak_gradients(
        network, parameters, sources, 0, found.times, np.ones((1, 1))
    )
    slope = 2 * (np.exp(-0.5) - psp_after(0.5, 1.7, 1.0) / 1.7)
    np.testing.assert_allclose(gradient.spikes[0], [-slope, slope], rtol=1e-13)
    np.testing.assert_allclose(
        gradient.weights[0].ravel(), [psp_after(0.5, 1.7, 1.0), 0.0], rtol=1e-13
    )


def test_inhibition_alone_leaves_it_at_leak_without_a_gradient():
    network, parameters, sources = one_input([0.5], [-2.0])
    found = membrane_peaks(network, parameters, sources, 0)
    assert (found.values, found.times) == (0, 0)
    gradient = membrane_peak_gradients(
        network, parameters, sources, 0, found.times, np.ones((1, 1))
    )
    assert not gradient.weights[0].any()
    assert not gradient.spikes[0].any()


def test_the_end_of_the_window_is_a_peak_that_stays():
    network, parameters, sources = one_input([0.5], [2.0], t_window=0.75)
    found = membrane_peaks(network, parameters, sources, 0)
    assert found.times == 0.75
    gradient = membrane_peak_gradients(
        network, parameters, sources, 0, found.times, np.ones((1, 1))
    )
    rising = np.exp(-0.25) - psp_after(0.25, 1.7, 1.0) / 1.7
    np.testing.assert_allclose(gradient.spikes[0], [-2 * rising], rtol=1e-13)


def test_a_readout_sends_nothing():
    with pytest.raises(NetworkError, match=r"'a' never spikes .* nothing comes from it"):
        NetworkSpec(2, (Population("a", 3, READOUT), Population("b", 2)))
    assert readout().features >= {Feature.READOUT, Feature.MULTI_SPIKE}


def test_a_threshold_of_minus_infinity_is_refused():
    with pytest.raises(NetworkError, match="expected a potential below v_threshold"):
        NeuronSpec(v_threshold=-np.inf)


def test_what_came_before_a_read_out_is_read_has_decayed_by_then():
    network, parameters, sources = one_input([0.5], [2.0])
    found = membrane_peaks(network, parameters, sources, 0, begin=4.0)
    assert found.times == 4.0
    np.testing.assert_allclose(found.values, 2 * psp_after(3.5, 1.7, 1.0), rtol=1e-14)
    # Below leak it rises towards it, up to the end of the window.
    network, parameters, sources = one_input([0.5], [-2.0])
    found = membrane_peaks(network, parameters, sources, 0, begin=4.0)
    assert found.times == 6.0
    np.testing.assert_allclose(found.values, -2 * psp_after(5.5, 1.7, 1.0), rtol=1e-14)
    gradient = membrane_peak_gradients(
        network, parameters, sources, 0, found.times, np.ones((1, 1)), begin=4.0
    )
    np.testing.assert_allclose(gradient.weights[0], psp_after(5.5, 1.7, 1.0), rtol=1e-13)


def test_inhibition_at_the_very_time_from_which_it_is_read_does_not_move_it():
    network, parameters, sources = one_input([0.5, 1.0], [2.0, -50.0])
    found = membrane_peaks(network, parameters, sources, 0, begin=1.0)
    assert found.times == 1.0
    np.testing.assert_allclose(found.values, 2 * psp_after(0.5, 1.7, 1.0), rtol=1e-13)
    gradient = membrane_peak_gradients(
        network, parameters, sources, 0, found.times, np.ones((1, 1)), begin=1.0
    )
    slope = 2 * (np.exp(-0.5) - psp_after(0.5, 1.7, 1.0) / 1.7)
    np.testing.assert_allclose(gradient.spikes[0], [-slope, 0.0], rtol=1e-13)
