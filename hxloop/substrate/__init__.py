"""What every substrate promises: protocol, capabilities, the checks before a run, the registry.

A backend describes a substrate; opening it with a network gives a session, and a session has one
job: run weights and input times, return the activity. Everything that can be wrong with an input
is checked here, before any substrate sees it. ``BaseBackend`` and ``BaseSession`` do all of it but
the simulation.
"""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.substrate.base_backend import BaseBackend
    from hxloop.substrate.base_session import BaseSession, OwnedSession
    from hxloop.substrate.capabilities import Capabilities
    from hxloop.substrate.checks import (
        check_input,
        check_network,
        check_run,
        check_stream,
        refuse_calibration,
    )
    from hxloop.substrate.protocol import Backend, Calibration, Session
    from hxloop.substrate.registry import (
        ENTRY_POINT_GROUP,
        backend_class,
        backend_names,
        get_backend,
    )
    from hxloop.substrate.simulated import Simulated
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = [
    "ENTRY_POINT_GROUP",
    "Backend",
    "BaseBackend",
    "BaseSession",
    "Calibration",
    "Capabilities",
    "OwnedSession",
    "Session",
    "Simulated",
    "backend_class",
    "backend_names",
    "check_input",
    "check_network",
    "check_run",
    "check_stream",
    "get_backend",
    "refuse_calibration",
]
