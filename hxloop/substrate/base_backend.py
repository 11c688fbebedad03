"""A backend of which only its session is left to write, and what it can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from hxloop.network import NetworkSpec
from hxloop.substrate.base_session import BaseSession
from hxloop.substrate.capabilities import Capabilities
from hxloop.substrate.checks import check_network, check_stream, refuse_calibration
from hxloop.substrate.protocol import Calibration


class BaseBackend(ABC):
    """A backend for others to inherit, as a frozen dataclass whose fields are its options.

    What is left to say is ``name``, ``capabilities`` and ``session``; ``open`` is for those that
    take a calibration, or have limits that ``check_network`` does not know.

    Attributes:
        session: class of its sessions, made of the backend, the network and ``seed=``.
        known_deviations: names of the checks of ``hxloop.conformance`` that it is known not to
            pass, each with the reason.
    """

    session: ClassVar[type[BaseSession[Any]]]
    known_deviations: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @property
    @abstractmethod
    def name(self) -> str:
        """Name under which ``get_backend`` finds it."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it can do."""

    def describe(self) -> str:
        """What whoever waits for it should know before it is opened, in lines; "" = nothing."""
        return ""

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> BaseSession[Any]:
        """Open a session; ``seed`` is of its noise, where it has noise.

        Raises:
            CapacityError: the network does not fit, or a calibration was given.
            RunInputError: a seed that is no whole number.
        """
        refuse_calibration(self.name, calibration)
        seed = check_stream("seed", seed)
        check_network(network, self.capabilities, self.name)
        return self.session(self, network, seed=seed)
