"""Which neurons of each layer carry a class: excitatory pathways, traced back from the output.

A pathway is a distribution of credit over the neurons of a layer. The output neuron of a class
holds all the credit; going down, every neuron hands its credit on to the neurons that drive
it, in proportion to what they contribute, counting excitatory weights only. Credit is
conserved, so that pathways of different layers can be compared, and neurons without an
excitatory effect on the output get none. "Drive" is read in two ways:

- from weights alone: the contribution of i to j is ``max(w_ij, 0)``;
- from a run: ``max(w_ij, 0) k(T_j - t_i)`` for ``t_i < T_j``, the part of i in the membrane
  potential of j at its spike (``k`` as in ``hxloop.network``), traced back from the output
  neuron that was decided for. What inhibition prevented is not seen by this.

Two pathways p and q overlap by ``sum_i min(p_i, q_i)``: 1 = the same, 0 = no neuron in common
(1 - their total variation distance). **Distinctness** of a layer is 1 - the mean overlap of
all pairs of classes.

Two things make distinctness grow with depth by construction: credit spreads out while it is
traced down, and the output layer is distinct by definition. It means something only beside the
untrained network and the null models.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.analysis.measures.decisions import checked_times, decision_times
from hxloop.errors import RunInputError
from hxloop.machine import usable_cores

Array = NDArray[np.float64]
# Samples of one piece of work of a thread.
_BLOCK = 250


def pathways_from_weights(weights: Sequence[ArrayLike]) -> list[Array]:
    """Pathways of every output neuron, from weights alone.

    Args:
        weights: ``(pre, post)`` of every layer, from input to output.

    Returns:
        For the input and every hidden layer ``(outputs, neurons)``: credit, rows of sum 1, or
        less where some neuron on the way has no excitatory input.

    Raises:
        RunInputError: matrices that do not fit together, NaN.
    """
    matrices = _checked_weights(weights)
    credit = np.eye(matrices[-1].shape[1])
    result: list[Array] = []
    for matrix in reversed(matrices):
        positive = np.maximum(matrix, 0.0)
        total = positive.sum(axis=0)
        shares = np.divide(positive, total, out=np.zeros_like(positive), where=total > 0)
        credit = credit @ shares.T
        result.insert(0, credit)
    return result


def pathways_from_runs(
    layers: Sequence[ArrayLike],
    weights: Sequence[ArrayLike],
    taus: Sequence[tuple[float, float]] | None = None,
    threads: int | None = None,
    winners: ArrayLike | None = None,
) -> tuple[list[NDArray[np.float32]], Array]:
    """Credit of every neuron for the decision, in every sample.

    Needs no array of samples x pre x post: memory is that of the result, time
    ``samples x pre x post`` multiplications at most (spikes without credit are skipped).

    Args:
        layers: spike times ``(samples, neurons)`` from input to output.
        weights: ``(pre, post)`` of every layer.
        taus: (tau_mem, tau_syn) of every layer; None = (1, 1).
        threads: how many to use; None = one a processor.
        winners: ``(samples,)``, output neuron decided for, negative = none; None = the earliest,
            which is the rule of time-to-first-spike coding only.

    Returns:
        For the input and every hidden layer ``(samples, neurons)``: credit, rows of sum 1 less
        what got lost; and ``(samples,)`` how much that is (a spike without an excitatory cause:
        noise, or recorded on another substrate). A sample without a decision, or whose winner is
        silent: all 0, lost 1.

    Raises:
        RunInputError: shapes that do not fit together, NaN, time constants not positive, winners
            that are no output neurons.
    """
    from hxloop.analysis.measures.pathway_kernels import trace_layer

    matrices = _checked_weights(weights)
    times = [checked_times(layer) for layer in layers]
    sizes = [matrices[0].shape[0], *(matrix.shape[1] for matrix in matrices)]
    if [layer.shape[1] for layer in times] != sizes or len({len(layer) for layer in times}) != 1:
        raise RunInputError(
            f"layers: expected {len(sizes)} arrays (samples, neurons) with {sizes} neurons, as "
            f"the weights have them; got the shapes {[layer.shape for layer in times]}"
        )
    constants = (
        [(1.0, 1.0)] * len(matrices) if taus is None else [(float(m), float(s)) for m, s in taus]
    )
    if len(constants) != len(matrices) or not all(m > 0 and s > 0 for m, s in constants):
        raise RunInputError(
            f"taus: expected {len(matrices)} pairs of positive time constants; got {constants}"
        )
    samples = len(times[0])
    first = times[-1].argmin(axis=1)
    won = first if winners is None else np.asarray(winners)
    decided = np.isfinite(decision_times(times[-1], won))
    positive = [np.ascontiguousarray(np.maximum(matrix, 0.0).T) for matrix in matrices]
    result = [np.zeros((samples, size), dtype=np.float32) for size in sizes[:-1]]
    lost = np.ones(samples)

    def trace(start: int) -> None:
        part = slice(start, start + _BLOCK)
        output = np.ascontiguousarray(times[-1][part])
        credit = np.zeros(output.shape)
        known = np.flatnonzero(decided[part])
        credit[known, won[part][known]] = 1.0
        lost[part] = np.where(decided[part], 0.0, 1.0)
        post = output
        for index in reversed(range(len(matrices))):
            pre = np.ascontiguousarray(times[index][part])
            handed, gone = np.empty(pre.shape), np.empty(len(pre))
            trace_layer(pre, post, positive[index], credit, *constants[index], handed, gone)
            result[index][part] = handed
            lost[part] += gone
            credit, post = handed, pre

    starts = range(0, samples, _BLOCK)
    if starts:
        trace(0)  # compiles in one thread
    with ThreadPoolExecutor(threads or usable_cores()) as pool:
        list(pool.map(trace, starts[1:]))
    return result, lost


def class_pathways(credit: ArrayLike, winners: ArrayLike, n_classes: int) -> Array:
    """Mean credit over the samples that each output neuron won.

    Args:
        credit: ``(samples, neurons)``.
        winners: ``(samples,)``, the output neuron that won; negative = none.
        n_classes: how many output neurons.

    Returns:
        ``(n_classes, neurons)``; NaN for a class that never won.
    """
    table, won = np.asarray(credit), np.asarray(winners)
    result = np.full((n_classes, table.shape[1]), np.nan)
    for label in range(n_classes):
        members = won == label
        if members.any():
            result[label] = table[members].mean(axis=0, dtype=np.float64)
    return result


def pathway_overlap(pathways: ArrayLike) -> Array:
    """Overlap ``sum_i min(p_i, q_i)`` of every two pathways, each normalised to sum 1.

    Args:
        pathways: ``(..., classes, neurons)``, non-negative; rows of NaN or 0 are undefined.

    Returns:
        ``(..., pairs)`` in the order of ``itertools.combinations``; NaN for undefined ones.
    """
    table = np.asarray(pathways, dtype=np.float64)
    total = table.sum(axis=-1, keepdims=True)
    table = np.divide(table, total, out=np.full_like(table, np.nan), where=total > 0)
    pairs = list(combinations(range(table.shape[-2]), 2))
    result = np.empty((*table.shape[:-2], len(pairs)))
    for column, (a, b) in enumerate(pairs):
        result[..., column] = np.minimum(table[..., a, :], table[..., b, :]).sum(axis=-1)
    return result


def distinctness(pathways: ArrayLike) -> Array:
    """1 - mean overlap of all pairs of pathways that are defined; see ``pathway_overlap``.

    Returns:
        ``(...)`` from 0 (all the same) to 1 (no neuron in common); NaN with fewer than two.
    """
    overlap = pathway_overlap(pathways)
    known = ~np.isnan(overlap)
    count = known.sum(axis=-1)
    total = np.where(known, overlap, 0.0).sum(axis=-1)
    return np.where(count > 0, 1 - total / np.maximum(count, 1), np.nan)


def resampled_pathways(
    credit: ArrayLike, winners: ArrayLike, counts: ArrayLike, n_classes: int
) -> Array:
    """Class pathways of bootstrap resamples; see ``statistics.resampling_weights``.

    Args:
        credit: ``(samples, neurons)``.
        winners: ``(samples,)``.
        counts: ``(resamples, samples)``, how often each sample occurs.
        n_classes: how many output neurons.

    Returns:
        ``(resamples, n_classes, neurons)``, sums of credit (not normalised).
    """
    table = np.asarray(credit, dtype=np.float32)
    weights, won = np.asarray(counts, dtype=np.float32), np.asarray(winners)
    result = np.zeros((len(weights), n_classes, table.shape[1]), dtype=np.float32)
    for label in range(n_classes):
        members = np.flatnonzero(won == label)
        result[:, label] = weights[:, members] @ table[members]
    return result.astype(np.float64)


def pathway_members(pathways: ArrayLike, fraction: float = 0.5) -> NDArray[np.bool_]:
    """The fewest neurons that hold a fraction of a pathway's credit.

    Args:
        pathways: ``(..., neurons)``.
        fraction: between 0 and 1.

    Returns:
        ``(..., neurons)`` mask; empty where there is no credit.
    """
    table = np.nan_to_num(np.asarray(pathways, dtype=np.float64), nan=0.0)
    order = np.argsort(-table, axis=-1, kind="stable")
    ordered = np.take_along_axis(table, order, -1)
    before = np.cumsum(ordered, axis=-1) - ordered
    chosen = (before < fraction * ordered.sum(-1, keepdims=True) * (1 - 1e-12)) & (ordered > 0)
    mask = np.zeros(table.shape, dtype=bool)
    np.put_along_axis(mask, order, chosen, -1)
    return mask


def _checked_weights(weights: Sequence[ArrayLike]) -> list[Array]:
    matrices = [np.asarray(matrix, dtype=np.float64) for matrix in weights]
    if not matrices:
        raise RunInputError("weights: expected a matrix (pre, post) for each layer; got none")
    for index, matrix in enumerate(matrices):
        if matrix.ndim != 2 or (index and matrix.shape[0] != matrices[index - 1].shape[1]):
            raise RunInputError(
                f"weights[{index}]: expected (pre, post) that continues the layer below; got the "
                f"shapes {[m.shape for m in matrices]}"
            )
        if not np.isfinite(matrix).all():
            pre, post = np.argwhere(~np.isfinite(matrix))[0]
            raise RunInputError(
                f"weights[{index}], from neuron {pre} to {post}: expected a finite number; got "
                f"{matrix[pre, post]}"
            )
    return matrices
