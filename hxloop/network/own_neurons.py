"""Parameters that the neurons of a population have each for itself, instead of the nominal ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.errors import HxloopError
from hxloop.network.neuron import NeuronSpec, Population
from hxloop.network.parameters import NeuronParameters
from hxloop.network.spec import NetworkSpec

Array = NDArray[Any]
# Name of a population -> name of a parameter -> ``(neurons,)``.
OwnNeurons = Mapping[str, Mapping[str, Array]]
# Which there are: fields of ``NeuronSpec``.
OWN = ("tau_mem", "tau_syn", "v_threshold", "v_reset")
# Of these, what a neuron that never spikes has no use for.
OF_SPIKES = ("v_threshold", "v_reset")


def checked_own(
    network: NetworkSpec, values: OwnNeurons, where: str, error: type[HxloopError]
) -> dict[str, dict[str, Array]]:
    """Own parameters that fit a network, float64, in the order of its populations and of ``OWN``.

    Raises:
        error: an unknown population or parameter, another shape, no numbers or not finite, a time
            constant that is not positive, a threshold or reset of a read-out, or a leak or reset
            that is not below its threshold.
    """
    known = {each.name: each for each in network.populations}
    for name in values:
        if name not in known:
            raise error(f"{where}: expected populations among {', '.join(known)}; got {name!r}")
    found = {
        name: _of_population(f"{where}[{name!r}]", population, values[name], error)
        for name, population in known.items()
        if values.get(name)
    }
    return {name: own for name, own in found.items() if own}


def _of_population(
    where: str, population: Population, values: Mapping[str, Array], error: type[HxloopError]
) -> dict[str, Array]:
    silent = population.neuron.never_spikes
    allowed = [name for name in OWN if not (silent and name in OF_SPIKES)]
    for name in values:
        if name not in allowed:
            why = " of a read-out, which never spikes" if silent and name in OWN else ""
            raise error(
                f"{where}: expected parameters{why} among {', '.join(allowed)}; got {name!r}"
            )
    shape = (population.n_neurons,)
    own = {
        name: checks.real_array(
            f"{where}[{name!r}]", values[name], shape=shape, finite=True, error=error
        )
        for name in allowed
        if name in values
    }
    for name, array in own.items():
        if name.startswith("tau") and not (array > 0).all():
            neuron = int(np.argmin(array))
            raise error(
                f"{where}[{name!r}]: expected positive time constants (model time, in units of "
                f"tau_syn); got {array[neuron]:g} at neuron {neuron}"
            )
    nominal = population.neuron
    thresholds = own.get("v_threshold", np.full(shape, nominal.v_threshold))
    for name in ("v_leak", "v_reset"):
        below = own.get(name, np.full(shape, getattr(nominal, name)))
        if not (below < thresholds).all():
            neuron = int(np.argmin(below < thresholds))
            raise error(
                f"{where}: expected {name} below v_threshold for every neuron, as of nominal ones; "
                f"got {below[neuron]:g} and {thresholds[neuron]:g} at neuron {neuron}"
            )
    return own


def each_neuron(population: Population, own: OwnNeurons) -> tuple[NeuronSpec, ...]:
    """The neurons of a population one by one, nominal but for what they have of their own.

    Args:
        population: which.
        own: of a network, checked, see ``checked_own``. All the same where it has none.
    """
    given, nominal = own.get(population.name, {}), population.neuron
    if not given:
        return (nominal,) * population.n_neurons
    return tuple(
        replace(nominal, **{name: float(values[k]) for name, values in given.items()})
        for k in range(population.n_neurons)
    )


def neurons_with(network: NetworkSpec, own: OwnNeurons) -> tuple[NeuronParameters, ...]:
    """The neurons of each population, nominal but for what they have of their own.

    Args:
        network: any network.
        own: checked, see ``checked_own``; the time constant of a synapse is that of both signs.
    """
    found = []
    for population in network.populations:
        neurons = NeuronParameters.uniform(population.neuron, population.n_neurons)
        given = dict(own.get(population.name, {}))
        if "tau_syn" in given:
            given["tau_syn_exc"] = given["tau_syn_inh"] = given.pop("tau_syn")
        found.append(replace(neurons, **given) if given else neurons)
    return tuple(found)
