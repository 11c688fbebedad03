"""What a network is: populations of leaky integrate-and-fire neurons, and nothing else.

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
Then the membrane is set to ``v_reset`` and held there for ``t_refractory``, while synaptic
currents go on, and the same equations hold again from there. With ``t_refractory = inf``, the
default, only the first spike counts: the neuron is silent afterwards until the next sample. With
``v_threshold = inf`` it never spikes: a leaky read-out, of which the membrane is looked at.

An input spike at ``t`` through a connection with a delay ``d`` arrives at ``t + d``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

from hxloop import checks
from hxloop.errors import NetworkError
from hxloop.network.feature import Feature as Feature
from hxloop.network.graph import components, reachable
from hxloop.network.neuron import (
    INPUT,
    LayerSpec,
    NeuronSpec,
    Population,
    Projection,
    chain,
    named,
)

_TIME = "time (model time)"
# How long a sample is observed unless said otherwise, in Python and in configurations.
DEFAULT_T_WINDOW = 6.0


@dataclass(frozen=True)
class NetworkSpec:
    """Populations and projections. Holds no weights: it is opened once, weights change every step.

    Args:
        n_inputs: number of input channels, at least 1.
        layers: the populations; the output is the last one, unless ``output`` names another. In
            the order in which their activity is reported.
        t_window: how long a sample is observed, in model time. A spike later than this does
            not count.
        projections: what feeds what, at most one from each population to each. (): a chain,
            from the input through all populations in their order, without delays.
        output: name of the population that decides; "": the last.

    Raises:
        NetworkError: a count is not a positive integer, there is no population, ``t_window``
            is not positive and finite, names that are unknown or not unique, projections twice,
            into the input or from a read-out, or a population to which no path leads from the
            input.

    Example:
        >>> NetworkSpec.feed_forward(5, 120, 3).shapes
        ((5, 120), (120, 3))
        >>> spiking = NeuronSpec(t_refractory=0.5)
        >>> network = NetworkSpec(
        ...     5,
        ...     (Population("hidden", 30, spiking), Population("output", 3)),
        ...     projections=(
        ...         Projection("input", "hidden"),
        ...         Projection("hidden", "hidden", delays="axonal", min_delay=0.1),
        ...         Projection("hidden", "output"),
        ...     ),
        ... )
        >>> print(network)
        5-30-3 (delays, multi-spike, recurrent)
    """

    n_inputs: int
    layers: tuple[LayerSpec, ...]
    t_window: float = DEFAULT_T_WINDOW
    projections: tuple[Projection, ...] = ()
    output: str = ""

    def __post_init__(self) -> None:
        n_inputs = checks.whole("NetworkSpec.n_inputs", self.n_inputs, low=1, error=NetworkError)
        layers = _all_of("layers", self.layers, LayerSpec)
        window = checks.number(
            "NetworkSpec.t_window", self.t_window, above=0, what=_TIME, error=NetworkError
        )
        projections = _all_of("projections", self.projections, Projection)
        if not layers:
            raise NetworkError("NetworkSpec.layers: expected at least one layer; got none")
        checks.settle(
            self, n_inputs=n_inputs, layers=layers, t_window=window, projections=projections
        )
        names = [population.name for population in self.populations]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise NetworkError(f"NetworkSpec.layers: expected names that differ; got {twice} twice")
        if self.output and self.output not in names:
            raise NetworkError(
                f"NetworkSpec.output: expected one of {', '.join(names)}; got {self.output!r}"
            )
        # The chain, written out or not, is one network.
        if projections == chain(names) and self.output in ("", names[-1]):
            checks.settle(self, projections=(), output="")
        self._check_projections(names)

    def _check_projections(self, names: list[str]) -> None:
        pairs = [(projection.pre, projection.post) for projection in self.projections]
        for pre, post in pairs:
            where = f"projection {pre!r} -> {post!r}"
            if pre not in (INPUT, *names):
                raise NetworkError(
                    f"{where}: expected pre one of {', '.join((INPUT, *names))}; got {pre!r}"
                )
            if post not in names:
                raise NetworkError(
                    f"{where}: expected post one of {', '.join(names)}; got {post!r}"
                )
            if pairs.count((pre, post)) > 1:
                raise NetworkError(
                    f"{where}: expected at most one projection from a population to another; got "
                    f"{pairs.count((pre, post))}"
                )
        silent = {each.name for each in self.populations if each.neuron.never_spikes}
        for projection in self.all_projections:
            if projection.pre in silent:
                raise NetworkError(
                    f"projection {projection.name}: {projection.pre!r} never spikes (v_threshold "
                    "= inf), so nothing comes from it; expected a finite v_threshold, or no "
                    "projection from it"
                )
        if not self.projections:
            return
        reached = reachable(len(names) + 1, self._arrows(), 0)
        for index, name in enumerate(names, start=1):
            if index not in reached:
                raise NetworkError(
                    f"NetworkSpec.projections: no path leads from the input to population "
                    f"{name!r}, which would never spike; add a projection to it, or leave it out"
                )

    def _arrows(self) -> list[tuple[int, int]]:
        """Projections as pairs of numbers: 0 is the input, the populations follow."""
        number = {name: i for i, name in enumerate((INPUT, *(p.name for p in self.populations)))}
        return [(number[p.pre], number[p.post]) for p in self.all_projections]

    @classmethod
    def feed_forward(
        cls,
        n_inputs: int,
        *n_neurons: int,
        neuron: NeuronSpec | None = None,
        t_window: float = DEFAULT_T_WINDOW,
        n_inhibitory: int = 0,
        delays: str | None = None,
    ) -> NetworkSpec:
        """A network of equal neurons: ``feed_forward(5, 120, 3)`` is 5 inputs, 120, 3.

        ``n_inhibitory`` neurons of every hidden layer are inhibitory, see ``LayerSpec``; every
        projection has ``delays``, see ``Projection``.
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
        layers = (*hidden, *(LayerSpec(n, neuron) for n in n_neurons[-1:]))
        network = cls(n_inputs, layers, t_window)
        if delays is None:
            return network
        names = [population.name for population in network.populations]
        return replace(network, projections=chain(names, delays))

    @cached_property
    def populations(self) -> tuple[Population, ...]:
        """The populations; without a name they are "hidden1", "hidden2", ... and "output"."""
        return named(self.layers)

    @cached_property
    def all_projections(self) -> tuple[Projection, ...]:
        """The projections, those of a chain too; weights and delays are in this order."""
        return self.projections or chain([population.name for population in self.populations])

    @property
    def is_chain(self) -> bool:
        """Whether every population feeds the next one and nothing else, without delays."""
        return not self.projections

    @cached_property
    def features(self) -> frozenset[Feature]:
        """What it asks of a substrate beyond a chain of layers whose neurons spike once."""
        found = set()
        if any(not layer.neuron.spikes_once for layer in self.layers):
            found.add(Feature.MULTI_SPIKE)
        if any(layer.neuron.never_spikes for layer in self.layers):
            found.add(Feature.READOUT)
        if any(projection.delays for projection in self.projections):
            found.add(Feature.DELAYS)
        if self.is_chain:
            return frozenset(found)
        block_of = {node: i for i, block in enumerate(self.blocks) for node in block}
        pairs = [(pre - 1, post - 1) for pre, post in self._arrows()]
        if any(pre >= 0 and block_of[pre] == block_of[post] for pre, post in pairs):
            found.add(Feature.RECURRENT)
        forward = [p for p in pairs if p[0] < 0 or block_of[p[0]] != block_of[p[1]]]
        order = [-1, *(block[0] for block in self.blocks)]
        one_each = all(len(block) == 1 for block in self.blocks)
        last = self.output in ("", self.populations[self.blocks[-1][-1]].name)
        if not (one_each and last and sorted(forward) == sorted(pairwise(order))):
            found.add(Feature.SKIP)
        return frozenset(found)

    @cached_property
    def blocks(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the populations that have to be computed together, in topological order.

        A block is a strongly connected component: one population, or several in a loop.
        """
        if self.is_chain:  # the rule, and not worth a search
            return tuple((index,) for index in range(len(self.layers)))
        inner = [(pre - 1, post - 1) for pre, post in self._arrows() if pre]
        return components(len(self.layers), inner)

    @property
    def output_index(self) -> int:
        """Index of the population that decides."""
        if not self.output:
            return len(self.layers) - 1
        return [population.name for population in self.populations].index(self.output)

    @cached_property
    def ends(self) -> tuple[tuple[int, int], ...]:
        """Of every projection the populations it leads from and to; -1 is the input."""
        return tuple((pre - 1, post - 1) for pre, post in self._arrows())

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of input channels, then the number of neurons of every population."""
        return (self.n_inputs, *(layer.n_neurons for layer in self.layers))

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Shape ``(pre, post)`` of every weight matrix, one for each projection."""
        sizes = self.sizes
        return tuple((sizes[pre], sizes[post]) for pre, post in self._arrows())

    @cached_property
    def delay_shapes(self) -> tuple[tuple[int, ...] | None, ...]:
        """Shape of the delays of every projection; None where it has none."""
        both = zip(self.all_projections, self.shapes, strict=True)
        return tuple(projection.delay_shape(*shape) for projection, shape in both)

    @property
    def n_outputs(self) -> int:
        """Number of neurons of the population that decides."""
        return self.layers[self.output_index].n_neurons

    def __getstate__(self) -> dict[str, Any]:
        # What is computed on demand is not carried along.
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __str__(self) -> str:
        sizes = "-".join(str(size) for size in self.sizes)
        features = ", ".join(sorted(feature.value for feature in self.features))
        return f"{sizes} ({features})" if features else sizes


def _all_of(name: str, values: Any, kind: type) -> tuple[Any, ...]:
    where = f"NetworkSpec.{name}"
    try:
        found = tuple(values)
    except TypeError as error:
        raise NetworkError(
            f"{where}: expected a sequence of {kind.__name__}; got {values!r}"
        ) from error
    for index, value in enumerate(found):
        if not isinstance(value, kind):
            raise NetworkError(f"{where}[{index}]: expected a {kind.__name__}; got {value!r}")
    return found
