"""BrainScaleS-2: neurons are placed where the router finds a way, or the network is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from hxloop import NetworkSpec, get_backend
from hxloop.backends.brainscales2.placement import place_neurons
from hxloop.backends.brainscales2.routing import refusal, segment_of
from hxloop.errors import CapacityError
from tests.backends.brainscales2_laboratory import NAME, NETWORK
from tests.contract_double.router import REFUSED, check_routing


def route(network: NetworkSpec, layers: tuple[tuple[int, ...], ...]) -> None:
    """What the restated router says to a placement, with both signs of every connection."""
    populations = [object() for _ in network.sizes]
    place = {id(p): np.array(n) for p, n in zip(populations[1:], layers, strict=True)}
    projections = [
        SimpleNamespace(
            pre=populations[index],
            post=populations[index + 1],
            receptor_type=receptor,
            weights=np.zeros(shape, dtype=np.int64),
        )
        for index, shape in enumerate(network.shapes)
        for receptor in ("excitatory", "inhibitory")
    ]
    check_routing(projections, place)


def routes(network: NetworkSpec, layers: tuple[tuple[int, ...], ...]) -> bool:
    try:
        route(network, layers)
    except RuntimeError as error:
        assert str(error) == REFUSED
        return False
    return True


def counts(layers: tuple[tuple[int, ...], ...]) -> list[np.ndarray]:
    found = []
    for layer in layers:
        found.append(np.zeros((2, 2, 4), dtype=np.int64))
        for neuron in layer:
            found[-1][segment_of(neuron)] += 1
    return found


def drawn(rng: np.random.Generator) -> tuple[NetworkSpec, set[int]]:
    sizes = rng.integers(1, 129, rng.integers(1, 5))
    failed = rng.choice(512, rng.integers(0, 120), replace=False)
    network = NetworkSpec.feed_forward(int(rng.integers(1, 129)), *map(int, sizes))
    return network, set(failed.tolist())


def place_and_route(seed: int, draws: int) -> int:
    """How many of so many random networks and masks are placed; each of them must be routed."""
    rng, placed = np.random.default_rng(seed), 0
    for _ in range(draws):
        network, failed = drawn(rng)
        try:
            layers = place_neurons(network, failed, NAME)
        except CapacityError:
            continue
        used = [neuron for layer in layers for neuron in layer]
        assert tuple(map(len, layers)) == network.sizes[1:]
        assert len(set(used)) == len(used)
        assert failed.isdisjoint(used)
        route(network, layers)
        placed += 1
    return placed


def test_what_is_placed_can_be_routed() -> None:
    assert place_and_route(seed=1, draws=200) > 150


@pytest.mark.slow
def test_what_is_placed_can_be_routed_thousands() -> None:
    assert place_and_route(seed=2, draws=2000) > 1500


def test_the_rules_of_the_backend_are_those_of_the_router() -> None:
    # Any placement, most of them without a way: both must say the same.
    rng, found = np.random.default_rng(3), {True: 0, False: 0}
    for _ in range(120):
        network, _ = drawn(rng)
        many = sum(network.sizes[1:])
        # Some segments are full and others nearly empty, so that both answers are frequent.
        odds = 0.9 * np.repeat(rng.dirichlet(np.full(16, 0.4)), 32) / 32 + 0.1 / 512
        neurons = rng.choice(512, min(many, 512), replace=False, p=odds)
        if many > 512:
            continue
        ends = np.cumsum(network.sizes[1:])[:-1]
        layers = tuple(tuple(part.tolist()) for part in np.split(neurons, ends))
        mine = refusal(network.n_inputs, counts(layers)) is None
        assert mine == routes(network, layers), (network, layers)
        found[mine] += 1
    assert min(found.values()) > 20, found


@pytest.mark.parametrize(
    ("sizes", "failed"),
    # Each was accepted by counting rows alone, and refused by the router.
    [((64, 128, 10), 3), ((64, 128, 10), 10), ((20, 120, 3), 30), ((64, 100, 100, 100, 10), 0)],
)
def test_networks_that_counting_rows_misplaces(sizes: tuple[int, ...], failed: int) -> None:
    network = NetworkSpec.feed_forward(*sizes)
    for seed in range(3):
        mask = set(np.random.default_rng(seed).choice(512, failed, replace=False).tolist())
        route(network, place_neurons(network, mask, NAME))


def test_outputs_of_one_bus_that_no_mask_tells_apart() -> None:
    # 30 drivers of the left block and 2 of the right one: enough in all, and no way.
    network = NetworkSpec.feed_forward(4, 32, 3)
    for left, fits in ((28, True), (30, False)):
        hidden = (*range(left), *range(128, 128 + 32 - left))
        layers = (tuple(hidden), (300, 301, 302))
        assert routes(network, layers) is fits
        why = refusal(4, counts(layers))
        assert (why is None) is fits
    assert why is not None and "told apart" in why.reason and why.missing == 0


def test_failed_neurons_are_left_out() -> None:
    hidden, output = place_neurons(NETWORK, {0, 5, 31}, NAME)
    assert len({segment_of(neuron) for neuron in hidden}) == 1
    assert set(hidden + output).isdisjoint({0, 5, 31})


def test_layers_after_the_first_go_to_the_other_half_when_drivers_run_out() -> None:
    hidden, output = place_neurons(NetworkSpec.feed_forward(128, 128, 10), (), NAME)
    assert max(hidden) < 256 <= min(output)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((10, 500, 13), "needs 513 neurons"),
        ((129, 10), "layer 0 .* has 129 inputs.*does not make merged ones"),
        ((10, 129, 3), "layer 1 .* has 129 inputs"),
        ((128, 300, 3), "layer 1"),
        ((128, 128, 128, 128, 10), r"cannot be routed.* hidden layers of at most 1\d\d neurons"),
        ((100, 60, 60, 60, 60, 60, 60, 10), r"cannot be routed.* at most \d+ inputs"),
    ],
)
def test_networks_beyond_the_chip(sizes: tuple[int, ...], message: str) -> None:
    # Before the vendor's software is looked for: it is not installed here.
    with pytest.raises(CapacityError, match=message):
        get_backend(NAME).open(NetworkSpec.feed_forward(*sizes))


def test_what_is_said_to_fit_fits() -> None:
    with pytest.raises(CapacityError, match=r"of at most (\d+) neurons") as caught:
        place_neurons(NetworkSpec.feed_forward(128, 128, 128, 128, 10), (), NAME)
    told = int(str(caught.value).split("of at most ")[-1].split()[0])
    network = NetworkSpec.feed_forward(128, told, told, told, 10)
    route(network, place_neurons(network, (), NAME))
