"""The postsynaptic potential of a leaky integrate-and-fire neuron, without cancellation.

The one place where its formula stands: ``psp`` for tensors, ``psp_after`` for numpy, and
``hxloop.engine.compiled.psp`` for what is compiled, spike by spike.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor


def psp(s: Tensor, tau_mem: Tensor, tau_syn: Tensor) -> Tensor:
    """Membrane response ``k(s)`` to a unit input spike, ``s >= 0`` after it.

    ``k(s) = (exp(-s/tau_mem) - exp(-s/tau_syn)) / (1/tau_syn - 1/tau_mem)`` (Göltz et al.
    2021, eq. 2, with C = 1), written as ``s exp(-s/slow) (1 - exp(-x))/x`` with
    ``x = s (1/fast - 1/slow)``. That form is symmetric in the two time constants, loses no
    digits where they meet, and its exponentials never overflow.

    Args:
        s: finite times since the input spike; any shape.
        tau_mem: membrane time constants, broadcastable to ``s``.
        tau_syn: synaptic time constants, broadcastable to ``s``.

    Returns:
        ``k(s)``, of the broadcast shape.
    """
    slow = torch.maximum(tau_mem, tau_syn)
    fast = torch.minimum(tau_mem, tau_syn)
    return s * torch.exp(-s / slow) * one_minus_exp_ratio(s * (1 / fast - 1 / slow))


def psp_after(s: ArrayLike, tau_mem: ArrayLike, tau_syn: ArrayLike) -> NDArray[np.float64]:
    """``psp`` of numbers and arrays, which broadcast against each other, in float64."""
    arrays = (torch.from_numpy(np.array(v, dtype=np.float64)) for v in (s, tau_mem, tau_syn))
    return np.asarray(psp(*arrays).numpy())


def psp_derivative(s: Tensor, tau_mem: Tensor, tau_syn: Tensor) -> Tensor:
    """``dk/ds``, without cancellation but where it is 0.

    From the membrane equation it is ``exp(-s/tau_syn) - k(s)/tau_mem``. Where one time constant is
    more than twice the other, that difference would lose digits long after the input, and the
    derivative of the definition does not.
    """
    near = torch.exp(-s / tau_syn) - psp(s, tau_mem, tau_syn) / tau_mem
    mem, syn = 1 / tau_mem, 1 / tau_syn
    apart = torch.maximum(mem, syn) > 2 * torch.minimum(mem, syn)
    rate = torch.where(apart, syn - mem, torch.ones_like(syn - mem))
    far = (syn * torch.exp(-s * syn) - mem * torch.exp(-s * mem)) / rate
    return torch.where(apart, far, near)


def peak_of_psp(tau_mem: Tensor, tau_syn: Tensor) -> Tensor:
    """The largest value of ``k``, which it has at ``time_of_peak``."""
    return psp(_time_of_peak(tau_mem, tau_syn), tau_mem, tau_syn)


def peak_after(tau_mem: ArrayLike, tau_syn: ArrayLike) -> NDArray[np.float64]:
    """``peak_of_psp`` of numbers and arrays, in float64."""
    mem, syn = (torch.from_numpy(np.array(v, dtype=np.float64)) for v in (tau_mem, tau_syn))
    return np.asarray(peak_of_psp(mem, syn).numpy())


def time_of_peak(tau_mem: float, tau_syn: float) -> float:
    """When ``k`` is largest: ``s = log(tau_mem/tau_syn)/(1/tau_syn - 1/tau_mem)``."""
    mem, syn = (torch.tensor(float(tau), dtype=torch.float64) for tau in (tau_mem, tau_syn))
    return float(_time_of_peak(mem, syn))


def _time_of_peak(tau_mem: Tensor, tau_syn: Tensor) -> Tensor:
    return tau_syn * minus_log_ratio(1 - tau_syn / tau_mem)


def one_minus_exp_ratio(x: Tensor) -> Tensor:
    """``(1 - exp(-x))/x`` for ``x >= 0``, continued by 1 at 0."""
    safe = torch.where(x == 0, torch.ones_like(x), x)
    return torch.where(x == 0, torch.ones_like(x), -torch.expm1(-safe) / safe)


def minus_log_ratio(x: Tensor) -> Tensor:
    """``-log(1 - x)/x`` for ``x < 1``, continued by 1 at 0; ``inf`` for ``x >= 1``."""
    safe = torch.where((x == 0) | (x >= 1), torch.full_like(x, 0.5), x)
    ratio = torch.where(x == 0, torch.ones_like(x), -torch.log1p(-safe) / safe)
    return torch.where(x >= 1, torch.full_like(x, torch.inf), ratio)
