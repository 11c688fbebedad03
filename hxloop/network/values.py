"""What training changes in a network: weights, delays, neurons, under one name everywhere."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.errors import HxloopError, RunInputError
from hxloop.files import sha256_of
from hxloop.network.own_neurons import OwnNeurons, checked_own, neurons_with
from hxloop.network.parameters import NeuronParameters
from hxloop.network.spec import NetworkSpec
from hxloop.text import Brief

Array = NDArray[Any]
Error = type[HxloopError]
# Of the arrays of projection number 3: "weights.3", "delays.3"; of the population "hidden":
# "neurons.hidden.tau_mem". Earlier versions had other names for the weights, in safetensors,
# activity logs and npz.
WEIGHTS, DELAYS, NEURONS = "weights", "delays", "neurons"
_EARLIER = ("layer.{}", "layers/{}/weights", "weights_{}")


@dataclass(frozen=True, repr=False, eq=False)
class Parameters(Brief, Sequence[Array]):
    """Weights and delays of a network, one entry for each of ``NetworkSpec.all_projections``.

    As a sequence it is its weights, so that it goes wherever a list of matrices does.

    Attributes:
        weights: signed matrices ``(pre, post)``.
        delays: for each projection ``(pre,)``, ``(post,)`` or ``(pre, post)``, model time, as its
            ``Projection.delays`` says; None where it has none. (): no projection has any.
        neurons: name of a population -> "tau_mem", "tau_syn", "v_threshold" or "v_reset" ->
            ``(neurons,)``: what its neurons have each for itself. {}: all are nominal.
    """

    weights: tuple[Array, ...]
    delays: tuple[Array | None, ...] = ()
    neurons: OwnNeurons = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights, delays = tuple(self.weights), tuple(self.delays)
        if not isinstance(self.neurons, Mapping) or not all(
            isinstance(own, Mapping) for own in self.neurons.values()
        ):
            raise RunInputError(
                "Parameters.neurons: expected for names of populations arrays by name, as in "
                f'{{"hidden": {{"tau_mem": ...}}}}; got {checks.shown(self.neurons)}'
            )
        neurons = {name: dict(own) for name, own in self.neurons.items() if own}
        checks.settle(
            self, weights=weights, delays=delays or (None,) * len(weights), neurons=neurons
        )
        if len(self.delays) != len(weights):
            raise RunInputError(
                f"Parameters: expected delays (or None) for each of {len(weights)} projections; "
                f"got {len(delays)}"
            )

    @overload
    def __getitem__(self, index: int) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Array]: ...
    def __getitem__(self, index: int | slice) -> Array | Sequence[Array]:
        return self.weights[index]

    def __len__(self) -> int:
        return len(self.weights)

    def __iter__(self) -> Iterator[Array]:
        return iter(self.weights)

    @classmethod
    def of(
        cls, network: NetworkSpec, values: Any, *, where: str = "", error: Error = RunInputError
    ) -> Parameters:
        """Parameters of a network, checked, from whatever holds them.

        Args:
            network: whose they are.
            values: ``Parameters``, or one matrix for each projection, where none has delays.
            where: begins messages.
            error: what is raised.

        Returns:
            float64 arrays; the caller's own memory where they are that already.

        Raises:
            error: another number of arrays, another shape, no numbers or not finite, missing
                delays, a delay below the ``min_delay`` of its projection, or parameters of neurons
                that no neuron may have.
        """
        given = values if isinstance(values, Parameters) else None
        weights = checks.matrices(
            f"{where}{WEIGHTS}", values, network.shapes, of=f"network {network}", error=error
        )
        delays: list[Array | None] = []
        for i, (projection, shape) in enumerate(
            zip(network.all_projections, network.delay_shapes, strict=True)
        ):
            found = given.delays[i] if given else None
            if found is None and shape is None:
                delays.append(None)
                continue
            name = f"{where}{DELAYS}[{i}] ({projection.name}, {projection.delays or 'no delays'})"
            if (found is None) != (shape is None):
                expected = "None" if shape is None else f"an array of shape {shape}"
                raise error(f"{name}: expected {expected}; got {checks.shown(found)}")
            array = checks.real_array(name, found, shape=shape, finite=True, error=error)
            short = array < projection.min_delay
            if short.any():
                place = checks.first_place(short)
                raise error(
                    f"{name}: expected delays of {projection.min_delay:g} or more (min_delay; "
                    f"never negative); got {array[place]:g} at {place}"
                )
            delays.append(array)
        own = checked_own(network, given.neurons, f"{where}{NEURONS}", error) if given else {}
        return cls(weights, tuple(delays), own)

    def named(self) -> dict[str, Array]:
        """The arrays by the names that they have in files: "weights.0", "delays.0", ..."""
        arrays = {f"{WEIGHTS}.{i}": matrix for i, matrix in enumerate(self.weights)}
        delays = {f"{DELAYS}.{i}": array for i, array in enumerate(self.delays)}
        arrays |= {name: array for name, array in delays.items() if array is not None}
        return arrays | {
            f"{NEURONS}.{population}.{name}": array
            for population, own in self.neurons.items()
            for name, array in own.items()
        }

    def layers(self, network: NetworkSpec) -> tuple[NeuronParameters, ...]:
        """The neurons of each population of their network, as these parameters have them."""
        return neurons_with(network, self.neurons)

    @classmethod
    def from_named(cls, arrays: Mapping[str, Array]) -> Parameters:
        """What ``named`` gave, or a file of an earlier version with other names for the weights.

        Args:
            arrays: by name; others than weights, delays and neurons are left alone.
        """
        weights: list[Array] = []
        while (name := weights_name(arrays, len(weights))) is not None:
            weights.append(arrays[name])
        delays = tuple(arrays.get(f"{DELAYS}.{i}") for i in range(len(weights)))
        return cls(tuple(weights), delays, named_neurons(arrays))

    @property
    def digest(self) -> str:
        """SHA-256 of shapes and values as float64; of weights alone, that of earlier versions."""
        named = self.named()
        own = sorted(name for name in named if name.startswith(f"{NEURONS}."))
        # Of neurons the names as well: a threshold is no time constant.
        parts = [("", array) for name, array in named.items() if name not in own]
        parts += [(f"{name} ", named[name]) for name in own]
        arrays = [(name, np.ascontiguousarray(array, np.float64)) for name, array in parts]
        return sha256_of(*(p for name, a in arrays for p in (f"{name}{a.shape} ", a)))

    def read_only(self) -> Parameters:
        """The same, to look at only: its arrays cannot be written to."""
        return self._each(checks.read_only)

    def copy(self) -> Parameters:
        """The same in memory of its own."""
        return self._each(np.copy)

    def _each(self, change: Callable[[Array], Array]) -> Parameters:
        return Parameters(
            tuple(change(matrix) for matrix in self.weights),
            tuple(None if array is None else change(array) for array in self.delays),
            {
                population: {name: change(array) for name, array in own.items()}
                for population, own in self.neurons.items()
            },
        )


def weights_name(names: Container[str], index: int) -> str | None:
    """Under which name a file has the weights of a projection, be it of an earlier version.

    Args:
        names: of the arrays in the file.
        index: of the projection.
    """
    known = (f"{WEIGHTS}.{index}", *(name.format(index) for name in _EARLIER))
    return next((name for name in known if name in names), None)


def named_neurons(arrays: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What is called "neurons.hidden.tau_mem", by population and parameter; the rest is left."""
    found: dict[str, dict[str, Any]] = {}
    for name, array in arrays.items():
        kind, _, rest = name.partition(".")
        population, dot, parameter = rest.partition(".")
        if kind == NEURONS and dot:
            found.setdefault(population, {})[parameter] = array
    return found
