"""What backends, sessions and calibrations may offer beyond the minimum, and what holds without.

What everybody has stands in ``hxloop.substrate.protocol``; what only some have is declared here.
Nobody probes for it: it is asked for by the functions below, which know what holds where it is
not there. A backend that has nothing of this is a backend all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.network import NetworkSpec
from hxloop.substrate.protocol import Backend, Calibration, Session


class Described(Protocol):
    """A backend that has something to say before it is opened."""

    def describe(self) -> str:
        """What whoever waits for it should know, in lines; "" = nothing."""
        ...


class Deviating(Protocol):
    """A backend that is known not to pass a check of ``hxloop.conformance``."""

    @property
    def known_deviations(self) -> Mapping[str, str]:
        """Name of the check -> why it cannot pass."""
        ...


class GroundTruth(Protocol):
    """An emulator, which knows what it has drawn. For reports, never for a calibration."""

    def substrate_parameters(
        self, network: NetworkSpec, calibration: Calibration | None = None
    ) -> Mapping[str, NDArray[np.float64]]:
        """The true parameters by name, one value for each circuit that the network uses.

        Args:
            network: what is placed.
            calibration: that the backend is opened with.
        """
        ...


class Calibrated(Protocol):
    """A backend that knows which calibrations are its own."""

    def check_calibration(self, network: NetworkSpec, calibration: Calibration) -> None:
        """Refuse what is no calibration of this substrate, or none for this network.

        Raises:
            CalibrationError: no calibration, or one of another substrate or network.
            CapacityError: it leaves too little usable.
        """
        ...


class Costed(Protocol):
    """A backend that can estimate what a sample costs on the chip that it is, or stands for."""

    def cost_of_sample(self, events_in: float, events_out: float) -> Mapping[str, float]:
        """An estimate by name, with the unit in the name.

        Args:
            events_in, events_out: spikes to the chip and from it in one sample, on the mean.
        """
        ...


class Exclusive(Protocol):
    """A backend behind which there is a device that one program at a time can use."""

    @property
    def device(self) -> str:
        """Which one; the same text wherever the same device is meant."""
        ...


class Placed(Protocol):
    """A session that says where its neurons are."""

    @property
    def circuits(self) -> tuple[NDArray[np.int64], ...] | None:
        """For each layer ``(post, merged)``, which circuits make up its neurons."""
        ...


class Identified(Protocol):
    """A calibration that can be told from others."""

    @property
    def digest(self) -> str:
        """Identifies it."""
        ...


class OfChip(Protocol):
    """A calibration that knows which chip it was made on."""

    @property
    def chip_id(self) -> str | None:
        """The chip; None: any chip will do, or nobody knows."""
        ...


class OfCircuits(Protocol):
    """A calibration that knows the circuits one by one."""

    @property
    def usable(self) -> NDArray[np.bool_]:
        """``(circuits,)``: which may be used."""
        ...


def offers(thing: object, protocol: type) -> bool:
    """Whether something has all that a protocol names.

    By name, not by ``isinstance``, which sees no further than the class: what is wrapped (by
    ``hxloop.record``, for one) offers what is inside.
    """
    names = {name for part in protocol.__mro__ for name in vars(part) if not name.startswith("_")}
    return all(hasattr(thing, name) for name in names)


def _as(thing: Any, protocol: type) -> Any:
    """The same, if it offers what the protocol says; else None."""
    return thing if offers(thing, protocol) else None


def description(backend: Backend) -> str:
    """What a backend has to say before it is opened; "" = nothing."""
    found: Described | None = _as(backend, Described)
    return "" if found is None else found.describe()


def device_of(backend: Backend) -> str | None:
    """The device that one program at a time can use; None: nothing is in the way of several."""
    found: Exclusive | None = _as(backend, Exclusive)
    return None if found is None else found.device


def known_deviations(backend: Backend) -> Mapping[str, str]:
    """Names of the checks that a backend says it fails, each with the reason."""
    found: Deviating | None = _as(backend, Deviating)
    return {} if found is None else found.known_deviations


def true_parameters(
    backend: Backend, network: NetworkSpec, calibration: Calibration | None = None
) -> Mapping[str, NDArray[np.float64]]:
    """What an emulator has drawn for the circuits in use, by name; {} where nobody knows."""
    found: GroundTruth | None = _as(backend, GroundTruth)
    if found is None:
        return {}
    if calibration is None:  # one that cannot be calibrated need not take a calibration
        return found.substrate_parameters(network)
    return found.substrate_parameters(network, calibration)


def check_calibration(
    backend: Backend, network: NetworkSpec, calibration: Calibration | None
) -> None:
    """Refuse a calibration that is not one of this backend, if the backend can tell.

    Raises:
        CalibrationError, CapacityError: see ``Calibrated``.
    """
    found: Calibrated | None = _as(backend, Calibrated)
    if calibration is not None and found is not None:
        found.check_calibration(network, calibration)


def cost_of_sample(backend: Backend, events_in: float, events_out: float) -> Mapping[str, float]:
    """What a sample is estimated to cost on the chip, see ``Costed``; {} where there is none."""
    found: Costed | None = _as(backend, Costed)
    return {} if found is None else found.cost_of_sample(events_in, events_out)


def circuits_of(session: Session) -> tuple[NDArray[np.int64], ...] | None:
    """For each layer ``(post, merged)``, the circuits of a session; None: it does not say."""
    found: Placed | None = _as(session, Placed)
    return None if found is None else found.circuits


def network_of(session: object) -> NetworkSpec | None:
    """The network of an open session; None: this is no session."""
    network = getattr(session, "network", None)
    return network if isinstance(network, NetworkSpec) else None


def digest_of_calibration(calibration: Calibration | None) -> str | None:
    """What identifies a calibration; None where there is none, or it does not say."""
    found: Identified | None = _as(calibration, Identified)
    return None if found is None else found.digest


def chip_of_calibration(calibration: Calibration | None) -> str | None:
    """Which chip a calibration was made on; None where it does not say."""
    found: OfChip | None = _as(calibration, OfChip)
    return None if found is None else found.chip_id


def usable_circuits(calibration: Calibration, n_circuits: int) -> NDArray[np.bool_]:
    """``(circuits,)``: which may be used; all of them, where a calibration does not say."""
    found: OfCircuits | None = _as(calibration, OfCircuits)
    return np.ones(n_circuits, dtype=np.bool_) if found is None else np.asarray(found.usable)
