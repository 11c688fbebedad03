"""Gradients of the exact engine: against differences, across time constants, and when infinite."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hxloop.engine import GradientCounts, recorded_spike_times
from hxloop.engine import first_spike_times as engine
from hxloop.errors import RunInputError
from hxloop.network import NeuronSpec
from tests.engine.engine_cases import RATIOS, random_case, run


@pytest.mark.parametrize("kind", [*RATIOS, "chip"])
@pytest.mark.parametrize("compiled", [True, False], ids=["kernels", "reference"])
def test_gradient_against_central_differences(kind, compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr("hxloop.engine.gradient.use_kernels", lambda weights: False)
    rng = np.random.default_rng([11, len(kind)])
    checked, step = 0, 1e-6
    for _ in range(6):
        times, weights, neuron = random_case(rng, kind, batch=2, post=4)
        times[times == 0.5] += rng.uniform(0, 0.1, int((times == 0.5).sum()))
        spikes = run(engine, times, weights, neuron, 6.0)
        t = torch.tensor(times, requires_grad=True)
        w = torch.tensor(weights, requires_grad=True)
        out = recorded_spike_times(t, w, torch.tensor(spikes), neuron)
        for b, j in np.argwhere(np.isfinite(spikes) & (spikes > 0)):
            dt, dw = torch.autograd.grad(out[b, j], (t, w), retain_graph=True)
            assert float(dt[b].sum()) == pytest.approx(1, abs=1e-9)  # shift of all inputs
            if float(dt.abs().max()) > 20:
                continue  # grazing: central differences are no oracle there
            for i in range(len(weights)):
                for values, grad, index in ((weights, dw, (i, j)), (times, dt, (b, i))):
                    if not np.isfinite(values[index]):
                        continue
                    if index == (b, i) and abs(times[b, i] - spikes[b, j]) < 1e-3:
                        continue
                    if values is weights and abs(weights[index]) < 1e-3:
                        continue  # a weight that changes sign changes its time constant
                    ends = []
                    for sign in (1, -1):
                        moved = values.copy()
                        moved[index] += sign * step
                        pair = (times, moved) if values is weights else (moved, weights)
                        ends.append(run(engine, *pair, neuron, 6.0)[b, j])
                    central = (ends[0] - ends[1]) / (2 * step)
                    assert float(grad[index]) == pytest.approx(central, rel=1e-6, abs=1e-7)
                    checked += 1
    assert checked > 200


def test_gradcheck():
    rng = np.random.default_rng(4)
    times, weights = rng.uniform(0.2, 1.5, (3, 6)), rng.normal(1.0, 0.6, (6, 4))
    neuron = NeuronSpec(tau_mem=1.7)
    t = torch.tensor(times, requires_grad=True)
    w = torch.tensor(weights, requires_grad=True)

    def spikes(t, w):
        recorded = engine(t.detach(), w.detach(), neuron, 6.0)
        result = recorded_spike_times(t, w, recorded, neuron)
        return torch.where(torch.isfinite(result), result, torch.zeros_like(result))

    assert torch.isfinite(engine(t.detach(), w.detach(), neuron, 6.0)).any()
    assert torch.autograd.gradcheck(spikes, (t, w), eps=1e-6, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("compiled", [True, False], ids=["kernels", "reference"])
def test_zeroed_gradients_are_counted(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr("hxloop.engine.gradient.use_kernels", lambda weights: False)
    t = torch.tensor([[0.2, np.inf]], dtype=torch.float64, requires_grad=True)
    w = torch.tensor([[2.0, 2.0, -1.0], [1.0, 1.0, 1.0]], dtype=torch.float64, requires_grad=True)
    # Neuron 0 rises at its spike, neuron 1 is past its peak, neuron 2 is inhibited only.
    recorded = torch.tensor([[0.6, 4.0, 1.0]], dtype=torch.float64)
    counts = GradientCounts()
    out = recorded_spike_times(t, w, recorded, NeuronSpec(), counts=counts)
    assert torch.equal(out, recorded)
    out.sum().backward()
    assert (counts.n_spikes, counts.n_not_rising, counts.n_capped) == (3, 2, 0)
    assert w.grad[0, 0] != 0 and not w.grad[:, 1:].any() and not w.grad[1].any()
    counts.reset()
    w.grad = None
    recorded_spike_times(
        t, w, recorded, NeuronSpec(), counts=counts, max_dw_norm=1e-3
    ).sum().backward()
    assert counts.n_capped == 1 and not w.grad.any()


def test_gradient_goes_straight_through_the_weight_grid():
    t = torch.tensor([[0.2]], dtype=torch.float64)
    w = torch.tensor([[2.04]], dtype=torch.float64, requires_grad=True)
    used = torch.tensor([[2.0]], dtype=torch.float64)
    recorded = engine(t, used, NeuronSpec(v_threshold=0.5), 6.0)
    recorded_spike_times(t, w, recorded, NeuronSpec(), weights_used=used).sum().backward()
    s = float(recorded) - 0.2
    kernel, slope = s * math.exp(-s), (1 - s) * math.exp(-s)
    assert float(w.grad) == pytest.approx(-kernel / (2.0 * slope), rel=1e-12)


@pytest.mark.parametrize("compiled", [True, False])
def test_nan_among_gradients_is_told_where_it_matters(compiled, monkeypatch):
    monkeypatch.setattr("hxloop.engine.gradient.use_kernels", lambda weights: compiled)
    t = torch.tensor([[0.2, 0.4]], dtype=torch.float64, requires_grad=True)
    w = torch.ones((2, 3), dtype=torch.float64, requires_grad=True)
    recorded = torch.tensor([[1.0, torch.inf, 1.5]], dtype=torch.float64)
    out = recorded_spike_times(t, w, recorded, NeuronSpec())
    with pytest.raises(RunInputError, match=r"NaN at sample 0, neuron 2, which spiked at 1\.5"):
        out.backward(torch.tensor([[1.0, 1.0, torch.nan]], dtype=torch.float64))
    # The gradient of a silent neuron does not count, whatever it is.
    out = recorded_spike_times(t, w, recorded, NeuronSpec())
    out.backward(torch.tensor([[1.0, torch.nan, 1.0]], dtype=torch.float64))
    assert torch.isfinite(w.grad).all() and torch.isfinite(t.grad).all()
    assert w.grad[:, 1].eq(0).all() and w.grad[:, 0].ne(0).all()
