"""What a network is: layers of leaky integrate-and-fire neurons, and nothing else.

Conventions, stated once for the whole project
----------------------------------------------
Time is dimensionless, in units of the synaptic time constant (``tau_syn = 1``). Voltages
and weights share one unit, in which the threshold is 1 unless stated otherwise.

A neuron is a current-based leaky integrate-and-fire neuron with membrane capacitance 1::

    dV/dt = -(V - v_leak)/tau_mem + I,     dI/dt = -I/tau_syn + sum_i w_i delta(t - t_i)

It starts at rest (``V = v_leak``, ``I = 0``), so that before its first spike::

    V(t) = v_leak + sum_{t_i < t} w_i k(t - t_i)
    k(s) = tau_mem tau_syn/(tau_mem - tau_syn) (exp(-s/tau_mem) - exp(-s/tau_syn))
    k(s) = s exp(-s/tau)                                  for tau_mem = tau_syn = tau

(Göltz et al., Nat. Mach. Intell. 3, 823, 2021, eqs. 1-3, with C = 1, so that the leak
conductance is 1/tau_mem). It spikes at the first time at which V reaches ``v_threshold``.
Only this first spike counts: the neuron is silent afterwards until the next sample.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import pairwise

from hxloop import checks
from hxloop.errors import NetworkError

_TIME = "time (model time)"
# How long a sample is observed unless said otherwise, in Python and in configurations.
DEFAULT_T_WINDOW = 6.0


@dataclass(frozen=True)
class NeuronSpec:
    """Nominal parameters of a neuron, in model units.

    Args:
        tau_mem: membrane time constant, in units of the synaptic time constant.
        tau_syn: synaptic time constant; 1 by the definition of model time.
        v_threshold: spike threshold, in units of the weights.
        v_leak: resting potential, below ``v_threshold``.
        v_reset: potential after a spike. First spike times do not depend on it.

    Raises:
        NetworkError: a value is not a finite number, a time constant is not positive, or
            ``v_leak`` or ``v_reset`` is not below ``v_threshold``.
    """

    tau_mem: float = 1.0
    tau_syn: float = 1.0
    v_threshold: float = 1.0
    v_leak: float = 0.0
    v_reset: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            above = 0 if field.name.startswith("tau_") else None
            kind = "number" if above is None else "time constant (model time, in units of tau_syn)"
            value = checks.number(
                f"NeuronSpec.{field.name}",
                getattr(self, field.name),
                above=above,
                what=kind,
                error=NetworkError,
            )
            checks.settle(self, **{field.name: value})
        for name in ("v_leak", "v_reset"):
            if getattr(self, name) >= self.v_threshold:
                raise NetworkError(
                    f"NeuronSpec.{name}: expected a potential below v_threshold = "
                    f"{self.v_threshold}, else the neuron fires without input; "
                    f"got {getattr(self, name)}"
                )


@dataclass(frozen=True)
class LayerSpec:
    """One fully connected layer.

    Args:
        n_neurons: number of neurons, at least 1.
        neuron: their nominal parameters.
        n_inhibitory: with more than 0, Dale's law: the outgoing weights of the last so many
            neurons are negative or 0, those of the others positive or 0. What sees to it is
            ``LoopNetwork.enforce_dale``, after every step.

    Raises:
        NetworkError: ``n_neurons`` is not a positive integer, or ``n_inhibitory`` not one from
            0 to ``n_neurons``.
    """

    n_neurons: int
    neuron: NeuronSpec = NeuronSpec()
    n_inhibitory: int = 0

    def __post_init__(self) -> None:
        size = checks.whole("LayerSpec.n_neurons", self.n_neurons, low=1, error=NetworkError)
        if not isinstance(self.neuron, NeuronSpec):
            raise NetworkError(f"LayerSpec.neuron: expected a NeuronSpec; got {self.neuron!r}")
        inhibitory = checks.whole(
            "LayerSpec.n_inhibitory", self.n_inhibitory, low=0, high=size, error=NetworkError
        )
        checks.settle(self, n_neurons=size, n_inhibitory=inhibitory)

    @property
    def n_excitatory(self) -> int:
        """How many neurons are not inhibitory."""
        return self.n_neurons - self.n_inhibitory


@dataclass(frozen=True)
class NetworkSpec:
    """A feed-forward network. Holds no weights: it is opened once, weights change every step.

    Args:
        n_inputs: number of input channels, at least 1.
        layers: from the first hidden layer to the output.
        t_window: how long a sample is observed, in model time. A spike later than this does
            not count.

    Raises:
        NetworkError: a count is not a positive integer, there is no layer, or ``t_window``
            is not positive and finite.

    Example:
        >>> NetworkSpec.feed_forward(5, 120, 3).shapes
        ((5, 120), (120, 3))
    """

    n_inputs: int
    layers: tuple[LayerSpec, ...]
    t_window: float = DEFAULT_T_WINDOW

    def __post_init__(self) -> None:
        n_inputs = checks.whole("NetworkSpec.n_inputs", self.n_inputs, low=1, error=NetworkError)
        try:
            layers = tuple(self.layers)
        except TypeError as error:
            raise NetworkError(
                f"NetworkSpec.layers: expected a sequence of LayerSpec; got {self.layers!r}"
            ) from error
        window = checks.number(
            "NetworkSpec.t_window", self.t_window, above=0, what=_TIME, error=NetworkError
        )
        checks.settle(self, n_inputs=n_inputs, layers=layers, t_window=window)
        if not self.layers:
            raise NetworkError("NetworkSpec.layers: expected at least one layer; got none")
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, LayerSpec):
                raise NetworkError(
                    f"NetworkSpec.layers[{index}]: expected a LayerSpec; got {layer!r}"
                )

    @classmethod
    def feed_forward(
        cls,
        n_inputs: int,
        *n_neurons: int,
        neuron: NeuronSpec | None = None,
        t_window: float = DEFAULT_T_WINDOW,
        n_inhibitory: int = 0,
    ) -> NetworkSpec:
        """A network of equal neurons: ``feed_forward(5, 120, 3)`` is 5 inputs, 120, 3.

        ``n_inhibitory`` neurons of every hidden layer are inhibitory, see ``LayerSpec``.
        """
        neuron = NeuronSpec() if neuron is None else neuron
        where = "feed_forward: n_neurons"
        n_neurons = tuple(
            checks.whole(f"{where}[{i}]", n, low=1, error=NetworkError)
            for i, n in enumerate(n_neurons)
        )
        n_inhibitory = checks.whole(
            "feed_forward: n_inhibitory", n_inhibitory, low=0, error=NetworkError
        )
        hidden = tuple(LayerSpec(n, neuron, n_inhibitory) for n in n_neurons[:-1])
        return cls(n_inputs, (*hidden, *(LayerSpec(n, neuron) for n in n_neurons[-1:])), t_window)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of input channels, then the number of neurons of every layer."""
        return (self.n_inputs, *(layer.n_neurons for layer in self.layers))

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape ``(pre, post)`` of every weight matrix."""
        return tuple(pairwise(self.sizes))

    @property
    def n_outputs(self) -> int:
        """Number of neurons of the last layer."""
        return self.layers[-1].n_neurons

    def __str__(self) -> str:
        return "-".join(str(size) for size in self.sizes)
