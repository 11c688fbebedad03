"""What a Brian2 model is given for a run: checked, and in the arrays that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.brian2.model import NEVER, ModelShape
from hxloop.engine.psp import psp_after
from hxloop.errors import RunInputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LayerDynamics:
    """One layer in one run.

    Attributes:
        tau_mem, tau_syn_exc, tau_syn_inh: ``(post,)``, model time.
        threshold: ``(batch, post)``, distance from leak to threshold; ``inf`` = never fires,
            <= 0 = fires at time 0.
        jitter: ``(batch, post)``, added to each spike time before it is delivered; None: none.
    """

    tau_mem: Array
    tau_syn_exc: Array
    tau_syn_inh: Array
    threshold: Array
    jitter: Array | None = None


def check_task(
    shape: ModelShape,
    input_times: Array,
    weights: Sequence[Array],
    layers: Sequence[LayerDynamics],
) -> None:
    """Refuse what does not fit a model of this shape, of whatever batch.

    Raises:
        RunInputError: shapes that do not fit the network, NaN, or jitter that the model was not
            made for.
    """
    pairs = list(pairwise(shape.sizes))
    batch = input_times.shape[0]
    _expect("input_times", input_times, (batch, shape.sizes[0]))
    if len(weights) != len(pairs) or len(layers) != len(pairs):
        raise RunInputError(
            f"Brian2 solver: expected weights and dynamics of {len(pairs)} layers; got "
            f"{len(weights)} and {len(layers)}"
        )
    for index, ((pre, post), matrix, layer) in enumerate(zip(pairs, weights, layers, strict=True)):
        where = f"layer {index}: "
        _expect(where + "weights", matrix, (pre, post))
        for name in ("tau_mem", "tau_syn_exc", "tau_syn_inh"):
            _expect(where + name, getattr(layer, name), (post,))
        _expect(where + "threshold", layer.threshold, (batch, post))
        if layer.jitter is None:
            continue
        _expect(where + "jitter", layer.jitter, (batch, post))
        if not shape.jitter:
            raise RunInputError(f"{where}jitter given to a Brian2 solver made without")
        if shape.lag < shape.t_window and -layer.jitter.min(initial=0) > shape.lag:
            raise RunInputError(
                f"{where}jitter shifts a spike by {layer.jitter.min():g}; the Brian2 "
                f"solver was made for shifts down to {-shape.lag:g}"
            )


def _expect(where: str, values: Array, shape: tuple[int, ...]) -> None:
    if values.shape != shape:
        raise RunInputError(f"{where}: expected shape {shape}; got {values.shape}")
    if np.isnan(values).any():
        raise RunInputError(f"{where}: expected numbers; got NaN")


def constants(
    shape: ModelShape, weights: Sequence[Array], layers: Sequence[LayerDynamics]
) -> dict[str, Array]:
    """What is the same for every sample of a run, by the names of ``Brian2Model``."""
    data: dict[str, Array] = {}
    h = shape.dt
    for index, (matrix, layer) in enumerate(zip(weights, layers, strict=True)):
        tm, te, ti = layer.tau_mem, layer.tau_syn_exc, layer.tau_syn_inh
        per_neuron = {
            "em": np.exp(-h / tm),
            "ee": np.exp(-h / te),
            "ei": np.exp(-h / ti),
            "ke": psp_after(h, tm, te),
            "ki": psp_after(h, tm, ti),
            "rm": 1 / tm,
            "re": 1 / te,
            "ri": 1 / ti,
        }
        for name, values in per_neuron.items():
            data[f"layer{index}.{name}"] = np.tile(values, shape.batch)
        data[f"weights{index}.values"] = matrix
    return data


def of_samples(
    shape: ModelShape, part: slice, input_times: Array, layers: Sequence[LayerDynamics]
) -> dict[str, Array]:
    """What differs from sample to sample, padded to the batch of the model, by the same names."""
    times = np.full((shape.batch, shape.sizes[0]), NEVER)
    n = part.stop - part.start
    chunk = input_times[part]
    times[:n] = np.where(chunk <= shape.t_window, chunk, NEVER)
    data = {"inputs.t_in": times}
    for index, layer in enumerate(layers):
        threshold = np.full((shape.batch, shape.sizes[index + 1]), NEVER)
        chunk = layer.threshold[part]
        threshold[:n] = np.where(chunk <= 0, -NEVER, np.minimum(chunk, NEVER))
        data[f"layer{index}.th"] = threshold
        if shape.jitter:
            shift = np.zeros(threshold.shape)
            if layer.jitter is not None:
                shift[:n] = layer.jitter[part]
            data[f"layer{index}.shift"] = shift
    return data
