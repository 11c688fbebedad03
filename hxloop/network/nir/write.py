"""A network as a NIR graph (Neuromorphic Intermediate Representation)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hxloop.errors import MissingDependencyError, NetworkError
from hxloop.network.neuron import INPUT, Population
from hxloop.network.nir.convention import AS_WRITTEN, Convention
from hxloop.network.nir.exact import keep
from hxloop.network.parameters import NeuronParameters
from hxloop.network.spec import NetworkSpec
from hxloop.network.values import Parameters

if TYPE_CHECKING:
    import nir

Array = NDArray[Any]
METADATA = "hxloop"  # of the graph: what NIR has no words for, as JSON
FORMAT = 1
# For how many spikes of a channel the deep reset of neurons that spike once is deep enough.
_SPIKES_OF_A_CHANNEL = 1000
# Deeper than this single precision would not do.
_DEEPEST = 1e30


@dataclass(frozen=True)
class ToNir:
    """A graph, and what it could not say.

    Attributes:
        graph: a ``nir.NIRGraph``; ``nir.write`` makes a file of it.
        notes: what only hxloop will read in it, or other programs may do otherwise; sentences.
    """

    graph: nir.NIRGraph
    notes: tuple[str, ...]


def to_nir(
    network: NetworkSpec,
    parameters: Parameters | Sequence[Array],
    convention: Convention = AS_WRITTEN,
    *,
    configuration: str | None = None,
) -> ToNir:
    """A network with its weights, delays and neurons as a NIR graph.

    Populations are ``CubaLIF`` nodes (read-outs ``CubaLI``) under their names, projections
    ``Linear`` nodes with weights ``(post, pre)``, with a ``Delay`` before (axonal) or behind
    (dendritic) them. What NIR has no words for stands in the metadata, by which ``from_nir`` gives
    the same network to the bit. Neurons that spike once get a reset so low that they cannot come
    back within ``t_window``.

    Args:
        network: whose graph.
        parameters: weights, or ``Parameters`` with delays and neurons.
        convention: what numbers of the graph mean.
        configuration: TOML of what it was trained with, kept in the metadata.

    Raises:
        MissingDependencyError: the package nir is not installed.
        NetworkError: delays of single synapses, which NIR cannot say.
        RunInputError: parameters that do not fit the network.
    """
    nir = package()
    values = Parameters.of(network, parameters)
    told = _Told(network, convention)
    nodes: dict[str, Any] = {INPUT: nir.Input(np.array([network.n_inputs]))}
    layers = values.layers(network)
    for population, neurons in zip(network.populations, layers, strict=True):
        nodes[population.name] = _neurons(nir, told, population, neurons, values)
    out = _free("out", nodes)
    nodes[out] = nir.Output(np.array([network.n_outputs]))
    edges = [(network.populations[network.output_index].name, out)]
    for index, (_, post) in enumerate(network.ends):
        path = _projection(nir, told, nodes, values, index, layers[post])
        edges += list(pairwise(path))
    about = told.as_dict(configuration)
    graph = nir.NIRGraph(nodes, edges, metadata={METADATA: json.dumps(about)})
    return ToNir(graph, tuple(told.notes))


def package() -> Any:
    """The package nir.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        import nir
    except ImportError as error:
        raise MissingDependencyError(
            "NIR graphs are read and written with the package 'nir', which is not installed; try: "
            "pip install 'hxloop[nir]'"
        ) from error
    return nir


class _Told:
    """What the metadata have to say, gathered while nodes are made."""

    def __init__(self, network: NetworkSpec, convention: Convention) -> None:
        self.network, self.convention = network, convention
        self.populations: list[dict[str, Any]] = []
        self.projections: list[dict[str, Any]] = []
        self.notes: list[str] = []

    def as_dict(self, configuration: str | None) -> dict[str, Any]:
        made = self.convention
        return {
            "format": FORMAT,
            "spikes": made.spikes, "unit": made.unit, "dt": made.dt, "tau_syn_ms": made.tau_syn_ms,
            "t_window": self.network.t_window,
            "output": self.network.populations[self.network.output_index].name,
            "populations": self.populations,
            "projections": self.projections,
            "configuration": configuration,
        }  # fmt: skip


def _neurons(
    nir: Any, told: _Told, population: Population, neurons: NeuronParameters, values: Parameters
) -> Any:
    made, nominal = told.convention, population.neuron
    metadata: dict[str, Any] = {}

    def times(field: str, value: Array) -> Array:
        return keep(metadata, field, value, made.times, made.model_times)

    r, w_in = made.drive(neurons.tau_mem, neurons.tau_syn_exc)
    common = {
        "tau_syn": times("tau_syn", neurons.tau_syn_exc),
        "tau_mem": times("tau_mem", neurons.tau_mem),
        "r": r, "w_in": w_in, "v_leak": np.array(neurons.v_leak),
    }  # fmt: skip
    about: dict[str, Any] = {
        "name": population.name,
        "n_inhibitory": population.n_inhibitory,
        "neuron": {name: str(value) for name, value in vars(nominal).items()},
        "own": sorted(values.neurons.get(population.name, {})),
    }
    told.populations.append(about)
    if nominal.never_spikes:
        return nir.CubaLI(**common, metadata=metadata)
    v_reset = np.array(neurons.v_reset)
    if nominal.spikes_once:
        deep = _deep_reset(told.network, population, neurons, values)
        if deep is None:
            told.notes.append(
                f"{population.name}: neurons spike once, of which NIR knows nothing, and no reset "
                "is low enough to say it; other programs let them spike again"
            )
        else:
            metadata |= {"hxloop_v_reset": v_reset, "hxloop_deep_reset": deep}
            v_reset = np.full_like(v_reset, deep)
            told.notes.append(
                f"{population.name}: neurons spike once, said by v_reset = {deep:g}, from which "
                "they do not come back within t_window; programs that reset to 0 whatever the "
                "graph says (norse, snnTorch) let them spike again"
            )
    elif nominal.t_refractory > 0:
        told.notes.append(
            f"{population.name}: a refractory time of {nominal.t_refractory:g} tau_syn, of which "
            "NIR knows nothing; hxloop reads it in the metadata, other programs have none"
        )
    return nir.CubaLIF(
        **common, v_threshold=np.array(neurons.v_threshold), v_reset=v_reset, metadata=metadata
    )


def _drive(made: Convention, neurons: NeuronParameters) -> tuple[Array, Array, Array, Array]:
    """What turns weights of a graph into those of a network, see ``Convention.model_weights``."""
    tau_mem, tau_syn = neurons.tau_mem, neurons.tau_syn_exc
    return tau_mem, tau_syn, *made.drive(tau_mem, tau_syn)


def _deep_reset(
    network: NetworkSpec, population: Population, neurons: NeuronParameters, values: Parameters
) -> float | None:
    """A reset from which no neuron reaches its threshold before the window ends; None: too deep.

    What spikes add to a membrane is below ``w min(tau_mem, tau_syn)`` each, and a reset fades with
    ``exp(-t/tau_mem)``.
    """
    place = [each.name for each in network.populations].index(population.name)
    drive = np.zeros(population.n_neurons)
    for (_, post), matrix in zip(network.ends, values.weights, strict=True):
        if post == place:
            drive += np.maximum(matrix, 0.0).sum(axis=0)
    kernel = np.minimum(neurons.tau_mem, neurons.tau_syn_exc)
    reach = _SPIKES_OF_A_CHANNEL * drive * kernel + np.abs(neurons.v_threshold - neurons.v_leak)
    with np.errstate(over="ignore"):
        depth = float((reach * np.exp(network.t_window / neurons.tau_mem)).max()) + 1.0
    return None if depth > _DEEPEST else -float(2.0 ** np.ceil(np.log2(depth)))


def _projection(
    nir: Any, told: _Told, nodes: dict[str, Any], values: Parameters, index: int,
    neurons: NeuronParameters,
) -> list[str]:  # fmt: skip
    """Makes the nodes of a projection, and returns the path from one population to the other."""
    projection = told.network.all_projections[index]
    made = told.convention
    metadata: dict[str, Any] = {}
    post = _drive(made, neurons)
    weight = keep(
        metadata, "weight", values.weights[index].T,
        lambda w: made.weights(w, neurons.tau_mem), lambda w: made.model_weights(w, *post),
    )  # fmt: skip
    linear = _free(f"{projection.pre}_to_{projection.post}", nodes)
    nodes[linear] = nir.Linear(weight=weight, metadata=metadata)
    path = [projection.pre, linear, projection.post]
    delays = values.delays[index]
    if delays is not None:
        if projection.delays == "synaptic":
            raise NetworkError(
                f"projection {projection.name}: a delay for each synapse; NIR delays signals, not "
                "connections, and cannot say it; expected delays 'axonal', 'dendritic' or none"
            )
        behind = projection.delays == "dendritic"
        of_delay: dict[str, Any] = {}
        delay = keep(of_delay, "delay", delays, made.times, made.model_times)
        name = _free(f"{linear}_delay", nodes)
        nodes[name] = nir.Delay(delay=delay, metadata=of_delay)
        path.insert(2 if behind else 1, name)
    told.projections.append(
        {"pre": projection.pre, "post": projection.post, "node": linear,
         "delays": projection.delays, "min_delay": projection.min_delay}
    )  # fmt: skip
    return path


def _free(name: str, taken: dict[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
