"""NEST runs neurons that spike again, loops, delays and connections over populations."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.errors import CapacityError
from hxloop.network import NeuronSpec, Parameters
from tests.backends.pynn_trains import DT, drawn, loop, opened

# NEST, NEURON and Brian2 take seconds to start: once, for all tests of them.
pytestmark = pytest.mark.xdist_group("test_pynn_simulators.py")


@pytest.mark.parametrize("tau_mem", [0.3, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("t_refractory", [DT, 0.5])
def test_all_spikes_are_those_of_the_ideal_substrate(tau_mem: float, t_refractory: float) -> None:
    network = loop(NeuronSpec(tau_mem=tau_mem, t_refractory=t_refractory, v_reset=-0.2))
    given, inputs = drawn(network, seed=1)
    with get_backend("ideal").open(network) as session:
        expected = session.run(given, inputs)
    with opened("pynn-nest", network) as session:
        got = session.run(given, inputs)
    assert expected.spikes[0].count.max() >= 3
    assert got.inputs == expected.inputs
    for a, b in zip(got.parameters.delays, expected.parameters.delays, strict=True):
        assert (a is None) == (b is None)
        np.testing.assert_allclose(a if a is not None else 0, b if b is not None else 0, atol=1e-12)
    for mine, exact in zip(got.spikes, expected.spikes, strict=True):
        assert (mine.count == exact.count).all()
        for rank in range(int(exact.count.max())):
            x, y = mine.nth(rank), exact.nth(rank)
            fired = np.isfinite(y)
            assert np.abs(x[fired] - y[fired]).max(initial=0.0) < 1e-6


def test_delays_are_held_in_whole_steps_and_the_batch_may_be_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = loop(NeuronSpec(t_refractory=0.5))
    given, inputs = drawn(network, seed=2)
    moved = tuple(None if d is None else d + 0.02 for d in given.delays)
    with opened("pynn-nest", network) as session:
        whole = session.run(Parameters(given.weights, moved), inputs)
        for held, asked in zip(whole.parameters.delays, given.delays, strict=True):
            if asked is not None and held is not None:
                np.testing.assert_allclose(held, asked, atol=1e-12)
        monkeypatch.setattr("hxloop.backends.pynn.nest.MOST_SYNAPSES", 200)
        cut = session.run(Parameters(given.weights, moved), inputs)
    assert all(a == b for a, b in zip(whole.spikes, cut.spikes, strict=True))


def test_what_nest_would_bend_is_refused_with_the_number() -> None:
    again = NeuronSpec(t_refractory=0.5)
    with pytest.raises(CapacityError, match=r"a -> a is part of a loop.*min_delay = 0.05"):
        opened("pynn-nest", loop(again, delayed=False))
    with pytest.raises(CapacityError, match=r"may have a delay of 0.01"):
        opened("pynn-nest", loop(again, min_delay=0.01))
    with pytest.raises(
        CapacityError, match=r"t_refractory = 0.33; NEST.*example dt = 0.04714285714"
    ):
        opened("pynn-nest", loop(NeuronSpec(t_refractory=0.33)))
    with pytest.raises(CapacityError, match=r"t_refractory = 0; NEST holds.* at least one"):
        opened("pynn-nest", loop(NeuronSpec(t_refractory=0.0)))
    with opened("pynn-nest", loop(NeuronSpec(t_refractory=0.33)), dt=0.33 / 7):
        pass
