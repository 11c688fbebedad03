"""The same network, through NIR, in other simulators: the same spikes within their time step.

They are no dependencies of hxloop. Seen with norse 1.1.0 and snnTorch 1.0.0 (nirtorch 2.6, nir
1.0.8, torch 2.13.0) and jaxsnn 0.3.0 (jax 0.10.2).
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.network.nir import Convention, to_nir
from tests.network.nir_examples import feed_forward

# norse and snnTorch integrate by Euler's rule, in every layer anew, so that a spike is off by 1.7
# steps in the median (the larger step: 1.8), and by 8 where it grazes the threshold. The error must
# shrink with the step, see below, and no spike may be missing or too many.
STEPS_OFF, STEPS_OFF_AT_MOST = 3, 10
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


def expected() -> list[list[np.ndarray]]:
    network, parameters, inputs = feed_forward()
    with get_backend("ideal").open(network) as session:
        spikes = session.run(parameters, inputs).spikes[-1]
    return [
        [spikes.times[(spikes.samples == b) & (spikes.units == j)] for j in range(3)]
        for b in range(len(inputs))
    ]


def errors_of(got: list[list[np.ndarray]]) -> np.ndarray:
    """By how much each spike is off, after all are there."""
    pairs = [pair for g, e in zip(got, expected(), strict=True) for pair in zip(g, e, strict=True)]
    assert [len(g) for g, _ in pairs] == [len(e) for _, e in pairs]
    assert sum(len(e) for _, e in pairs) > 20
    return np.abs(np.concatenate([g - e for g, e in pairs]))


def check_steps(errors: dict[float, np.ndarray]) -> None:
    """Errors by time step."""
    for step, found in errors.items():
        assert np.median(found) < STEPS_OFF * step and found.max() < STEPS_OFF_AT_MOST * step
    large, small = (np.median(errors[step]) for step in sorted(errors, reverse=True))
    assert small < 0.75 * large


def in_steps(step: float, module: Callable[..., Any]) -> list[list[np.ndarray]]:
    """Spike times of what computes a time step, in model time."""
    import torch

    network, _, inputs = feed_forward()
    n = round(network.t_window / step) + 1
    grid = np.zeros((n, *inputs.shape), np.float32)
    places = np.meshgrid(*map(np.arange, inputs.shape), indexing="ij")
    grid[np.round(inputs / step).astype(int), *places] = 1
    state, spikes = None, []
    with torch.no_grad():
        for now in torch.from_numpy(grid):
            out, state = module(now, state)
            spikes.append(out.numpy())
    found = np.array(spikes)
    return [[np.flatnonzero(found[:, b, j]) * step for j in range(3)] for b in range(len(inputs))]


def graph(made: Convention) -> Any:
    network, parameters, _ = feed_forward()
    return to_nir(network, parameters, made).graph


def test_norse_gives_the_same_spikes() -> None:
    norse = pytest.importorskip("norse.torch", reason="norse is not installed")
    errors = {}
    for step in (2e-3, 1e-3):
        made = Convention(spikes="steps", dt=step * 0.01, tau_syn_ms=10.0)
        errors[step] = errors_of(in_steps(step, norse.from_nir(graph(made), dt=made.dt)))
    check_steps(errors)


def test_snntorch_gives_the_same_spikes() -> None:
    """Its step is 0.1 ms whatever one says, so the network is made slower instead."""
    snntorch = pytest.importorskip("snntorch.import_nir", reason="snnTorch is not installed")
    errors = {}
    for step in (2e-3, 1e-3):
        made = Convention(spikes="steps", dt=1e-4, tau_syn_ms=0.1 / step)
        errors[step] = errors_of(in_steps(step, snntorch.import_from_nir(graph(made))))
    check_steps(errors)


def test_jaxsnn_gives_the_same_spikes() -> None:
    """It has no time step: the spikes agree as exact ones do."""
    events = pytest.importorskip("jaxsnn.event", reason="jaxsnn is not installed")
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    network, _, inputs = feed_forward()
    made = graph(Convention(spikes="jumps", unit="ms", tau_syn_ms=10.0))
    if importlib.metadata.version("jaxsnn") == "0.3.0":  # takes (post, pre) for (pre, post)
        for node in made.nodes.values():
            if type(node).__name__ == "Linear":
                node.weight = node.weight.T
    counts = {"input": 5, "hidden": 60, "output": 60}
    end = network.t_window * 0.01
    init, apply = events.from_nir(
        made, events.ConversionConfig(t_max=end, n_steps=counts, backprop_method="eventprop")
    ).done()
    from jaxsnn.event.types import Spike

    order = np.argsort(inputs, axis=1)
    times = np.take_along_axis(inputs, order, 1) * 0.01
    nothing = np.zeros(inputs.shape, int)
    given = map(jax.numpy.asarray, (times, order, 0.0 * times, nothing, nothing == 0))
    out = apply({"input": Spike(*given)}, init(jax.random.PRNGKey(0)))["output"]
    own = np.asarray(out.internal) & (np.asarray(out.time) < end)
    got = [
        [np.asarray(out.time)[b][own[b] & (np.asarray(out.idx)[b] == j)] / 0.01 for j in range(3)]
        for b in range(len(inputs))
    ]
    assert errors_of(got).max() < 1e-6
