"""Turning the knobs of a chip and reading it out: all that a calibration sees of a substrate.

A session that offers this is one whose ``capabilities.knobs`` is not empty. It is an extension
of ``Session``: the same session runs networks at the present settings of the knobs.
Potentials are in LSB of the 8-bit converter, times in microseconds of the chip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hxloop.chip.operating_point import OperatingPoint
from hxloop.errors import CapacityError, RunInputError
from hxloop.substrate import Session
from hxloop.substrate.optional import offers

Codes = NDArray[np.int64]
LINES = ("membrane", "syn_exc", "syn_inh")
OBSERVABLES = ("cadc", "spikes", "counters", "madc")


@dataclass(frozen=True)
class KnobRange:
    """The integer codes of a knob, both ends included."""

    low: int = 0
    high: int = 1022


@dataclass(frozen=True)
class Stimulus:
    """What every circuit is given in one measurement.

    Args:
        duration_us: how long it takes.
        events: (time in us, signed weight code) of synaptic events, the same for all circuits.
        reset_until_us: the membrane is held at its reset potential until then.
        current: constant current onto the membrane, nominally in LSB per microsecond. Its
            true size differs from circuit to circuit.
        leak, exc_input, inh_input, spiking: what is switched on. Without the leak the membrane
            integrates (for a few milliseconds); without spiking no threshold is applied.
        refractory_us: what the counters that hold a circuit after a spike are set to; None: as the
            session has them.

    Raises:
        RunInputError: times that are negative, not finite or beyond the end, or codes that are
            not whole numbers.
    """

    duration_us: float
    events: tuple[tuple[float, int], ...] = ()
    reset_until_us: float = 0.0
    current: float = 0.0
    leak: bool = True
    exc_input: bool = True
    inh_input: bool = True
    spiking: bool = False
    refractory_us: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.duration_us) and 0 < self.duration_us <= 1e4):
            raise RunInputError(
                f"Stimulus.duration_us: expected more than 0, at most 10000; got {self.duration_us}"
            )
        for time, code in self.events:
            if not 0 <= time < self.duration_us or int(code) != code:
                raise RunInputError(
                    "Stimulus.events: expected times within the duration of "
                    f"{self.duration_us:g} us and whole codes; got ({time}, {code})"
                )
        if not (math.isfinite(self.current) and 0 <= self.reset_until_us <= self.duration_us):
            raise RunInputError(
                "Stimulus: expected a finite current and reset_until_us within the duration; got "
                f"{self.current} and {self.reset_until_us}"
            )
        held = self.refractory_us
        if held is not None and not 0 <= held <= self.duration_us:
            raise RunInputError(
                f"Stimulus.refractory_us: expected 0 to the duration of {self.duration_us:g} us; "
                f"got {held}"
            )


@dataclass(frozen=True)
class Readings:
    """What one measurement saw of all circuits at once. What was not asked for is None.

    Attributes:
        times_us: ``(samples,)`` of the parallel converter.
        cadc: ``(circuits, samples)`` membranes, 8 bit.
        spike_times_us: ``(circuits, spikes)``, on the chip's clock, ``inf`` after the last.
            As many columns as the liveliest circuit has spikes, at most 255.
        counts: ``(circuits,)`` spikes, as an 8-bit counter has it: it stays at 255.
    """

    times_us: NDArray[np.float64] | None = None
    cadc: NDArray[np.int64] | None = None
    spike_times_us: NDArray[np.float64] | None = None
    counts: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Traces:
    """Fast 10-bit traces of two circuits a run.

    Attributes:
        times_us: ``(samples,)``; the first few microseconds hold no valid samples.
        samples: ``(runs, circuits of a run, samples)``.
    """

    times_us: NDArray[np.float64]
    samples: NDArray[np.int64]


@runtime_checkable
class Readout(Session, Protocol):
    """A session with knobs and converters."""

    @property
    def chip_id(self) -> str:
        """Which chip this is."""
        ...

    @property
    def n_circuits(self) -> int:
        """Number of neuron circuits of the chip, whatever the network uses of them."""
        ...

    @property
    def circuits(self) -> tuple[NDArray[np.int64], ...]:
        """For each layer ``(post, merged)``, which circuits make up its neurons."""
        ...

    @property
    def knob_ranges(self) -> Mapping[str, KnobRange]:
        """The knobs of every circuit by name."""
        ...

    @property
    def codes(self) -> dict[str, Codes]:
        """Present codes of every knob, ``(circuits,)`` each; copies."""
        ...

    def set_knobs(self, codes: Mapping[str, Codes], target: OperatingPoint | None = None) -> None:
        """Turn knobs. Runs of the network that follow feel it, too.

        Args:
            codes: ``(circuits,)`` whole numbers, for some or all knobs.
            target: the operating point that model units are to refer to from now on.

        Raises:
            RunInputError: unknown knobs, wrong shapes, or codes out of range.
        """
        ...

    def measure(
        self, stimulus: Stimulus, observe: Iterable[str], *, trial: int | None = None
    ) -> Readings:
        """One run of all circuits, read out in parallel.

        Args:
            stimulus: what they get.
            observe: some of "cadc", "spikes", "counters".
            trial: stream of the noise, which is a function of the session's seed and of this, so
                that a calibration that was stopped goes on as if it had not been; None: the next
                one. Real hardware ignores it.

        Raises:
            RunInputError: something else to observe, or event codes beyond the weights' range.
        """
        ...

    def trace(
        self,
        stimulus: Stimulus,
        circuits: Any,
        line: str = "membrane",
        *,
        trial: int | None = None,
    ) -> Traces:
        """As many runs as ``circuits`` has rows, each with a fast trace of one or two circuits.

        Args:
            stimulus: what they get.
            circuits: ``(runs, 1 or 2)`` numbers of circuits: of two, one even and one odd.
            line: "membrane", "syn_exc" or "syn_inh".
            trial: see ``measure``.

        Raises:
            RunInputError: two even or two odd circuits in one run, or one that does not exist.
        """
        ...


def as_readout(session: Session) -> Readout:
    """The session, if it can be calibrated.

    Raises:
        CapacityError: it has no knobs, or cannot be read out.
    """
    knobs = session.capabilities.knobs
    offered: Any = session
    if not knobs or not offers(offered, Readout):
        raise CapacityError(
            f"calibration: {type(session).__name__} has no knobs to turn (capabilities.knobs: "
            f"{', '.join(sorted(knobs)) or 'none'}) and converters to read it out; expected a "
            "session with both, such as one of the backend 'emulated-chip'. Weight and time "
            "scale can be fitted on every backend: hxloop.calibration.fit_scales"
        )
    readout: Readout = offered
    return readout


def check_pairs(circuits: Any, n_circuits: int) -> NDArray[np.int64]:
    """Circuits of a fast trace, checked: one, or one even and one odd, in every run.

    Raises:
        RunInputError: anything else.
    """
    chosen = np.asarray(circuits)
    if chosen.ndim != 2 or chosen.shape[1] not in (1, 2) or chosen.dtype.kind not in "iu":
        raise RunInputError(
            "trace: expected circuits of shape (runs, 1 or 2), whole numbers; got shape "
            f"{chosen.shape} of {chosen.dtype}"
        )
    outside = (chosen < 0) | (chosen >= n_circuits)
    if outside.any():
        raise RunInputError(
            f"trace: expected circuits from 0 to {n_circuits - 1}; got {chosen[outside][0]}"
        )
    if chosen.shape[1] == 2 and (same := (chosen % 2).sum(axis=1) != 1).any():
        run = int(np.flatnonzero(same)[0])
        raise RunInputError(
            "trace: the fast converter has one channel for even and one for odd circuits; expected "
            f"one of each in a run; got {chosen[run].tolist()} in run {run}"
        )
    return chosen.astype(np.int64)


def check_codes(
    codes: Mapping[str, Any], ranges: Mapping[str, KnobRange], n_circuits: int
) -> dict[str, Codes]:
    """Codes of knobs, checked and copied.

    Raises:
        RunInputError: unknown knobs, wrong shapes, or codes out of range.
    """
    checked = {}
    for name, values in codes.items():
        if name not in ranges:
            raise RunInputError(f"knob {name!r}: unknown; known: {', '.join(sorted(ranges))}")
        array, span = np.asarray(values), ranges[name]
        if array.shape != (n_circuits,) or array.dtype.kind not in "iu":
            raise RunInputError(
                f"knob {name!r}: expected whole numbers, one for each of {n_circuits} circuits; "
                f"got shape {array.shape} of {array.dtype}"
            )
        outside = (array < span.low) | (array > span.high)
        if outside.any():
            circuit = int(np.flatnonzero(outside)[0])
            raise RunInputError(
                f"knob {name!r}: expected codes from {span.low} to {span.high}; got "
                f"{array[circuit]} at circuit {circuit}"
            )
        checked[name] = array.astype(np.int64)
    return checked


def check_observables(observe: Iterable[str]) -> frozenset[str]:
    """Names of what is to be read out in parallel, checked.

    Raises:
        RunInputError: something else, or nothing.
    """
    asked = frozenset(observe)
    known = frozenset(OBSERVABLES) - {"madc"}
    if not asked or asked - known:
        raise RunInputError(
            f"measure: expected some of {', '.join(sorted(known))}; got "
            f"{', '.join(sorted(asked)) or 'nothing'}"
        )
    return asked
