"""Finding the code of a knob at which something measured has a wanted value.

One knob of each circuit, all circuits at once. Searches know nothing of what is measured: they
are given a function from codes ``(circuits,)`` to values ``(circuits,)``. NaN is a value that
could not be measured and counts as too large.

The searches are those used for real BrainScaleS-2 chips (calix: BinarySearch,
NoisyBinarySearch, LinearSearch, PolynomialPrediction), written anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop.chip.readout import Codes, KnobRange

Array = NDArray[np.float64]
Measure = Callable[[Codes], Array]
_FAR = 20  # codes over which a slope is seen above the noise


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        codes: ``(circuits,)``.
        errors: ``(circuits,)`` measured minus wanted at these codes; NaN: not measurable.
        at_end: ``(circuits,)``: the code is at an end of the knob's range.
        convergence: ``(measurements, 3)``: 16th, 50th and 84th percentile of the size of the
            error over all circuits, measurement by measurement.
    """

    codes: Codes
    errors: Array
    at_end: NDArray[np.bool_]
    convergence: Array


class Search(Protocol):
    """A way to find codes."""

    def __call__(
        self,
        measure: Measure,
        wanted: Array,
        start: Codes,
        knob: KnobRange,
        rising: bool,
        rng: np.random.Generator,
    ) -> Found:
        """Search.

        Args:
            measure: values at codes.
            wanted: ``(circuits,)`` values to be reached.
            start: ``(circuits,)`` codes to begin at, for those searches that ask for any.
            knob: range of the codes.
            rising: the value grows with the code.
            rng: for searches that add noise to the codes.
        """
        ...


class _Log:
    """Measurements so far, and the best of the last few of them."""

    def __init__(self, wanted: Array, keep: int) -> None:
        self._wanted, self._keep = wanted, keep
        self._codes: list[Codes] = []
        self._errors: list[Array] = []
        self._rows: list[Array] = []

    def add(self, codes: Codes, values: Array) -> Array:
        errors = values - self._wanted
        self._codes.append(codes.copy())
        self._errors.append(errors)
        sizes = np.abs(errors[np.isfinite(errors)])
        quantiles = np.percentile(sizes, [16, 50, 84]) if sizes.size else np.full(3, np.nan)
        self._rows.append(quantiles)
        return errors

    def found(self, knob: KnobRange) -> Found:
        errors = np.stack(self._errors[-self._keep :])
        sizes = np.where(np.isfinite(errors), np.abs(errors), np.inf)
        best = sizes.argmin(axis=0)
        chosen = np.arange(errors.shape[1])
        codes = np.stack(self._codes[-self._keep :])[best, chosen]
        at_end = (codes <= knob.low) | (codes >= knob.high)
        return Found(codes, errors[best, chosen], at_end, np.stack(self._rows))


@dataclass(frozen=True)
class Bisection:
    """Halves the range again and again, then tries the neighbours; the best of the last three.

    Args:
        dither: the first code is off by up to so much, at random, so that equal circuits get
            different codes: equal codes disturb each other.
        more: measurements beyond those that halving down to one code takes.
        keep: the best of so many last measurements is taken.
    """

    dither: int = 0
    more: int = 2
    keep: int = 3

    def __call__(
        self,
        measure: Measure,
        wanted: Array,
        start: Codes,
        knob: KnobRange,
        rising: bool,
        rng: np.random.Generator,
    ) -> Found:
        """See ``Search``; ``start`` is not used."""
        span = knob.high - knob.low + 1
        codes = np.full(len(wanted), knob.low + span // 2, dtype=np.int64)
        codes += rng.integers(-self.dither, self.dither + 1, len(codes))
        log = _Log(wanted, self.keep)
        for step in range(int(np.ceil(np.log2(span))) + self.more):
            errors = log.add(codes, measure(codes))
            too_small = errors < 0
            up = too_small if rising else ~too_small
            width = max(1, int(np.ceil(span / 2 ** (step + 2))))
            codes = np.clip(codes + np.where(up, width, -width), knob.low, knob.high)
        return log.found(knob)


def noisy_bisection() -> Bisection:
    """Bisection with dither, one more step, and the best of the last six."""
    return Bisection(dither=5, more=3, keep=6)


@dataclass(frozen=True)
class LinearSearch:
    """Walks in equal steps from the start towards the wanted value, until all have passed it.

    Args:
        step: codes of one step.
        most: largest number of measurements.
    """

    step: int = 8
    most: int = 140

    def __call__(
        self,
        measure: Measure,
        wanted: Array,
        start: Codes,
        knob: KnobRange,
        rising: bool,
        rng: np.random.Generator,
    ) -> Found:
        """See ``Search``."""
        codes = np.clip(start, knob.low, knob.high).astype(np.int64)
        log = _Log(wanted, self.most)
        direction: Codes | None = None
        walking = np.ones(len(codes), dtype=np.bool_)
        for _ in range(self.most):
            errors = log.add(codes, measure(codes))
            up = errors < 0 if rising else ~(errors < 0)
            towards = np.where(up, 1, -1)
            if direction is None:
                direction = towards
            walking &= towards == direction
            moved = np.clip(codes + self.step * direction * walking, knob.low, knob.high)
            if (moved == codes).all():
                break
            codes = moved
        return log.found(knob)


# (codes, values, wanted) -> codes at which the wanted values are expected.
Model = Callable[[Codes, Array, Array], Array]


@dataclass(frozen=True)
class Prediction:
    """Jumps to where a model of the curve says the wanted value is, a few times.

    Args:
        model: of the curve, through the point that was measured. None: a line, whose slope is the
            median that the circuits showed in the jumps so far; the first is a probe.
        steps: number of measurements; the best counts.
        furthest: longest jump, codes. Where nothing could be measured, it is made towards
            smaller values.
        probe: length of the first jump without a model, codes.
    """

    model: Model | None
    steps: int = 4
    furthest: int = 300
    probe: int = 100

    def __call__(
        self,
        measure: Measure,
        wanted: Array,
        start: Codes,
        knob: KnobRange,
        rising: bool,
        rng: np.random.Generator,
    ) -> Found:
        """See ``Search``."""
        codes = np.clip(start, knob.low, knob.high).astype(np.int64)
        log = _Log(wanted, self.steps)
        up = 1 if rising else -1
        blind = -up * self.furthest
        before, slope = (codes, np.full(codes.shape, np.nan)), 0.0
        for _ in range(self.steps):
            values = measure(codes)
            known = np.isfinite(log.add(codes, values))
            seen = np.where(known, values, wanted)
            if self.model is not None:
                expected = self.model(codes, seen, wanted)
            else:
                slope = _slope(*before, codes, values) or slope
                if slope * up > 0:
                    expected = linear(slope)(codes, seen, wanted)
                else:
                    expected = codes + up * self.probe * np.sign(wanted - seen)
                before = codes, values
            jump = np.where(known, np.rint(expected) - codes, blind)
            jump = np.clip(np.nan_to_num(jump, posinf=1e6, neginf=-1e6),
                           -self.furthest, self.furthest)  # fmt: skip
            codes = np.clip(codes + jump, knob.low, knob.high).astype(np.int64)
        return log.found(knob)


def _slope(codes_before: Codes, values_before: Array, codes: Codes, values: Array) -> float:
    """Median change of the value for each code between two measurements; 0: too small a jump."""
    jump = codes - codes_before
    far = np.abs(jump) >= _FAR
    slopes = (values[far] - values_before[far]) / jump[far]
    known = np.isfinite(slopes)
    # What the noise of a few circuits says is no median.
    return float(np.median(slopes[known])) if known.sum() >= len(codes) / 4 else 0.0


def inverse(codes: Codes, values: Array, wanted: Array) -> Array:
    """A value that falls as 1/code: a time constant over its bias current."""
    return np.asarray(codes * values / wanted)


def proportional(codes: Codes, values: Array, wanted: Array) -> Array:
    """A value that grows as the code: a synaptic strength over its bias current."""
    positive = np.where(values > 0, values, np.nan)
    return np.asarray(codes * np.nan_to_num(wanted / positive, nan=2.0))


def linear(slope: float) -> Model:
    """A value that changes by the same for every code: a potential."""
    return lambda codes, values, wanted: np.asarray(codes + (wanted - values) / slope)
