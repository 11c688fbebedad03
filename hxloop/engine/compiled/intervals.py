"""What a free neuron does from one arrival to the next, compiled; once for all neurons alike."""

from __future__ import annotations

import math

import numpy as np

from hxloop.engine.compiled.membrane import psp_of_decays
from hxloop.engine.compiled.spiking_neuron import EXC, INH, MEM, ONE
from hxloop.machine.jit import njit

# Columns of a table of intervals: what is left of the membrane and of each current, and what each
# current adds to the membrane. Row k is of the interval that ends with arrival k.
OF_MEM, OF_EXC, OF_INH, BY_EXC, BY_INH = range(5)


@njit(cache=True, nogil=True)
def alike(neurons):  # type: ignore[no-untyped-def]
    """Whether all time constants of a kind are equal."""
    for j in range(1, len(neurons)):
        for k in (MEM, EXC, INH):
            if neurons[j, k] != neurons[0, k]:
                return False
    return True


@njit(cache=True, nogil=True)
def passing(length, neuron):  # type: ignore[no-untyped-def]
    """The columns of an interval of a length."""
    mem, exc, inh = neuron[MEM], neuron[EXC], neuron[INH]
    of_mem = math.exp(-length / mem)
    of_exc, by_exc = of_mem, length * of_mem
    if exc != mem:
        of_exc = math.exp(-length / exc)
        by_exc = psp_of_decays(length, of_mem, of_exc, mem, exc)
    if neuron[ONE] == 1.0:
        return of_mem, of_exc, of_exc, by_exc, by_exc
    of_inh = math.exp(-length / inh)
    return of_mem, of_exc, of_inh, by_exc, psp_of_decays(length, of_mem, of_inh, mem, inh)


@njit(cache=True, nogil=True)
def fill(table, arrival, n, until, neuron):  # type: ignore[no-untyped-def]
    """Of the intervals up to a time: the first starts at 0, the last ends with it."""
    start = 0.0
    for k in range(n + 1):
        end = min(arrival[k], until) if k < n else until
        columns = passing(end - start, neuron)
        for column in range(5):
            table[k, column] = columns[column]
        if end >= until:
            break
        start = end


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
