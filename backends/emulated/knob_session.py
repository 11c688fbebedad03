"""The part of an emulated chip's session that a calibration talks to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hxloop.backends.emulated.knob_curves import KNOB_RANGES
from hxloop.backends.emulated.readout import ChipReadout
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes, KnobRange, Readings, Stimulus, Traces
from hxloop.substrate import check_stream
from hxloop.substrate.guard import ForkSafeLock


class KnobSession:
    """``hxloop.chip.readout.Readout``, for a session to inherit.

    Args:
        readout: codes and converters.
        chip_id: of the chip.
        on_change: called with the codes and the target when knobs have been turned.
        check_open: raises when the session is closed.
    """

    def __init__(
        self,
        readout: ChipReadout,
        chip_id: str,
        on_change: Callable[[Mapping[str, Codes], OperatingPoint | None], None],
        check_open: Callable[[], None],
    ) -> None:
        self._readout, self._chip_id = readout, chip_id
        self._on_change, self._check_open = on_change, check_open
        # Codes, and the numbers that noise is drawn with: one thread at a time.
        self._knob_lock = ForkSafeLock()

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
        self._check_open()
        with self._knob_lock:
            self._readout.set_knobs(codes)
            self._on_change(self._readout.codes, target)

    def measure(
        self, stimulus: Stimulus, observe: Iterable[str], *, trial: int | None = None
    ) -> Readings:
        """Read all circuits out in parallel; see ``hxloop.chip.readout.Readout``."""
        self._check_open()
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
        self._check_open()
        check_stream("trial", trial)
        with self._knob_lock:
            return self._readout.trace(stimulus, circuits, line, trial)
