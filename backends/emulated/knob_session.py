"""The part of an emulated chip's session that a calibration talks to."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from hxloop.backends.emulated.knob_curves import KNOB_RANGES
from hxloop.backends.emulated.readout import ChipReadout
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes, KnobRange, Readings, Stimulus, Traces
from hxloop.network import NetworkSpec
from hxloop.substrate import BaseSession, check_stream
from hxloop.substrate.base_session import S
from hxloop.substrate.guard import ForkSafeLock


class KnobSession(BaseSession[S]):
    """``hxloop.chip.readout.Readout``, for a session to inherit.

    Args:
        backend, network: see ``BaseSession``.
        seed: of the noise.
        readout: codes and converters.
        chip_id: of the chip.
    """

    seed: int

    def __init__(
        self, backend: S, network: NetworkSpec, seed: int, readout: ChipReadout, chip_id: str
    ) -> None:
        super().__init__(backend, network, seed=seed)
        self._readout, self._chip_id = readout, chip_id
        # Codes, and the numbers that noise is drawn with: one thread at a time.
        self._knob_lock = ForkSafeLock()

    @abstractmethod
    def _turned(self, codes: Mapping[str, Codes], target: OperatingPoint | None) -> None:
        """Knobs have been turned: to these codes, for this target."""

    @property
    def chip_id(self) -> str:
        """Which chip this is."""
        return self._chip_id

    @property
    def n_circuits(self) -> int:
        """Number of circuits of the chip."""
        return len(next(iter(self._readout.codes.values())))

    @property
    def knob_ranges(self) -> Mapping[str, KnobRange]:
        """The knobs by name."""
        return KNOB_RANGES

    @property
    def codes(self) -> dict[str, Codes]:
        """Present codes; copies."""
        return self._readout.codes

    def set_knobs(self, codes: Mapping[str, Codes], target: OperatingPoint | None = None) -> None:
        """Turn knobs; see ``hxloop.chip.readout.Readout``."""
        self._require_open()
        with self._knob_lock:
            self._readout.set_knobs(codes)
            self._turned(self._readout.codes, target)

    def measure(
        self, stimulus: Stimulus, observe: Iterable[str], *, trial: int | None = None
    ) -> Readings:
        """Read all circuits out in parallel; see ``hxloop.chip.readout.Readout``."""
        self._require_open()
        check_stream("trial", trial)
        with self._knob_lock:
            return self._readout.measure(stimulus, observe, trial)

    def trace(
        self,
        stimulus: Stimulus,
        circuits: Any,
        line: str = "membrane",
        *,
        trial: int | None = None,
    ) -> Traces:
        """Fast traces of one or two circuits a run; see ``hxloop.chip.readout.Readout``."""
        self._require_open()
        check_stream("trial", trial)
        with self._knob_lock:
            return self._readout.trace(stimulus, circuits, line, trial)
