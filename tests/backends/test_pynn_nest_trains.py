"""NEST runs neurons that spike again, loops, delays and connections over populations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.activity import Spikes
from hxloop.errors import CapacityError, MissingDependencyError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection

DT = 0.05


def opened(network: NetworkSpec, name: str = "pynn-nest", **options: Any) -> Any:
    try:
        return get_backend(name, **options).open(network)
    except MissingDependencyError as error:
        pytest.skip(str(error))


def loop(neuron: NeuronSpec, min_delay: float = DT, *, delayed: bool = True) -> NetworkSpec:
    late = {"delays": "synaptic", "min_delay": min_delay} if delayed else {}
    return NetworkSpec(
        4,
        (Population("a", 5, neuron), Population("b", 3, neuron), Population("c", 2, neuron)),
        t_window=5.0,
        projections=(
            Projection("input", "a"),
            Projection("a", "a", **late),
            Projection("a", "b"),
            Projection("input", "b"),
            Projection("b", "c"),
            Projection("a", "c", delays="axonal"),
        ),
    )


def drawn(network: NetworkSpec, seed: int, batch: int = 7) -> tuple[Parameters, Spikes]:
    rng = np.random.default_rng(seed)
    gain = 1 + 1 / min(1.0, network.layers[0].neuron.tau_mem)
    weights = [
        rng.normal(2.0 * gain / pre, 1.5 / pre, (pre, post)) * (1.0 if a < b else 0.2)
        for (pre, post), (a, b) in zip(network.shapes, network.ends, strict=True)
    ]
    # Multiples of the step, which NEST holds as they are.
    delays = [
        None if shape is None else rng.integers(1, 12, shape) * DT for shape in network.delay_shapes
    ]
    n = 10 * batch
    inputs = Spikes.from_events(
        rng.integers(0, batch, n), rng.integers(0, 4, n), rng.random(n) * 3, batch=batch, n_units=4
    )
    return Parameters(tuple(weights), tuple(delays)), inputs


@pytest.mark.parametrize("tau_mem", [0.3, 1.0, 2.0, 10.0])
@pytest.mark.parametrize("t_refractory", [DT, 0.5])
def test_all_spikes_are_those_of_the_ideal_substrate(tau_mem: float, t_refractory: float) -> None:
    network = loop(NeuronSpec(tau_mem=tau_mem, t_refractory=t_refractory, v_reset=-0.2))
    given, inputs = drawn(network, seed=1)
    with get_backend("ideal").open(network) as session:
        expected = session.run(given, inputs)
    with opened(network) as session:
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
    with opened(network) as session:
        whole = session.run(Parameters(given.weights, moved), inputs)
        for held, asked in zip(whole.parameters.delays, given.delays, strict=True):
            if asked is not None and held is not None:
                np.testing.assert_allclose(held, asked, atol=1e-12)
        monkeypatch.setattr("hxloop.backends.pynn.nest_trains.MOST_SYNAPSES", 200)
        cut = session.run(Parameters(given.weights, moved), inputs)
    assert all(a == b for a, b in zip(whole.spikes, cut.spikes, strict=True))


def test_what_nest_would_bend_is_refused_with_the_number() -> None:
    again = NeuronSpec(t_refractory=0.5)
    with pytest.raises(CapacityError, match=r"a -> a is part of a loop.*min_delay = 0.05"):
        opened(loop(again, delayed=False))
    with pytest.raises(CapacityError, match=r"may have a delay of 0.01"):
        opened(loop(again, min_delay=0.01))
    with pytest.raises(CapacityError, match=r"t_refractory = 0.33; NEST.*example dt = 0.0471429"):
        opened(loop(NeuronSpec(t_refractory=0.33)))
    with pytest.raises(CapacityError, match=r"t_refractory = 0; NEST holds.* at least one"):
        opened(loop(NeuronSpec(t_refractory=0.0)))
    with opened(loop(NeuronSpec(t_refractory=0.33)), dt=0.33 / 7):
        pass


@pytest.mark.parametrize("name", ["pynn-neuron", "pynn-brian2", "pynn-brainscales2"])
def test_the_others_refuse_by_name(name: str) -> None:
    with pytest.raises(CapacityError, match=f"{name}.*needs delays, multi-spike, recurrent, skip"):
        get_backend(name).open(loop(NeuronSpec(t_refractory=0.5)))
