"""The nominal neuron, and what a network is made of: populations of it, and projections."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

from hxloop import checks
from hxloop.errors import NetworkError

# The name under which projections know the input channels.
INPUT = "input"
# What shares a delay: all spikes that a neuron sends, all that one receives, or nothing.
DELAY_KINDS = ("axonal", "dendritic", "synaptic")


@dataclass(frozen=True)
class NeuronSpec:
    """Nominal parameters of a neuron, in model units.

    Args:
        tau_mem: membrane time constant, in units of the synaptic time constant.
        tau_syn: synaptic time constant; 1 by the definition of model time.
        v_threshold: spike threshold, in units of the weights. ``inf``: a leaky read-out, which
            integrates and never spikes; only an output population may be one.
        v_leak: resting potential, below ``v_threshold``.
        v_reset: potential to which a spike sets the membrane, and at which it is held. First
            spike times do not depend on it.
        t_refractory: for how long it is held there, in model time, 0 or more. ``inf``: until the
            next sample, so that a neuron spikes once.

    Raises:
        NetworkError: a value is not a finite number (but for ``t_refractory`` and
            ``v_threshold``), a time constant is not positive, ``t_refractory`` is negative, or
            ``v_leak`` or ``v_reset`` is not below ``v_threshold``.
    """

    tau_mem: float = 1.0
    tau_syn: float = 1.0
    v_threshold: float = 1.0
    v_leak: float = 0.0
    v_reset: float = 0.0
    t_refractory: float = math.inf

    def __post_init__(self) -> None:
        for field in fields(self):
            above = 0 if field.name.startswith("tau_") else None
            kind = "number" if above is None else "time constant (model time, in units of tau_syn)"
            held = field.name == "t_refractory"
            value = checks.number(
                f"NeuronSpec.{field.name}",
                getattr(self, field.name),
                above=above,
                low=0 if held else None,
                finite=not held and field.name != "v_threshold",
                what="time (model time; inf: a neuron spikes once)" if held else kind,
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

    @property
    def spikes_once(self) -> bool:
        """Whether a neuron is silent after its first spike, until the next sample."""
        return math.isinf(self.t_refractory)

    @property
    def never_spikes(self) -> bool:
        """Whether it is a leaky read-out: its membrane is what counts."""
        return math.isinf(self.v_threshold)


@dataclass(frozen=True)
class LayerSpec:
    """One population of a network, without a name; ``Population`` is one with a name.

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
        self._check(type(self).__name__, "n_neurons")

    def _check(self, where: str, size_name: str) -> None:
        size = checks.whole(f"{where}.{size_name}", self.n_neurons, low=1, error=NetworkError)
        if not isinstance(self.neuron, NeuronSpec):
            raise NetworkError(f"{where}.neuron: expected a NeuronSpec; got {self.neuron!r}")
        inhibitory = checks.whole(
            f"{where}.n_inhibitory", self.n_inhibitory, low=0, high=size, error=NetworkError
        )
        checks.settle(self, n_neurons=size, n_inhibitory=inhibitory)

    @property
    def n_excitatory(self) -> int:
        """How many neurons are not inhibitory."""
        return self.n_neurons - self.n_inhibitory


@dataclass(frozen=True, init=False)
class Population(LayerSpec):
    """A population of neurons with a name, by which projections find it.

    Args:
        name: letters, digits, "_" and "-"; not "input", which the input channels are.
        size: number of neurons, at least 1.
        neuron: their nominal parameters.
        n_inhibitory: see ``LayerSpec``.

    Raises:
        NetworkError: as ``LayerSpec``, or no such name.

    Example:
        >>> Population("hidden", 30, NeuronSpec(t_refractory=0.5)).n_neurons
        30
    """

    name: str = ""

    def __init__(
        self,
        name: str,
        size: int | None = None,
        neuron: NeuronSpec = NeuronSpec(),
        n_inhibitory: int = 0,
        *,
        n_neurons: int | None = None,
    ) -> None:
        # What dataclasses.replace calls it by.
        size = n_neurons if size is None else size
        checks.settle(self, name=name, n_neurons=size, neuron=neuron, n_inhibitory=n_inhibitory)
        plain = isinstance(name, str) and name.replace("_", "").replace("-", "").isalnum()
        if not plain or name == INPUT:
            raise NetworkError(
                'Population.name: expected letters, digits, "_" and "-", and not "input", which '
                f"the input channels are; got {name!r}"
            )
        self._check(f"population {name!r}", "size")

    def __repr__(self) -> str:
        rest = f", n_inhibitory={self.n_inhibitory}" if self.n_inhibitory else ""
        return f"Population({self.name!r}, {self.n_neurons}, {self.neuron}{rest})"

    @property
    def size(self) -> int:
        """Number of neurons."""
        return self.n_neurons


@dataclass(frozen=True)
class Projection:
    """All-to-all connections from one population (or the input) to another, or to itself.

    Args:
        pre: name of the population that sends; "input" are the input channels.
        post: name of the population that receives.
        delays: what has a delay of its own: "axonal", every presynaptic neuron; "dendritic",
            every postsynaptic one; "synaptic", every connection; None: nothing is delayed.
        min_delay: the shortest delay, in model time; with ``delays`` only.

    Raises:
        NetworkError: unknown kind of delays, or ``min_delay`` negative or without delays.

    Example:
        >>> Projection("hidden", "hidden", delays="axonal", min_delay=0.1).delay_shape(30, 30)
        (30,)
    """

    pre: str
    post: str
    delays: str | None = None
    min_delay: float = 0.0

    def __post_init__(self) -> None:
        where = f"projection {self.pre!r} -> {self.post!r}"
        if self.delays is not None and self.delays not in DELAY_KINDS:
            raise NetworkError(
                f"{where}: expected delays one of {', '.join(DELAY_KINDS)} or None; "
                f"got {self.delays!r}"
            )
        shortest = checks.number(
            f"{where}: min_delay", self.min_delay, low=0, what="time (model time)",
            error=NetworkError,
        )  # fmt: skip
        if shortest > 0 and self.delays is None:
            raise NetworkError(
                f"{where}: min_delay = {shortest:g} without delays; expected delays one of "
                f"{', '.join(DELAY_KINDS)} with it"
            )
        checks.settle(self, min_delay=shortest)

    @property
    def name(self) -> str:
        """In messages: ``input -> hidden``."""
        return f"{self.pre} -> {self.post}"

    def delay_shape(self, pre: int, post: int) -> tuple[int, ...] | None:
        """Shape of the delays between so many neurons; None without delays."""
        shapes = {"axonal": (pre,), "dendritic": (post,), "synaptic": (pre, post)}
        return None if self.delays is None else shapes[self.delays]


def named(layers: Sequence[LayerSpec]) -> tuple[Population, ...]:
    """Layers as populations; those without a name are "hidden1", "hidden2", ... and "output"."""
    several = len(layers) > 2
    names = [f"hidden{i + 1}" if several else "hidden" for i in range(len(layers) - 1)]
    return tuple(
        layer
        if isinstance(layer, Population)
        else Population(name, layer.n_neurons, layer.neuron, layer.n_inhibitory)
        for name, layer in zip((*names, "output"), layers, strict=True)
    )


def chain(names: Sequence[str], delays: str | None = None) -> tuple[Projection, ...]:
    """Projections from the input through populations in their order."""
    return tuple(Projection(pre, post, delays) for pre, post in pairwise((INPUT, *names)))
