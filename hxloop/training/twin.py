"""The digital twin of a network: its neurons as they are measured to be on their circuits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hxloop.chip.placement import PlacedLayer, place_layers
from hxloop.errors import CapacityError, NetworkError
from hxloop.network import NetworkSpec, NeuronParameters, NeuronSpec
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
        NetworkError: it is of other layers, or the network is of a kind that has none yet.
    """
    twin = tuple(twin)
    if network.features:
        raise NetworkError(
            f"{where}: expected a chain of layers whose neurons spike once; network {network} has "
            "no digital twin yet"
        )
    if tuple(layer.strength_exc.shape for layer in twin) != network.shapes:
        raise NetworkError(
            f"{where}: expected layers of shapes {network.shapes} for network {network}; got "
            f"{[layer.strength_exc.shape for layer in twin]}"
        )
    return twin


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
