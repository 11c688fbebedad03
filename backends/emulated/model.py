"""One drawn chip: fixed-pattern parameters of every circuit, placement, and trial noise."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.checks.random_streams import entropy
from hxloop.chip.placement import N_CIRCUITS, PlacedLayer, merged_circuits, place_layers
from hxloop.files import sha256_of
from hxloop.network import NetworkSpec
from hxloop.network.own_neurons import OwnNeurons

Array = NDArray[np.float64]

# A delay neuron, and the one that it makes fire when its count is done.
CIRCUITS_PER_DELAY = 2
# Of a circuit. Streams of the chip seed, one for each, so that adding one changes no other.
QUANTITIES = (
    "tau_mem",
    "tau_syn_exc",
    "tau_syn_inh",
    "strength_exc",
    "strength_inh",
    "v_threshold",
    "v_leak",
    "v_reset",
    "dead",
    "t_refractory",
)
_CHIP_STREAM, _TRIAL_STREAM, _LATER_STREAM = 0x43686970, 0x54726961, 0x6C61740000


@dataclass(frozen=True)
class ChipModel:
    """The fixed pattern of one chip, one value for each circuit.

    Time constants and strengths are factors on the nominal value; potentials are shifts in
    units of the leak-threshold distance, refractory times shifts in model time.
    ``ChipModel.draw`` makes one.
    """

    chip_id: str
    imperfections: Imperfections
    tau_mem: Array
    tau_syn_exc: Array
    tau_syn_inh: Array
    strength_exc: Array
    strength_inh: Array
    v_threshold: Array
    v_leak: Array
    v_reset: Array
    dead: NDArray[np.bool_]
    t_refractory: Array

    @classmethod
    def draw(
        cls, imperfections: Imperfections, seed: int, n_circuits: int = N_CIRCUITS
    ) -> ChipModel:
        """Draw a chip.

        Args:
            imperfections: the statistics to draw from.
            seed: number of the chip; the same number is the same chip for life. Two sets of
                imperfections with the same seed are the same chip before and after: all
                deviations scale, none changes its sign.
            n_circuits: more than 512 continue the same chip.
        """
        pattern = normal_pattern(imperfections, seed, n_circuits)
        return cls(chip_name(imperfections, seed), imperfections, **pattern)

    def place(
        self,
        network: NetworkSpec,
        usable: NDArray[np.bool_] | None = None,
        own: OwnNeurons | None = None,
    ) -> tuple[PlacedLayer, ...]:
        """Put the layers onto the circuits, in order; only onto usable ones, where given.

        What becomes of neurons on several circuits: ``hxloop.chip.placement.place_layer``. The
        knobs of circuits are turned to what neurons have of their own (``own``), as well as they
        are to what all have.
        """
        return place_layers(network, self.circuits(network, usable), self.as_dict(), own)

    def circuits(
        self, network: NetworkSpec, usable: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], ...]:
        """For each layer ``(post, merged)``, the circuits that ``place`` takes."""
        order = np.arange(len(self.dead)) if usable is None else np.flatnonzero(usable)
        circuits, start = [], 0
        for layer, merged in zip(network.layers, merged_circuits(network), strict=True):
            end = start + layer.n_neurons * merged
            circuits.append(order[start:end].reshape(layer.n_neurons, merged))
            start = end
        return tuple(circuits)

    def delay_circuits(
        self, network: NetworkSpec, usable: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64] | None, ...]:
        """For each projection ``(pre, 2)``, the circuits of its delay neurons; None: no delays.

        They come after those of all populations.
        """
        order = np.arange(len(self.dead)) if usable is None else np.flatnonzero(usable)
        start = sum(circuits.size for circuits in self.circuits(network, usable))
        found: list[NDArray[np.int64] | None] = []
        for projection, (pre, _) in zip(network.all_projections, network.shapes, strict=True):
            end = start + CIRCUITS_PER_DELAY * pre
            if projection.delays:
                found.append(order[start:end].reshape(pre, CIRCUITS_PER_DELAY))
                start = end
            else:
                found.append(None)
        return tuple(found)

    def as_dict(self, n_circuits: int | None = None) -> dict[str, Array]:
        """The fixed pattern by name, of the first ``n_circuits`` circuits."""
        return {
            name: np.asarray(getattr(self, name)[:n_circuits], dtype=np.float64)
            for name in QUANTITIES
        }


def normal_pattern(
    imperfections: Imperfections, seed: int, n_circuits: int
) -> dict[str, NDArray[Any]]:
    """The fixed pattern of a chip, every circuit drawn for itself; see ``ChipModel.draw``."""
    noise = {}
    for stream, name in enumerate(QUANTITIES):
        generator = np.random.default_rng(entropy(_CHIP_STREAM, seed, stream))
        draw = generator.random if name == "dead" else generator.standard_normal
        noise[name] = draw(n_circuits)
    spread = imperfections
    rho = spread.leak_reset_correlation
    reset = rho * noise["v_leak"] + np.sqrt(1 - rho * rho) * noise["v_reset"]
    return {
        "tau_mem": np.exp(spread.tau_mem * noise["tau_mem"]),
        "tau_syn_exc": np.exp(spread.tau_syn * noise["tau_syn_exc"]),
        "tau_syn_inh": np.exp(spread.tau_syn * noise["tau_syn_inh"]),
        "strength_exc": np.exp(spread.strength * noise["strength_exc"]),
        "strength_inh": np.exp(spread.strength * noise["strength_inh"]),
        "v_threshold": spread.v_threshold * noise["v_threshold"] + spread.threshold_offset,
        "v_leak": spread.v_leak * noise["v_leak"],
        "v_reset": spread.v_reset * reset,
        "dead": noise["dead"] < spread.dead,
        "t_refractory": spread.t_refractory * noise["t_refractory"],
    }


def row_strengths(imperfections: Imperfections, seed: int, rows: int) -> Array:
    """``(rows, 2)``: factor on what comes through each pair of synapse rows, exc. and inh.

    Args:
        imperfections: their spread.
        seed: number of the chip.
        rows: how many inputs there are, in the order of the projections; more continue the chip.
    """
    rng = np.random.default_rng(entropy(_CHIP_STREAM, seed, len(QUANTITIES)))
    return np.asarray(np.exp(imperfections.row_strength * rng.standard_normal((rows, 2))))


def chip_name(imperfections: Imperfections, seed: int) -> str:
    """Name of the chip that is drawn from these imperfections with this number."""
    text = json.dumps(imperfections.identity(), sort_keys=True)
    return f"emulated-{seed}-{sha256_of(f'{seed} {text}')[:8]}"


def circuits_needed(network: NetworkSpec) -> int:
    """How many circuits the whole network takes."""
    return delay_circuits_needed(network) + sum(
        layer.n_neurons * merged
        for layer, merged in zip(network.layers, merged_circuits(network), strict=True)
    )


def delay_circuits_needed(network: NetworkSpec) -> int:
    """How many circuits its delays take: two for each presynaptic neuron that is delayed."""
    return CIRCUITS_PER_DELAY * sum(
        pre
        for projection, (pre, _) in zip(network.all_projections, network.shapes, strict=True)
        if projection.delays
    )


@dataclass(frozen=True)
class TrialNoise:
    """The noise of one run, a function of session seed and trial, whatever the batch size.

    Args:
        imperfections: how strong it is.
        seed: of the session.
        trial: of the run.
    """

    imperfections: Imperfections
    seed: int
    trial: int

    def _generator(self, layer: int, stream: int, rank: int = 0) -> np.random.Generator:
        # Of later spikes a stream of their own for each: the first ones are those of one spike.
        purpose = _TRIAL_STREAM if rank == 0 else _LATER_STREAM + rank
        numbers = entropy(purpose, self.seed, self.trial, layer, stream, free=2)
        return np.random.default_rng(numbers)

    def threshold(self, layer: int, post: int) -> Array:
        """``(post,)``: shift of every threshold in this run, in leak-threshold distances."""
        if self.imperfections.threshold_trial == 0:
            return np.zeros(post)
        draw = self._generator(layer, 0).standard_normal(post)
        return self.imperfections.threshold_trial * draw

    def jitter(self, layer: int, batch: int, post: int, rank: int = 0) -> Array | None:
        """``(batch, post)``: shift of the spike of this rank of everyone; None without jitter."""
        if self.imperfections.spike_jitter == 0:
            return None
        draw = self._generator(layer, 1, rank).standard_normal((batch, post))
        return self.imperfections.spike_jitter * draw

    def lost(self, layer: int, batch: int, post: int, rank: int = 0) -> NDArray[np.bool_] | None:
        """``(batch, post)``: whose spike of this rank is lost; None without loss."""
        if self.imperfections.spike_loss == 0:
            return None
        draw = self._generator(layer, 2, rank).random((batch, post))
        return np.asarray(draw < self.imperfections.spike_loss)

    def threshold_of_sample(self, layer: int, batch: int, post: int) -> Array | None:
        """``(batch, post)``: shift of each threshold in each sample; None: none."""
        if self.imperfections.threshold_sample == 0:
            return None
        draw = self._generator(layer, 4).standard_normal((batch, post))
        return self.imperfections.threshold_sample * draw

    def of_link(self, direction: int, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """Which events are lost on the link (0: to the chip, 1: from it); None: none."""
        if self.imperfections.link_loss == 0:
            return None
        draw = self._generator(direction, 5).random(shape)
        return np.asarray(draw < self.imperfections.link_loss)

    def of_weights(self, projection: int, shape: tuple[int, ...]) -> Array | None:
        """Shift of every weight, of the largest; None: none."""
        if self.imperfections.weight_trial == 0:
            return None
        draw = self._generator(projection, 6).standard_normal(shape)
        return self.imperfections.weight_trial * draw

    def of_membranes(self, layer: int) -> np.random.Generator:
        """Noise of membranes, step by step."""
        return self._generator(layer, 7)

    def of_delay(self, projection: int, batch: int, pre: int, rank: int) -> Array:
        """``(batch, pre)``: by how much later the delay neurons of a projection fire.

        One number for each spike, which all that listen to the delay neuron share.
        """
        if self.imperfections.delay_jitter == 0:
            return np.zeros((batch, pre))
        draw = self._generator(projection, 3, rank).standard_normal((batch, pre))
        return self.imperfections.delay_jitter * draw
