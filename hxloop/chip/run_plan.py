"""The runs in which chips play a network that is larger than one; ``partition`` finds them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from hxloop import checks
from hxloop.chip.placement import N_CIRCUITS, SIGNED_INPUTS, fan_in
from hxloop.network import NetworkSpec


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What fits on a chip at once.

    Args:
        circuits: how many there are.
        inputs: signed inputs of one of them; a neuron with more takes several.
        max_fan_in: signed inputs that a neuron can have at all; None: those of all circuits.

    Raises:
        ConfigError: no whole number from 1.
    """

    circuits: int = N_CIRCUITS
    inputs: int = SIGNED_INPUTS
    max_fan_in: int | None = None

    def __post_init__(self) -> None:
        for name in ("circuits", "inputs", "max_fan_in"):
            value = getattr(self, name)
            if name != "max_fan_in" or value is not None:
                checks.settle(self, **{name: checks.whole(f"Limits.{name}", value, low=1)})

    def merged(self, inputs: int) -> int:
        """How many circuits a neuron of so many inputs takes."""
        return -(-inputs // self.inputs)

    def circuits_of(self, network: NetworkSpec) -> int:
        """How many circuits a network takes if all of it is on the chip at once."""
        both = zip(network.layers, fan_in(network), strict=True)
        return sum(layer.n_neurons * self.merged(inputs) for layer, inputs in both)


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one run plays of a network.

    Attributes:
        number: of the run, from 0.
        network: that runs.
        populations: which of the whole network they are, in the order of ``network.layers``.
        first: which neuron of its population the first one here is; 0 where populations are whole.
        sources: populations (-1: the input) whose spikes come in from outside, whose channels the
            inputs of ``network`` are, one after the other.
        projections: of the whole network that end here, in its order.
        stage: runs of one stage do not wait for one another.
        circuits: how many it takes.
    """

    number: int
    network: NetworkSpec
    populations: tuple[int, ...]
    first: int
    sources: tuple[int, ...]
    projections: tuple[int, ...]
    stage: int
    circuits: int

    @property
    def columns(self) -> slice:
        """Which neurons of a population that takes several runs are here."""
        return slice(self.first, self.first + self.network.layers[0].n_neurons)

    def neurons(self, position: int) -> slice:
        """Which neurons of the population at a position of ``populations`` are here."""
        if len(self.populations) == 1:
            return self.columns
        return slice(0, self.network.layers[position].n_neurons)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a network is played on chips that are too small for it.

    Attributes:
        network: the whole one.
        limits: of each chip.
        parts: the runs, in an order in which every one comes after those that feed it.
    """

    network: NetworkSpec
    limits: Limits
    parts: tuple[Part, ...]

    @property
    def handed_on(self) -> frozenset[int]:
        """Populations whose spikes a later run is played."""
        return frozenset(s for part in self.parts for s in part.sources if s >= 0)

    @property
    def stages(self) -> tuple[tuple[Part, ...], ...]:
        """The runs, those together that do not wait for one another."""
        return tuple(tuple(parts) for _, parts in groupby(self.parts, key=lambda part: part.stage))

    def seconds_on_chip(self, samples: int, slot_us: float, chips: int = 1) -> float:
        """An estimate: how long real chips would play, without the host's work.

        Args:
            samples: that are run.
            slot_us: time of one sample, with its pause, in microseconds.
            chips: that play side by side.
        """
        rounds = sum(-(-len(parts) // chips) for parts in self.stages)
        return rounds * samples * slot_us * 1e-6

    @property
    def utilisation(self) -> float:
        """Of all circuits of all runs, how many are used."""
        return sum(part.circuits for part in self.parts) / (self.limits.circuits * len(self.parts))

    def as_dict(self) -> dict[str, Any]:
        """Plain values: limits, utilisation, and of each run what ``describe`` shows."""
        return {
            "circuits": self.limits.circuits,
            "inputs_of_a_circuit": self.limits.inputs,
            "utilisation": self.utilisation,
            "runs": [
                {
                    "run": part.number,
                    "stage": part.stage,
                    "inputs": part.network.n_inputs,
                    "neurons": sum(part.network.sizes[1:]),
                    "circuits": part.circuits,
                    "populations": list(self._names(part)),
                }
                for part in self.parts
            ],
        }

    def describe(self) -> str:
        """The runs in a table: what is played, on how many circuits, how full the chip is."""
        available, n_runs = self.limits.circuits, len(self.parts)
        lines = [
            f"{self.network} in {n_runs} run{'s' if n_runs > 1 else ''} of at most {available} "
            f"circuits, {self.utilisation:.0%} of them used",
            "run  stage  inputs  neurons  circuits  used  populations",
        ]
        for part in self.parts:
            lines.append(
                f"{part.number:3}  {part.stage:5}  {part.network.n_inputs:6}  "
                f"{sum(part.network.sizes[1:]):7}  {part.circuits:8}  "
                f"{part.circuits / available:4.0%}  {', '.join(self._names(part))}"
            )
        return "\n".join(lines)

    def _names(self, part: Part) -> Iterator[str]:
        for position, index in enumerate(part.populations):
            population, here = self.network.populations[index], part.neurons(position)
            whole = here == slice(0, population.n_neurons)
            yield population.name + ("" if whole else f"[{here.start}:{here.stop}]")
