"""The network of a configuration: hidden layers, or populations and projections."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pydantic import Field

from hxloop.errors import ConfigError
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec, Population, Projection
from hxloop.runs.config_section import Section


class NeuronConfig(Section):
    """See ``hxloop.network.NeuronSpec``."""

    LATER: ClassVar[frozenset[str]] = frozenset({"t_refractory"})

    tau_mem: float = NeuronSpec.tau_mem
    tau_syn: float = NeuronSpec.tau_syn
    v_threshold: float = NeuronSpec.v_threshold
    v_leak: float = NeuronSpec.v_leak
    v_reset: float = NeuronSpec.v_reset
    t_refractory: float = NeuronSpec.t_refractory


class OwnNeuronConfig(Section):
    """What neurons of a population have of their own; the rest is that of ``network.neuron``."""

    tau_mem: float | None = None
    tau_syn: float | None = None
    v_threshold: float | None = None
    v_leak: float | None = None
    v_reset: float | None = None
    t_refractory: float | None = None


class PopulationConfig(Section):
    """See ``hxloop.network.Population``.

    ``size``: left out for the population that decides, which has a neuron for each class.
    ``readout``: its neurons never spike, their membranes are read.
    """

    name: str
    size: int | None = Field(default=None, ge=1)
    n_inhibitory: int = LayerSpec.n_inhibitory
    neuron: OwnNeuronConfig = OwnNeuronConfig()
    readout: bool = False


class ProjectionConfig(Section):
    """See ``hxloop.network.Projection``."""

    pre: str
    post: str
    delays: str | None = Projection.delays
    min_delay: float = Projection.min_delay


class NetworkConfig(Section):
    """Hidden layers, or populations and projections; the rest follows from the data.

    ``hidden``: neurons of each hidden layer; ``n_inhibitory`` of each of them are inhibitory
    (Dale's law; 0 = no law); ``delays``: of every projection, see ``Projection``; ``readout``:
    the output neurons never spike, their membranes are read.

    ``populations`` instead of these, with ``projections`` (left out: a chain, in their order) and
    ``output``, the one that decides (left out: the last).
    """

    LATER: ClassVar[frozenset[str]] = frozenset(
        {"delays", "readout", "populations", "projections", "output"}
    )

    hidden: tuple[int, ...] = (120,)
    n_inhibitory: int = LayerSpec.n_inhibitory
    t_window: float = NetworkSpec.t_window
    neuron: NeuronConfig = NeuronConfig()
    delays: str | None = None
    readout: bool = False
    populations: tuple[PopulationConfig, ...] = ()
    projections: tuple[ProjectionConfig, ...] = ()
    output: str = ""

    def check(self) -> None:
        """Check what can be checked without data.

        Raises:
            ConfigError, NetworkError: keys that do not go together, or no such network.
        """
        self.spec(1, 2)

    @property
    def n_projections(self) -> int:
        """How many matrices of weights there are."""
        return len(self.projections) or (len(self.populations) or len(self.hidden) + 1)

    def spec(self, n_inputs: int, n_classes: int) -> NetworkSpec:
        """The network, for data of so many input channels and classes.

        Raises:
            ConfigError, NetworkError: keys that do not go together, or no such network.
        """
        if self.populations:
            return self._of_populations(n_inputs, n_classes)
        for key in ("projections", "output"):
            if getattr(self, key):
                raise ConfigError(
                    f"network.{key}: names populations; expected network.populations with it"
                )
        neuron = NeuronSpec(**self.neuron.model_dump())
        network = NetworkSpec.feed_forward(
            n_inputs,
            *self.hidden,
            n_classes,
            neuron=neuron,
            n_inhibitory=self.n_inhibitory,
            t_window=self.t_window,
            delays=self.delays,
        )
        if not self.readout:
            return network
        *hidden, output = network.layers
        return NetworkSpec(
            n_inputs,
            (*hidden, LayerSpec(output.n_neurons, _reading(neuron))),
            self.t_window,
            network.projections,
        )

    def _of_populations(self, n_inputs: int, n_classes: int) -> NetworkSpec:
        default = NetworkConfig()
        for key in ("hidden", "n_inhibitory", "delays", "readout"):
            if getattr(self, key) != getattr(default, key):
                raise ConfigError(
                    f"network.{key}: expected it left out where there are network.populations, "
                    "which have such keys of their own"
                )
        decides = self.output or self.populations[-1].name
        common = self.neuron.model_dump()
        populations = []
        for each in self.populations:
            where = f"network.populations: {each.name!r}: size"
            if each.size is None and each.name != decides:
                raise ConfigError(f"{where}: expected a number of neurons; got none")
            if each.size not in (None, n_classes) and each.name == decides and n_inputs > 1:
                raise ConfigError(
                    f"{where}: it decides, and the data have {n_classes} classes; expected "
                    f"{n_classes}, or leave it out; got {each.size}"
                )
            own = {k: v for k, v in each.neuron.model_dump().items() if v is not None}
            neuron = NeuronSpec(**{**common, **own})
            populations.append(
                Population(
                    each.name,
                    n_classes if each.size is None else each.size,
                    _reading(neuron) if each.readout else neuron,
                    each.n_inhibitory,
                )
            )
        return NetworkSpec(
            n_inputs,
            tuple(populations),
            self.t_window,
            tuple(Projection(**each.model_dump()) for each in self.projections),
            self.output,
        )


def _reading(neuron: NeuronSpec) -> NeuronSpec:
    """The neuron as a leaky read-out."""
    values: dict[str, Any] = {
        "tau_mem": neuron.tau_mem, "tau_syn": neuron.tau_syn, "v_leak": neuron.v_leak,
    }  # fmt: skip
    return NeuronSpec(**values, v_threshold=math.inf)
