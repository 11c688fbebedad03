"""Read-outs on NEST, NEURON and Brian2, and two kinds of runs in one session of NEURON."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import LoopNetwork, get_backend
from hxloop.activity import Spikes
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection
from tests.backends.pynn_trains import DT, drawn, opened

# NEST, NEURON and Brian2 take seconds to start: once, for all tests of them.
pytestmark = pytest.mark.xdist_group("test_pynn_simulators.py")

NEURON = NeuronSpec(tau_mem=1.5, t_refractory=0.2, v_reset=-0.2)
READOUT = NetworkSpec(
    4,
    (Population("a", 5, NEURON), Population("out", 2, NeuronSpec(v_threshold=np.inf))),
    t_window=5.0,
    projections=(Projection("input", "a"), Projection("a", "a", delays="axonal", min_delay=0.1),
                 Projection("a", "out", delays="synaptic")),
)  # fmt: skip


@pytest.mark.parametrize("name", ["pynn-nest", "pynn-neuron", "pynn-brian2"])
def test_read_outs_never_spike_and_the_host_computes_their_membranes(name: str) -> None:
    given, inputs = drawn(READOUT, seed=3)
    weights = [*given.weights[:2], given.weights[2].copy()]
    weights[2][0, 0] = 9.0
    given = Parameters(tuple(weights), given.delays)
    with opened(name, READOUT, weight_limit=8.0) as session:
        network = LoopNetwork(session, given)
        membranes, activity = network.output(inputs, reads="membrane")
        membranes.sum().backward()
    assert activity.spikes[1].n_spikes == 0 < activity.spikes[0].n_spikes
    assert activity.info.clipped_weights == (0, 0, 1)
    assert activity.parameters.weights[2][0, 0] == 8.0
    assert network.weights[2].grad is not None and bool(network.weights[2].grad.abs().max() > 0)
    with get_backend("ideal").open(READOUT) as ideal:
        exact, _ = LoopNetwork(ideal, activity.parameters).output(activity.inputs, reads="membrane")
    # A membrane moves by at most sum(|w|) in a unit of time, and one spike may be on either side of
    # the window's end, or not be there at all where the threshold is grazed: most are as exact.
    off = np.abs(membranes.detach().numpy() - exact.detach().numpy())
    resolution = 1e-6 if name == "pynn-nest" else 2 * DT
    allowed = np.abs(activity.parameters.weights[2]).sum(axis=0) * resolution * 3
    assert (off <= allowed).mean() > 0.9


def test_first_spikes_and_all_spikes_take_turns_in_neuron() -> None:
    """Both need NEURON for themselves; a network that has no features may be given either."""
    network = NetworkSpec.feed_forward(4, 5, 2, t_window=5.0)
    given, inputs = drawn(network, seed=4)
    dense = Spikes.from_first(inputs.first)
    with opened("pynn-neuron", network) as session:
        first = [session.run(given, each).spikes for each in (dense, inputs, dense, inputs)]
    for k in (0, 1):
        assert all(a == b for a, b in zip(first[k], first[k + 2], strict=True))
    assert any(a != b for a, b in zip(first[0], first[1], strict=True))
