"""What a free neuron does from one arrival to the next, compiled; once for all neurons alike."""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.membrane import psp_of_rates, rates
from hxloop.engine.compiled.spiking_neuron import EXC, INH, MEM, ONE
from hxloop.engine.compiled.vectors import EXACT_MATH, decay, widest_vectors
from hxloop.machine.jit import njit

# Rows of a table of intervals: what is left of the membrane and of each current, and what each
# current adds to the membrane. Column k is of the interval that ends with arrival k.
OF_MEM, OF_EXC, OF_INH, BY_EXC, BY_INH = range(5)


@njit(cache=True, nogil=True)
def alike(neurons):  # type: ignore[no-untyped-def]
    """Whether all time constants of a kind are equal."""
    for j in range(1, len(neurons)):
        for k in (MEM, EXC, INH):
            if neurons[j, k] != neurons[0, k]:
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def decays(length, per_mem, per_syn, rate, per_rate):  # type: ignore[no-untyped-def]
    """What is left of membrane and current after a length, and what the current adds to the
    membrane; ``per_mem, per_syn`` are the inverse time constants, the others their ``rates``."""
    of_mem, of_syn = decay(-length * per_mem), decay(-length * per_syn)
    return of_mem, of_syn, psp_of_rates(length, of_mem, of_syn, rate, per_rate)


@njit(cache=True, nogil=True, error_model="numpy")
def passing(length, neuron):  # type: ignore[no-untyped-def]
    """The entries of an interval of a length."""
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    rate, per_rate = rates(mem, exc)
    of_mem, of_exc, by_exc = decays(length, 1.0 / mem, 1.0 / exc, rate, per_rate)
    if neuron[ONE] == 1.0:
        return of_mem, of_exc, of_exc, by_exc, by_exc
    rate, per_rate = rates(mem, inh)
    _, of_inh, by_inh = decays(length, 1.0 / mem, 1.0 / inh, rate, per_rate)
    return of_mem, of_exc, of_inh, by_exc, by_inh


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def fill(table, arrival, n, until, neuron):  # type: ignore[no-untyped-def]
    """Of the intervals up to a time: the first starts at 0, the last ends with it.

    Args: ``table (5, n + 1)``, written to; ``arrival``, of which n count; ``until``, ``inf``:
    the last interval is left out.
    """
    widest_vectors()
    length = np.empty(n + 1)
    start, used = 0.0, 0
    for k in range(n + 1):
        end = min(arrival[k], until) if k < n else until
        if start >= until or end == math.inf:
            break
        length[k], start, used = end - start, end, k + 1
    for kind in (EXC, INH):
        of, by = (OF_EXC, BY_EXC) if kind == EXC else (OF_INH, BY_INH)
        if kind == INH and neuron[ONE] == 1.0:
            table[of, :used], table[by, :used] = table[OF_EXC, :used], table[BY_EXC, :used]
            break
        per_mem, per_syn = 1.0 / neuron[MEM], 1.0 / neuron[kind]
        rate, per_rate = rates(neuron[MEM], neuron[kind])
        of_mem, of_syn, by_syn = table[OF_MEM], table[of], table[by]
        for k in range(used):
            of_mem[k], of_syn[k], by_syn[k] = decays(length[k], per_mem, per_syn, rate, per_rate)


@njit(cache=True, nogil=True)
def own_arrivals(base, rows, extra, j, arrival, row):  # type: ignore[no-untyped-def]
    """Where delays differ between neurons: ``arrival, row`` of one of them, sorted; the order."""
    late = np.empty(len(base))
    for k in range(len(base)):
        late[k] = base[k] + extra[rows[k], j]
    order = np.argsort(late, kind="mergesort")
    for k in range(len(base)):
        arrival[k], row[k] = late[order[k]], rows[order[k]]
    return order
