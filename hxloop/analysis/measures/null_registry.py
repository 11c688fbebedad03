"""Null models of spike times by name, those of other packages among them.

A null model is called with the causal spikes of one layer and says what they would be if one thing
were destroyed; the causal shorth of every layer is assessed against each. One of another package is
a function, or any callable, in the entry points ``hxloop.null_models``:

.. code-block:: toml

    [project.entry-points."hxloop.null_models"]
    my-null = "my_package.nulls:my_null"
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.analysis.measures import null_models
from hxloop.errors import ConfigError
from hxloop.registry import Registry

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Volleys:
    """The causal spikes of one layer, and what a null model may know beside them.

    Attributes:
        times: ``(samples, neurons)``, model time, ``inf`` = silent; not to be written to. Of
            neurons that spike again ``(samples, spikes)``, a column is no neuron then.
        start: ``(samples,)``, the first input spike.
        decided: ``(samples,)``, the decision; ``inf`` = none.
        is_input: whether the layer is the input.
        jitter: ``AnalysisOptions.jitter``, model time.
        labels: ``(samples,)``; None where there are none.
        once: whether every column is a neuron, which spikes at most once.
    """

    times: Array
    start: Array
    decided: Array
    is_input: bool
    jitter: float
    labels: NDArray[np.int64] | None = None
    once: bool = True


def uniform(volleys: Volleys, rng: np.random.Generator) -> Array:
    """As many spikes, spread evenly from the first input spike to the decision.

    Of the input the first spike stays, which is where that interval begins.
    """
    spikes = volleys.times
    even = null_models.uniform_times(spikes, volleys.start, volleys.decided, rng)
    if volleys.is_input:
        first = np.where(spikes == spikes.min(axis=1, keepdims=True), spikes, np.inf)
        rows, places = np.arange(len(first)), first.argmin(axis=1)
        even[rows, places] = spikes[rows, places]
    return even


def jittered(volleys: Volleys, rng: np.random.Generator) -> Array:
    """Every spike moved by a normal random time."""
    return null_models.jittered(volleys.times, volleys.jitter, rng)


def class_permuted(volleys: Volleys, rng: np.random.Generator) -> Array:
    """Every neuron's spikes permuted among the samples of a class.

    Not defined, and then silent, without labels and for neurons that spike again.
    """
    if volleys.labels is None or not volleys.once:
        return np.full(volleys.times.shape, np.inf)
    return null_models.class_permuted(volleys.times, volleys.labels, rng)


NULL_MODELS = {"uniform": uniform, "jittered": jittered, "class_permuted": class_permuted}
# Those of the first version draw from one stream, which results from before rest on.
SHARING_CHANCE = ("uniform", "jittered")
REGISTRY = Registry("null model", "hxloop.null_models", NULL_MODELS)


def null_model_names() -> tuple[str, ...]:
    """Names of all null models of spike times: ours in their order, then those of others."""
    return (*NULL_MODELS, *sorted(REGISTRY.others()))


def draw_null(name: str, volleys: Volleys, rng: np.random.Generator) -> Array:
    """Spike times under a null model, ``(samples, neurons)``.

    Args:
        name: of ``null_model_names()``.
        volleys: what was recorded.
        rng: of all chance.

    Raises:
        UnknownNameError: there is no such null model; the message lists the known ones.
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: it cannot be called, or what it returned are no such spike times.
    """
    model: Any = REGISTRY.get(name)
    if not callable(model):
        raise ConfigError(
            f"null model {name!r}: expected a function of (Volleys, numpy Generator); its package "
            f"registers {model!r}"
        )
    found = np.asarray(model(volleys, rng))
    if found.shape != volleys.times.shape or found.dtype.kind != "f" or np.isnan(found).any():
        raise ConfigError(
            f"null model {name!r}: expected spike times {volleys.times.shape} without NaN, inf for "
            f"silent neurons; got {found.dtype} {found.shape}"
        )
    return found.astype(np.float64)
