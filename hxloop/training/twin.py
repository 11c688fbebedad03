"""The digital twin of a network: its neurons as they are measured to be on their circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.chip.placement import PlacedLayer, fan_in, input_rows, place_layers
from hxloop.errors import CapacityError, NetworkError
from hxloop.network import NetworkSpec, NeuronParameters, NeuronSpec, Parameters
from hxloop.substrate import Session
from hxloop.substrate.optional import circuits_of


def digital_twin(
    session: Session, pattern: Mapping[str, NDArray[np.float64]]
) -> tuple[PlacedLayer, ...]:
    """A network's neurons as they are measured to be, for ``LoopNetwork(twin=...)``.

    Args:
        session: open; it says on which circuits the network is placed.
        pattern: of the whole chip, as ``CalibrationResult.pattern`` gives it. NaN, what could
            not be measured of a circuit, is taken as nominal.

    Raises:
        CapacityError: a session that does not tell its placement.
    """
    circuits = circuits_of(session)
    if circuits is None:
        raise CapacityError(
            f"digital_twin: {type(session).__name__} does not say on which circuits its neurons "
            "are; expected a session of a chip that can be calibrated"
        )
    known = {
        name: np.where(np.isfinite(values), values, 0.0 if name.startswith("v_") else 1.0)
        for name, values in pattern.items()
    }
    return place_layers(session.network, circuits, known)


def checked_twin(
    where: str, twin: Sequence[PlacedLayer], network: NetworkSpec
) -> tuple[PlacedLayer, ...]:
    """A twin that fits a network.

    Args:
        where: begins messages.
        twin: of each layer.
        network: whose it is to be.

    Raises:
        NetworkError: it is of other layers.
    """
    twin = tuple(twin)
    expected = list(zip(fan_in(network), network.sizes[1:], strict=True))
    if [layer.strength_exc.shape for layer in twin] != expected:
        raise NetworkError(
            f"{where}: expected layers of shapes {expected} (all inputs of a population, and its "
            f"neurons) for network {network}; got {[layer.strength_exc.shape for layer in twin]}"
        )
    return twin


@dataclass(frozen=True)
class TwinOfRun:
    """What the gradient of all spikes takes in the place of the nominal neurons.

    Attributes:
        parameters: weights as the measured neurons feel them; delays as held.
        neurons: of each population.
        factors: of each projection ``(pre, post)``, what a weight is felt as.
    """

    parameters: Parameters
    neurons: tuple[NeuronParameters, ...]
    factors: tuple[NDArray[np.float64], ...]

    @classmethod
    def of(cls, network: NetworkSpec, held: Parameters, twin: Sequence[PlacedLayer]) -> TwinOfRun:
        """The twin at the weights that a substrate held.

        Args:
            network: any network.
            held: as the substrate held them.
            twin: of each population, see ``checked_twin``.
        """
        factors = tuple(
            twin[post].strengths(np.asarray(matrix, np.float64), rows)
            for (_, post), matrix, rows in zip(
                network.ends, held.weights, input_rows(network), strict=True
            )
        )
        felt = tuple(np.asarray(w) * f for w, f in zip(held.weights, factors, strict=True))
        return cls(Parameters(felt, held.delays), tuple(p.parameters for p in twin), factors)

    def of_held(self, gradients: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
        """Gradients of felt weights, of each projection, as those of the weights held."""
        return [each * factor for each, factor in zip(gradients, self.factors, strict=True)]


def model_of_layer(
    nominal: NeuronSpec, twin: PlacedLayer | None, weights: Tensor, used: NDArray[np.float64]
) -> tuple[NeuronSpec | NeuronParameters, Tensor, Tensor]:
    """Neurons of a layer, its trained weights and those in use, as the gradient has them.

    Args:
        nominal: what the neurons are meant to be.
        twin: what they are measured to be; None: not known.
        weights: that are trained, ``(pre, post)``.
        used: as the substrate held them.
    """
    held = torch.tensor(used)
    if twin is None:
        return nominal, weights, held
    felt = torch.from_numpy(twin.strengths(used))
    return twin.parameters, weights * felt, held * felt
