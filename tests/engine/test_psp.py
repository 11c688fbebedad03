"""One kernel ``k(s)`` for the whole project, and shares of it where it underflows itself."""

from __future__ import annotations

import ast

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpmath import mp, mpf

from hxloop.analysis.measures.pathways import pathways_from_runs
from hxloop.engine.compiled.psp import psp as compiled_psp
from hxloop.engine.compiled.psp import scaled_psp
from hxloop.engine.psp import psp, psp_after, time_of_peak
from tests.test_architecture import MODULES, source_of

CONSTANTS = st.floats(0.01, 100.0) | st.sampled_from([1.0, 1.0 + 1e-12, 1.0 + 1e-6, 1.001001])
mp.dps = 60


def exact(s: float, tau_mem: float, tau_syn: float) -> mpf:
    """The textbook form, in 60 digits."""
    s, mem, syn = mpf(s), mpf(tau_mem), mpf(tau_syn)
    if mem == syn:
        return s * mp.exp(-s / mem)
    # Not expm1: beyond s = 140 all 60 digits of a difference of two -1 are gone.
    return (mp.exp(-s / mem) - mp.exp(-s / syn)) / (1 / syn - 1 / mem)


@settings(deadline=None, max_examples=200)
@given(s=st.floats(1e-12, 60.0), tau_mem=CONSTANTS, tau_syn=CONSTANTS)
def test_the_kernel_is_the_textbooks_in_all_its_forms(s, tau_mem, tau_syn):
    # The exponent s/slow is rounded: its error comes in as it is, in units of 1.
    wanted, margin = exact(s, tau_mem, tau_syn), 1e-15 * (8 + s / max(tau_mem, tau_syn))
    tensors = (torch.tensor(v, dtype=torch.float64) for v in (s, tau_mem, tau_syn))
    for value in (
        float(psp(*tensors)),
        float(psp_after(s, tau_mem, tau_syn)),
        compiled_psp(s, tau_mem, tau_syn),
    ):
        assert abs(mpf(value) / wanted - 1) < margin or wanted < 1e-300


def test_shares_do_not_vanish_where_the_kernel_does():
    assert compiled_psp(1e5, 1.0, 2.0) == 0.0
    assert scaled_psp(1e5, 1e5, 1.0, 2.0) == pytest.approx(2.0)
    assert scaled_psp(1e5, 1e5, 2.0, 2.0) == 1e5


def test_the_peak_is_the_largest_value():
    for tau_mem, tau_syn in ((1.0, 1.0), (2.0, 1.0), (0.05, 1.0), (1.0, 1.0 + 1e-9)):
        peak = time_of_peak(tau_mem, tau_syn)
        around = psp_after(peak * np.array([0.999, 1.0, 1.001]), tau_mem, tau_syn)
        assert around.argmax() == 1


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_kernel_is_written_nowhere_else(module):
    """A difference of two exponentials over a difference of rates, or ``expm1``: see ``psp``."""
    if module in ("hxloop.engine.psp", "hxloop.engine.compiled.psp"):
        return
    called = [
        ast.unparse(node.func).rpartition(".")[2]
        for node in ast.walk(ast.parse(source_of(module)))
        if isinstance(node, ast.Call)
    ]
    # Distances of smoothed spikes, a simulator's time constant and the current of spikes without
    # end, which are no potentials; and the membrane that judges engines and backends alike, which
    # takes nothing from either.
    allowed = (
        "hxloop.analysis.measures.separability",
        "hxloop.backends.pynn.neuron",
        "hxloop.backends.pynn.train_spacing",
        "hxloop.conformance.train_membrane",
    )
    assert "expm1" not in called or module in allowed


# --- credit lost in pathways: 0 x inf -----------------------------------------------------


def test_an_early_spike_beside_a_late_one_costs_no_credit():
    """The membrane forgets a spike 50 before; the synapse (tau 1) has exp(-50) of it left."""
    credit, lost = pathways_from_runs([[[0.0, 49.0]], [[50.0]]], [np.ones((2, 1))], [(0.05, 1.0)])
    early, late = exact(50.0, 0.05, 1.0), exact(1.0, 0.05, 1.0)
    assert lost.tolist() == [0.0]
    np.testing.assert_allclose(credit[0][0], [float(early / (early + late)), 1.0], rtol=1e-6)


def test_the_only_cause_has_all_the_credit_as_long_as_anything_of_it_is_left():
    for cause, effect, taus in (
        (0.0, 700.0, (1.0, 1.0)),
        (0.0, 700.0, (0.05, 1.0)),
        (0.0, 700.0, (1.0, 0.05)),
        (1.0, float(np.nextafter(1.0, 2.0)), (1.0, 2.0)),
        (1.0, float(np.nextafter(1.0, 2.0)), (1.0, 1.0)),
    ):
        credit, lost = pathways_from_runs([[[cause]], [[effect]]], [np.ones((1, 1))], [taus])
        assert credit[0].tolist() == [[1.0]] and lost.tolist() == [0.0]
    # exp(-5000): that spike has no excitatory cause.
    credit, lost = pathways_from_runs([[[0.0]], [[5000.0]]], [np.ones((1, 1))])
    assert credit[0].tolist() == [[0.0]] and lost.tolist() == [1.0]


# Gaps of a few last digits are among them; gaps of 1e-300 are of no interest.
FINITE = st.floats(0.0, 400.0) | st.floats(0.0, 3.0)
TIMES = FINITE.map(lambda t: round(t, 13)) | st.just(np.inf)


@settings(deadline=None, max_examples=50)
@given(
    pre=arrays(np.float64, 4, elements=TIMES),
    post=arrays(np.float64, 3, elements=TIMES),
    weights=arrays(np.float64, (4, 3), elements=st.floats(-1.0, 1.0, width=16)),
    taus=st.tuples(CONSTANTS, CONSTANTS),
)
def test_shares_are_those_of_sixty_digits(pre, post, weights, taus):
    output = np.where(np.isfinite(post).any(), post.min() + 1.0, np.inf)
    layers = [pre[None], post[None], np.array([[output]])]
    credit, lost = pathways_from_runs(layers, [weights, np.ones((3, 1))], [taus, (1.0, 1.0)])
    wanted, gone = np.zeros(4), 1.0 if np.isinf(output) else 0.0
    for j in range(3):
        kernel = [exact(float(post[j] - t), *taus) if t < post[j] < np.inf else 0 for t in pre]
        assume(not any(0 < k < 1e-300 for k in kernel))
        drive = [mpf(max(w, 0.0)) * k for k, w in zip(kernel, weights[:, j], strict=True)]
        total, own = mp.fsum(drive), float(credit[1][0, j])
        if total == 0:
            gone += own
        else:
            wanted += [own * float(d / total) for d in drive]
    np.testing.assert_allclose(credit[0][0], wanted, atol=2e-6)
    assert lost[0] == pytest.approx(gone, abs=2e-6)
