"""The only conversions between model time and physical time in the project."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.errors import NetworkError

# Where a file wants seconds, and a network in model time has none: a time constant as in cortex.
DEFAULT_TAU_SYN_MS = 10.0


@dataclass(frozen=True)
class TimeBase:
    """How long one unit of model time (one synaptic time constant) lasts on a substrate.

    Args:
        tau_syn_seconds: the synaptic time constant in seconds, 6e-6 on BrainScaleS-2 as used
            by Göltz et al. 2021.

    Raises:
        NetworkError: not a positive finite number.

    Example:
        >>> float(TimeBase(6e-6).to_us(2.0))
        12.0
    """

    tau_syn_seconds: float

    def __post_init__(self) -> None:
        value = checks.number(
            "TimeBase.tau_syn_seconds",
            self.tau_syn_seconds,
            above=0,
            what="time in seconds",
            error=NetworkError,
        )
        checks.settle(self, tau_syn_seconds=value)

    def to_us(self, model_time: ArrayLike) -> NDArray[np.float64]:
        """Model time -> microseconds; ``inf`` stays ``inf``."""
        return np.asarray(model_time, dtype=np.float64) * (self.tau_syn_seconds * 1e6)

    def from_us(self, time_us: ArrayLike) -> NDArray[np.float64]:
        """Microseconds -> model time; ``inf`` stays ``inf``."""
        return np.asarray(time_us, dtype=np.float64) / (self.tau_syn_seconds * 1e6)

    def to_ms(self, model_time: ArrayLike) -> NDArray[np.float64]:
        """Model time -> milliseconds; ``inf`` stays ``inf``."""
        return np.asarray(model_time, dtype=np.float64) * (self.tau_syn_seconds * 1e3)

    def from_ms(self, time_ms: ArrayLike) -> NDArray[np.float64]:
        """Milliseconds -> model time; ``inf`` stays ``inf``."""
        return np.asarray(time_ms, dtype=np.float64) / (self.tau_syn_seconds * 1e3)

    def tick(self, clock_seconds: float) -> float:
        """Length of one clock cycle in model time."""
        return clock_seconds / self.tau_syn_seconds
