"""Time constants, thresholds and resets that are trained: which, their gradients, their bounds.

A key says which: "memory/tau_mem", parameter of a population (torch allows no dot in it). What is
trained starts from the nominal values unless ``Parameters`` say others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hxloop import checks
from hxloop.checks.random_streams import entropy
from hxloop.engine.spike_gradient import SpikeGradients
from hxloop.errors import ConfigError, HxloopError
from hxloop.network import NetworkSpec, Parameters, Population
from hxloop.network.own_neurons import OF_SPIKES, OWN, OwnNeurons, checked_own
from hxloop.network.values import NEURONS

Array = NDArray[np.float64]
# The shortest time constant that training leads to (model time), or the nominal one where that is
# shorter; below, spikes of one volley no longer add up.
SHORTEST_TAU = 0.05
# How far thresholds stay above leak and reset, of the nominal distance from leak to threshold.
MARGIN = 0.05
# Stream of the training seed that parameters of neurons are drawn from; see ``training.inputs``.
_NEURONS = 5


def key_of(population: str, name: str) -> str:
    """Under which a parameter of a population is kept."""
    return f"{population}/{name}"


def parts_of(key: str) -> tuple[str, str]:
    """Population and name of a key."""
    population, _, name = key.partition("/")
    return population, name


def name_of(key: str) -> str:
    """Its name in files, that of ``Parameters.named``."""
    return ".".join((NEURONS, *parts_of(key)))


def chosen_keys(
    network: NetworkSpec,
    names: Sequence[str],
    where: str,
    error: type[HxloopError] = ConfigError,
) -> tuple[str, ...]:
    """Keys of what is to be trained, in the order of the populations and of ``OWN``.

    Args:
        network: whose neurons.
        names: "tau_mem": of all populations for which it matters; "memory/tau_mem": of that one.
        where: begins messages.
        error: what is raised.

    Raises:
        error: no such name, or one that matters for no neuron it names: a threshold of a read-out,
            a reset of neurons that spike once.
    """
    possible = [
        key_of(population.name, name)
        for population in network.populations
        for name in OWN
        if _matters(population, name)
    ]
    chosen: set[str] = set()
    for given in checks.names(where, names, error=error):
        found = [key for key in possible if given in (key, parts_of(key)[1])]
        if not found:
            known = dict.fromkeys(parts_of(key)[1] for key in possible)
            raise error(
                f"{where}: expected names among {', '.join(known)} (of all populations that have a "
                f"use for it), or one of a population as in {possible[0]!r}; got {given!r}"
            )
        chosen |= set(found)
    return tuple(key for key in possible if key in chosen)


def _matters(population: Population, name: str) -> bool:
    if population.neuron.never_spikes and name in OF_SPIKES:
        return False
    return name != "v_reset" or not population.neuron.spikes_once


def drawn_neurons(
    network: NetworkSpec, spans: Mapping[str, tuple[float, float]], seed: int
) -> OwnNeurons:
    """What neurons have each for itself, drawn evenly.

    Args:
        network: whose neurons.
        spans: lowest and highest value, model units, by name as for ``chosen_keys``; of a name and
            that name of one population the latter counts for the population.
        seed: of the draw; a span more or less changes nothing of what others draw.

    Raises:
        ConfigError: an unknown name, a span that is the wrong way round, or one with values that
            no neuron may have, see ``Parameters.of``.
    """
    where = "initialisation.neurons"
    chosen: dict[str, tuple[float, float]] = {}
    # Those of one population last.
    for given in sorted(spans, key=lambda name: "/" in name):
        low, high = checks.numbers(f"{where}: {given}", spans[given])
        if low > high:
            raise ConfigError(
                f"{where}: {given}: expected [lowest, highest]; got [{low:g}, {high:g}]"
            )
        chosen |= dict.fromkeys(chosen_keys(network, [given], where), (low, high))
    place = {population.name: i for i, population in enumerate(network.populations)}
    values = []
    for key, span in chosen.items():
        population, name = parts_of(key)
        index = place[population]
        rng = np.random.default_rng(entropy(seed, _NEURONS, index, OWN.index(name)))
        values.append((key, rng.uniform(*span, network.populations[index].n_neurons)))
    return checked_own(network, by_population(values), where, ConfigError)


def trained_neurons(
    network: NetworkSpec, given: Parameters, keys: Sequence[str]
) -> nn.ParameterDict:
    """What neurons have of their own, by key; with ``requires_grad`` what is to be trained."""
    found = nn.ParameterDict()
    for population in network.populations:
        own = given.neurons.get(population.name, {})
        for name in OWN:
            key = key_of(population.name, name)
            if name in own or key in keys:
                nominal = np.full(population.n_neurons, getattr(population.neuron, name))
                values = torch.tensor(own.get(name, nominal), dtype=torch.float64)
                found[key] = nn.Parameter(values, requires_grad=key in keys)
    return found


def by_population(neurons: Iterable[tuple[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same in the form of ``Parameters.neurons``."""
    found: dict[str, dict[str, Any]] = {}
    for key, values in neurons:
        population, name = parts_of(key)
        found.setdefault(population, {})[name] = values
    return found


def has_time_constants(keys: Iterable[str]) -> bool:
    """Whether some of them are time constants, whose gradients are computed on demand."""
    return any(parts_of(key)[1].startswith("tau") for key in keys)


def gradients_of(
    network: NetworkSpec, found: SpikeGradients, keys: Sequence[str]
) -> tuple[Tensor, ...]:
    """The gradients ``(neurons,)`` of some keys among those of all spikes."""
    place = {population.name: i for i, population in enumerate(network.populations)}
    result = []
    for key in keys:
        population, name = parts_of(key)
        i = place[population]
        if name in OF_SPIKES:
            values = found.thresholds[i] if name == "v_threshold" else found.resets[i]
        else:
            values = of_time_constant(found.time_constants[i], name)
        result.append(torch.from_numpy(np.array(values)))
    return tuple(result)


def of_time_constant(columns: Array, name: str) -> Array:
    """One of ``SpikeGradients.time_constants``; both currents decay alike, so the third is 0."""
    return columns[:, 0] if name == "tau_mem" else columns[:, 1]


@torch.no_grad()
def enforce_neurons(network: NetworkSpec, neurons: Mapping[str, Tensor]) -> int:
    """Set what training led out of its bounds back to them; see ``LoopNetwork.enforce_neurons``."""
    return sum(
        _enforced(population, neurons)
        for population in network.populations
        if any(parts_of(key)[0] == population.name for key in neurons)
    )


def _enforced(population: Population, neurons: Mapping[str, Tensor]) -> int:
    nominal, changed = population.neuron, 0
    own = {n: neurons[k] for n in OWN if (k := key_of(population.name, n)) in neurons}

    def clamp(name: str, **bounds: Tensor) -> int:
        values = own[name]
        if not values.requires_grad:
            return 0
        bounded = values.clamp(**bounds)
        beyond = int((bounded != values).sum())
        values.copy_(bounded)
        return beyond

    for name in own:
        if name not in OF_SPIKES:
            shortest = min(SHORTEST_TAU, getattr(nominal, name))
            changed += clamp(name, min=torch.full_like(own[name], shortest))
    if not own.keys() & set(OF_SPIKES):
        return changed
    gap = MARGIN * (nominal.v_threshold - nominal.v_leak)
    above_reset = min(gap, nominal.v_threshold - nominal.v_reset)
    like = next(iter(own.values()))
    reset = own.get("v_reset", torch.full_like(like, nominal.v_reset))
    if "v_threshold" in own:
        lowest = torch.full_like(like, nominal.v_leak + gap)
        if not reset.requires_grad:
            lowest = torch.maximum(lowest, reset + above_reset)
        changed += clamp("v_threshold", min=lowest)
    if "v_reset" in own:
        threshold = own.get("v_threshold", torch.full_like(like, nominal.v_threshold))
        changed += clamp("v_reset", max=threshold - above_reset)
    return changed


def spread_of(neurons: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Lowest, mean and highest value of what is trained, by key."""
    trained = {key: own.detach() for key, own in neurons.items() if own.requires_grad}
    return {
        key: [float(own.min()), float(own.mean()), float(own.max())] for key, own in trained.items()
    }
