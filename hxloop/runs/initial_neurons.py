"""What a configuration asks of single neurons: trained, or each with parameters of its own."""

from __future__ import annotations

from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec
from hxloop.network.own_neurons import OwnNeurons
from hxloop.runs.config import ExperimentConfig
from hxloop.substrate import Capabilities
from hxloop.substrate.checks import check_takes_neurons
from hxloop.training.own_neurons import chosen_keys, drawn_neurons


def initial_neurons(
    config: ExperimentConfig, network: NetworkSpec, capabilities: Capabilities
) -> OwnNeurons:
    """What neurons have each for itself at first, of a substrate that takes it.

    Args:
        config: the configuration.
        network: its network.
        capabilities: of its backend.

    Raises:
        ConfigError: names or spans that make no sense, see ``drawn_neurons``, or neurons to be
            drawn where all begins with what another run ended with.
        CapacityError: the backend takes none.
    """
    start, where = config.initialisation, "training.train_neurons"
    own = chosen_keys(network, config.training.train_neurons, where)
    check_takes_neurons(own, capabilities, where)
    if start.neurons and start.method == "from-run":
        raise ConfigError(
            "initialisation.neurons: 'from-run' begins with the neurons of that run; leave "
            f"{', '.join(start.neurons)} out, or choose another initialisation.method"
        )
    drawn = drawn_neurons(network, start.neurons, config.seed)
    names = [f"{name} of {population}" for population, each in drawn.items() for name in each]
    check_takes_neurons(names, capabilities, "initialisation.neurons")
    return drawn
