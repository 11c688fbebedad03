"""Work on the samples of a batch, shared by threads, and what a fork leaves of them.

A batch is cut into as many parts as torch has threads (``torch.set_num_threads``), which decides
on the last digits of sums. The parts are worked on by no more threads than there are processors
that this process may use: torch counts those of the machine, whatever a container allows.

A forked child inherits
torch's record of its OpenMP threads but not the threads: the first parallel loop of torch (the
fused Adam, a large sum) would wait for them for ever. So a child computes in its one thread. A
batch is cut into the parts the parent would have cut it into, so that sums over the parts, and
with them every number, stay what they are.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

import torch

from hxloop.machine import usable_cores

# Handing work to a thread costs some 20 us: the time of so many pairs of inputs and neurons.
PAIRS_PER_THREAD = 100_000

# Of a process that was forked: the number of parts its parent would have made.
_inherited: list[int] = []


def samples_of_parts(batch: int, pairs: int) -> list[slice]:
    """Which samples each part of a batch has.

    Args:
        batch: number of samples.
        pairs: work of a sample, in pairs of an input and a neuron.
    """
    useful = 1 + batch * pairs // PAIRS_PER_THREAD
    parts = max(1, min(_most_parts(), batch, useful))
    return [slice(*ends) for ends in pairwise(batch * i // parts for i in range(parts + 1))]


def run_parts(parts: list[slice], part: Callable[[slice], None]) -> None:
    """Do all parts, shared by threads, of which this is one; in a forked child one by one."""
    threads = 1 if _single_threaded() else min(len(parts), _most_threads(os.getpid()))

    def share(first: int) -> None:
        for chosen in parts[first::threads]:
            part(chosen)

    others = [_pool(os.getpid()).submit(share, first) for first in range(1, threads)]
    share(0)
    for other in others:
        other.result()


@contextmanager
def in_threads(number: int) -> Iterator[None]:
    """Compute with so many threads of torch, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _single_threaded() -> bool:
    """Whether this is a forked child in which nobody has asked for threads since."""
    return bool(_inherited) and torch.get_num_threads() == 1


def _most_parts() -> int:
    return _inherited[0] if _single_threaded() else torch.get_num_threads()


def _after_fork() -> None:
    _inherited[:] = [_most_parts()]
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
    os.register_at_fork(after_in_child=_after_fork)


@cache
def _most_threads(process: int) -> int:
    # Looked up once in each process: the limits of a container are files.
    return usable_cores()


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    # One for each process: after a fork the threads of the parent are not there.
    return ThreadPoolExecutor(_most_threads(process) - 1, thread_name_prefix="hxloop")
