"""In which runs a network is played that is larger than a chip, and what is between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.activity import Spikes
from hxloop.chip.hop import Hop
from hxloop.chip.partition import partition
from hxloop.chip.run_plan import Limits, Plan
from hxloop.errors import CapacityError, ConfigError
from hxloop.network import NetworkSpec, NeuronSpec, Population, Projection

TWICE = NeuronSpec(t_refractory=0.5)


def loop(size: int) -> NetworkSpec:
    return NetworkSpec(
        4,
        (Population("hidden", size, TWICE), Population("output", 2, TWICE)),
        projections=(
            Projection("input", "hidden"),
            Projection("hidden", "hidden"),
            Projection("hidden", "output"),
        ),
    )


def skipping(first: int, second: int) -> NetworkSpec:
    """The input feeds all populations, the first hidden one the output as well."""
    names = ("one", "two", "output")
    sizes = dict(zip(names, (first, second, 2), strict=True))
    pairs = [("input", n) for n in names] + [("one", "two"), ("one", "output"), ("two", "output")]
    return NetworkSpec(
        5,
        tuple(Population(name, size, TWICE) for name, size in sizes.items()),
        projections=tuple(Projection(*pair) for pair in pairs),
    )


def played(plan: Plan) -> dict[int, list[int]]:
    """Which neurons of each population, run after run."""
    found: dict[int, list[int]] = {}
    for part in plan.parts:
        for position, index in enumerate(part.populations):
            here = part.neurons(position)
            found.setdefault(index, []).extend(range(here.start, here.stop))
    return found


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 30), min_size=2, max_size=6),
    st.integers(4, 40),
    st.integers(3, 40),
    st.booleans(),
)
def test_every_neuron_is_played_once_after_what_feeds_it_within_the_limits(
    sizes: list[int], circuits: int, inputs: int, skip: bool
) -> None:
    network = skipping(sizes[0], sizes[1]) if skip else NetworkSpec.feed_forward(*sizes)
    limits = Limits(circuits=circuits, inputs=inputs)
    try:
        plan = partition(network, limits)
    except CapacityError:
        # Only where a single neuron is too large.
        fan = max(sum(p[0] for e, p in zip(network.ends, network.shapes, strict=True) if e[1] == i)
                  for i in range(len(network.layers)))  # fmt: skip
        assert -(-fan // inputs) > circuits
        return
    sizes_of = {i: list(range(layer.n_neurons)) for i, layer in enumerate(network.layers)}
    assert played(plan) == sizes_of
    seen: set[int] = {-1}
    for stage in plan.stages:
        for part in stage:
            assert limits.circuits_of(part.network) == part.circuits <= circuits
            assert set(part.sources) <= seen
        seen |= {index for part in stage for index in part.populations}
    assert [part.number for part in plan.parts] == list(range(len(plan.parts)))


def test_populations_that_fit_together_share_a_run_if_no_spike_is_needed_outside() -> None:
    chain = NetworkSpec.feed_forward(4, 6, 5, 3)
    assert [part.populations for part in partition(chain, Limits(circuits=14)).parts] == [(0, 1, 2)]
    assert [part.populations for part in partition(chain, Limits(circuits=11)).parts] == [
        (0, 1),
        (2,),
    ]
    # "one" feeds the output as well, so it is handed on, and "two" gets the input from outside.
    fitting = partition(skipping(4, 4), Limits(circuits=8))
    assert [part.populations for part in fitting.parts] == [(0,), (1,), (2,)]
    assert fitting.handed_on == {0, 1}


def test_who_feeds_two_runs_shares_neither() -> None:
    pairs = (("input", "one"), ("one", "two"), ("two", "output"), ("one", "output"))
    network = NetworkSpec(
        5,
        tuple(Population(name, 4, TWICE) for name in ("one", "two", "output")),
        projections=tuple(Projection(*pair) for pair in pairs),
    )
    # "one" and "two" would fit, but the output needs the spikes of "one" in another run.
    plan = partition(network, Limits(circuits=8))
    assert [part.populations for part in plan.parts] == [(0,), (1,), (2,)]


def test_a_loop_stays_together_or_is_refused_by_name() -> None:
    assert len(partition(loop(10), Limits(circuits=12)).parts) == 1
    with pytest.raises(CapacityError, match=r"loop of 'hidden' needs 11 circuits.*has 10"):
        partition(loop(11), Limits(circuits=10))


@pytest.mark.parametrize(
    ("network", "limits", "message"),
    [
        (NetworkSpec.feed_forward(40, 7, 2), Limits(circuits=4, inputs=8),
         r"population 'hidden' has 40 inputs and takes 5 circuits.*chip has 4"),
        (NetworkSpec.feed_forward(9, 7, 2), Limits(max_fan_in=8), "9 inputs; .* at most 8"),
        (NetworkSpec.feed_forward(9, 7, 2, delays="axonal"), Limits(), "delays between runs"),
    ],
)  # fmt: skip
def test_what_no_plan_can_do_is_refused_with_the_layer_and_the_limit(
    network: NetworkSpec, limits: Limits, message: str
) -> None:
    with pytest.raises(CapacityError, match=message):
        partition(network, limits)


def test_the_time_on_chips_is_that_of_all_runs() -> None:
    plan = partition(NetworkSpec.feed_forward(784, 256, 10))  # 4 + 1 runs
    assert plan.seconds_on_chip(1000, slot_us=100) == pytest.approx(5 * 0.1)
    assert plan.seconds_on_chip(1000, slot_us=100, chips=2) == pytest.approx(3 * 0.1)


# --- the hop ----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=12),
    st.integers(0, 5),
)
def test_one_spike_a_cycle_as_a_queue_serves_them(cycles: list[int], latency: int) -> None:
    tick = 0.25
    first = np.array([cycles], dtype=float) * tick
    moved, late = Hop(latency=latency * tick, tick=tick).hand_over(Spikes.from_first(first), 9.0)
    free, expected = -1, np.full((1, len(cycles)), np.inf)
    for cycle, unit in sorted((cycle + latency, unit) for unit, cycle in enumerate(cycles)):
        free = max(free + 1, cycle)
        expected[0, unit] = free * tick
    too_late = expected > 9.0
    expected[too_late] = np.inf
    assert np.array_equal(moved.first, expected)
    assert late == too_late.sum()


def test_all_spikes_are_handed_on_and_without_a_hop_nothing_changes() -> None:
    events = Spikes.from_events([0, 0, 1], [1, 1, 0], [0.5, 1.5, 2.0], batch=2, n_units=2)
    assert Hop().hand_over(events, 4.0) == (events, 0)
    moved, late = Hop(latency=2.5).hand_over(events, 4.0)
    assert late == 1 and moved.times.tolist() == [3.0, 4.0]
    with pytest.raises(ConfigError, match="latency"):
        Hop(latency=-1)
