"""Shared by all tests: one compute thread, what shares a worker, and what is left to test-all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
# How long an example takes says how busy the machine is.
settings.register_profile("hxloop", deadline=None)
settings.load_profile("hxloop")

# Left to ``make test-all``, by the name of the test, and which faster one sees the same fault.
SLOW = {
    # The session and its order of things are the adapter's, and these are seen on pynn-nest.
    r"test_backend_conforms\[pynn-(brian2|neuron)-[0-9.]+-"
    r"(batch-size|threads|memory|forked-child|fault-transient|shapes)\]": "the same on pynn-nest",
    # Half a second each, for opening a session of Brian2's.
    r"test_backend_conforms\[pynn-brian2-0.05-"
    r"(bad-\S+|unknown-record|results-independent|arguments-untouched|copies"
    r"|closed-session-refuses|silent-neurons|silent-layer)\]": "the same on pynn-nest",
    r"test_backend_conforms\[pynn-brian2-0.05-(nothing-left-open|tau-ratio-(1|1.7|2))\]": (
        "the same on pynn-neuron; the ratios at both ends stay"
    ),
    # Sessions of their own, half a second to two each.
    r"test_backend_conforms\[pynn-(brian2|neuron)-[0-9.]+-"
    r"(refractory-times|reset-potential|bursts|no-refractory-time|once-beside-many|bad-\S+"
    r"|trains-\S+|silent-trains|several-forms-agree|inputs-that-spike-again"
    r"|loops?-\S+|\S+-delays|delays-\S+|skip-connections)\]": (
        "all-spikes and loops on both, all of them on pynn-nest, and the spikes of a network with "
        "everything, step by step, in test_pynn_grid_trains.py"
    ),
    r"test_(strong_weights|silence_and_simultaneous|what_is_reported|a_b_a|gradient_agrees"
    r"|training_through|other_time_constants)\w*\[pynn-brian2": (
        "the same on pynn-nest, and the conformance suite on pynn-brian2"
    ),
    r"test_short_version_of_mnist_learns\[mnist-eight-dale": "mnist-eight and mnist-deep-dale",
    r"test_short_version_of_mnist_learns\[mnist-16x16-hidden": "mnist-16x16 in the loop",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file share a worker, and with it compiled models, pages and open simulators.

    Files whose tests say otherwise (the suite on every backend) are left alone.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
        if any(re.search(pattern, item.nodeid) for pattern in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(params=["some", pytest.param("all", marks=pytest.mark.slow)])
def moments(request: pytest.FixtureRequest) -> Callable[[Iterable[int]], list[int]]:
    """Which of many moments a program is stopped at: every fourth and both ends, or all of them.

    What one moment leaves behind its neighbours mostly do, too; ``make test-all`` tries them all.
    """

    def chosen(every: Iterable[int]) -> list[int]:
        found = list(every)
        if request.param == "all":
            return found
        return sorted({*found[:2], *found[::4], *found[-2:]})

    return chosen


@pytest.fixture(params=[3, pytest.param(1, marks=pytest.mark.slow)])
def step(request: pytest.FixtureRequest) -> int:
    """From one moment a program is stopped at to the next, where their number is not known."""
    return int(request.param)
