"""What is measured of every circuit, from what converters and spike stamps show.

Each function takes the bench and the codes of all knobs, and returns one value for each
circuit, NaN where there was nothing to measure. What a measurement needs to be set differently
(a low reset, say), it sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes, Readings, Readout, Stimulus
from hxloop.chip.weight_grid import LARGEST_CODE

Array = NDArray[np.float64]

# Codes of one LSB of a potential's knob, nominally.
CODES_PER_LSB = 2.4
# The parallel converter is trusted between these (vendor: 30 to 210; here noise is what limits).
CADC_LOW, CADC_HIGH = 5, 250
# A trace begins with some time in which the fast converter settles.
SETTLED_US, ONSET_US = 8.5, 12.0
# Ramp of the threshold measurement, LSB per us, and how much of it before a spike is fitted.
RAMP, FITTED_US = 2.0, 20.0
EVENTS, EVENT_CODE = 3, 20


class Bench:
    """A session on the bench: sets codes, counts runs and measurements.

    The noise of a measurement hangs on its number, so a bench that is told how many there were
    (``trials``) measures what one would have that was not stopped.

    Args:
        session: with knobs and converters.
        target: what the neurons are to be.
        on_run: called with the number of runs so far; what it raises stops the calibration.
    """

    def __init__(
        self, session: Readout, target: OperatingPoint, on_run: Callable[[int], None] | None = None
    ) -> None:
        self.session, self.target = session, target
        self.runs = 0
        # Measurements so far: the streams of their noise. They are counted from 1.
        self.trials = 0
        self._on_run = on_run

    @property
    def pairs(self) -> NDArray[np.int64]:
        """All circuits, an even and an odd one in every row."""
        return np.arange(self.session.n_circuits).reshape(-1, 2)

    def set(self, codes: Mapping[str, Codes], reset_lsb: float | None = None) -> None:
        """Set all knobs.

        Args:
            codes: of all knobs.
            reset_lsb: bring every reset potential roughly there, wherever its code has it: it is
                measured once, and its knob is moved by the nominal slope.
        """
        self.session.set_knobs(codes, self.target)
        if reset_lsb is not None:
            span = self.session.knob_ranges["v_reset"]
            present = _cadc(self.measure(Stimulus(12.0, reset_until_us=12.0), "cadc"))[:, 2:]
            steps = np.rint(CODES_PER_LSB * (reset_lsb - present.mean(axis=1))).astype(np.int64)
            moved = np.clip(codes["v_reset"] + steps, span.low, span.high)
            self.session.set_knobs({"v_reset": moved}, self.target)

    def measure(self, stimulus: Stimulus, *observe: str) -> Readings:
        """One run of all circuits."""
        self.count(1)
        return self.session.measure(stimulus, observe, trial=self._next())

    def traces(
        self, stimulus: Stimulus, line: str, pairs: NDArray[np.int64] | None = None
    ) -> tuple[Array, Array]:
        """Fast traces of all circuits (or of some pairs), a run for each pair.

        Returns:
            Times ``(samples,)`` and samples ``(circuits, samples)``, from where they are valid.
        """
        chosen = self.pairs if pairs is None else pairs
        self.count(len(chosen))
        traces = self.session.trace(stimulus, chosen, line, trial=self._next())
        valid = traces.times_us >= SETTLED_US
        samples = traces.samples.reshape(-1, len(traces.times_us))[:, valid]
        return traces.times_us[valid], samples.astype(np.float64)

    def _next(self) -> int:
        self.trials += 1
        return self.trials

    def count(self, runs: int) -> None:
        """So many more runs."""
        self.runs += runs
        if self._on_run is not None:
            self._on_run(self.runs)


def rest(bench: Bench, codes: Mapping[str, Codes], exc: bool = True, inh: bool = True) -> Array:
    """Resting potential, LSB, with some of the synaptic inputs on."""
    bench.set(codes)
    readings = bench.measure(Stimulus(60.0, exc_input=exc, inh_input=inh), "cadc")
    found: Array = _cadc(readings).mean(axis=1)
    return found


def input_offset(bench: Bench, codes: Mapping[str, Codes], sign: str) -> Array:
    """By how much a synaptic input moves the resting potential, LSB."""
    on = rest(bench, codes, exc=sign == "exc", inh=sign == "inh")
    return on - rest(bench, codes, exc=False, inh=False)


def reset(bench: Bench, codes: Mapping[str, Codes]) -> Array:
    """Reset potential, LSB: the membrane held there."""
    bench.set(codes)
    readings = bench.measure(Stimulus(60.0, reset_until_us=60.0), "cadc")
    found: Array = _cadc(readings)[:, 2:-2].mean(axis=1)
    return found


def threshold(bench: Bench, codes: Mapping[str, Codes]) -> Array:
    """Threshold, LSB: a ramp of the membrane, continued to when the spike came.

    The leak and the synaptic inputs are off, the reset is low, and a constant current makes
    the circuit fire regularly. A line is fitted to the samples before each spike.
    """
    bench.set(codes, reset_lsb=30.0)
    until = 5.0
    stimulus = Stimulus(
        200.0, reset_until_us=until, current=RAMP, leak=False,
        exc_input=False, inh_input=False, spiking=True,
    )  # fmt: skip
    readings = bench.measure(stimulus, "cadc", "spikes")
    times, samples = _times(readings), _cadc(readings)
    spikes = np.full((len(samples), 3), np.inf)
    recorded = readings.spike_times_us
    if recorded is not None:
        columns = min(3, recorded.shape[1])
        spikes[:, :columns] = recorded[:, :columns]
    values = np.full(spikes.shape, np.nan)
    begin = np.full(len(samples), until)
    for index, spike in enumerate(spikes.T):
        low = np.maximum(begin + 2.5, spike - FITTED_US)
        window = (times >= low[:, None]) & (times < spike[:, None])
        trusted = window & (samples > CADC_LOW) & (samples < CADC_HIGH)
        line = _line_at(times, samples, trusted, spike)
        # Hardly a ramp: the threshold is at the reset or beyond the converter.
        high = np.nanmax(np.where(window, samples, -1.0), axis=1) >= CADC_HIGH
        line = np.where(trusted.sum(axis=1) < 6, np.where(high, 260.0, 0.0), line)
        values[:, index] = np.where(np.isfinite(spike), line, np.nan)
        begin = spike
    first = np.isfinite(values[:, 0])
    result = np.full(len(samples), np.nan)
    result[first] = np.nanmean(values[first], axis=1)
    return result


def tau_syn(
    bench: Bench, codes: Mapping[str, Codes], sign: str, pairs: NDArray[np.int64] | None = None
) -> Array:
    """Synaptic time constant, us: decay of the synaptic line after an event."""
    bench.set(codes)
    code = LARGEST_CODE if sign == "exc" else -LARGEST_CODE
    length = ONSET_US + 6 * bench.target.tau_syn_us
    stimulus = Stimulus(length, events=((ONSET_US, code),))
    times, samples = bench.traces(stimulus, f"syn_{sign}", pairs)
    before = times < ONSET_US - 0.1
    signal = samples[:, before].mean(axis=1)[:, None] - samples
    return decay_constant(times, signal, ONSET_US + 0.1)


def tau_mem(
    bench: Bench, codes: Mapping[str, Codes], pairs: NDArray[np.int64] | None = None
) -> Array:
    """Membrane time constant, us: return from a low reset to rest."""
    bench.set(codes, reset_lsb=15.0)
    length = ONSET_US + 9 * bench.target.tau_mem_us
    stimulus = Stimulus(length, reset_until_us=ONSET_US, exc_input=False, inh_input=False)
    times, samples = bench.traces(stimulus, "membrane", pairs)
    late = times > length - 1.5 * bench.target.tau_mem_us
    signal = samples[:, late].mean(axis=1)[:, None] - samples
    return decay_constant(times, signal, ONSET_US + 0.1)


def charge(bench: Bench, codes: Mapping[str, Codes], sign: str) -> Array:
    """What an event of each sign adds to a membrane without leak, LSB.

    That is the synaptic strength times the synaptic time constant.
    Only the input of that sign is on. Its offset current lets the membrane drift, so the reset
    is released just before the events, and a run without events is subtracted.
    """
    factor, level = (1, 95.0) if sign == "exc" else (-1, 150.0)
    bench.set(codes, reset_lsb=level)
    onset = 6.0
    settled = onset + 5 * bench.target.tau_syn_us
    common = {
        "duration_us": settled + 12.0,
        "reset_until_us": onset - 0.2,
        "leak": False,
        "exc_input": sign == "exc",
        "inh_input": sign == "inh",
    }
    events = ((onset, factor * EVENT_CODE),) * EVENTS
    with_events = bench.measure(Stimulus(**common, events=events), "cadc")  # type: ignore[arg-type]
    without = bench.measure(Stimulus(**common), "cadc")  # type: ignore[arg-type]
    late = _times(with_events) >= settled
    rise = _cadc(with_events)[:, late].mean(axis=1) - _cadc(without)[:, late].mean(axis=1)
    return np.asarray(factor * rise / EVENTS)


def averaged(measure: Callable[[], Array], repeats: int) -> tuple[Array, Array]:
    """Mean of some measurements and its standard error; NaN where one of them was.

    The standard error is that of the typical circuit, for all of them: of so few measurements
    of a single one it would be little more than a guess.
    """
    values = np.stack([measure() for _ in range(repeats)])
    mean = values.mean(axis=0)
    variances = np.sort(values.var(axis=0, ddof=1)[np.isfinite(mean)])
    typical = variances[: max(1, int(0.95 * len(variances)))]
    error = float(np.sqrt(typical.mean() / repeats)) if typical.size else np.nan
    return mean, np.where(np.isfinite(mean), error, np.nan)


def decay_constant(times: Array, signal: Array, onset: float) -> Array:
    """Time constant of exponential decays.

    Least squares of the logarithm, weighted by the squared signal, over the samples from onset
    until the signal first falls below a sixth of where it began.

    Args:
        times: ``(samples,)``.
        signal: ``(circuits, samples)``, decaying from a positive value to 0.
        onset: where the decay begins.

    Returns:
        ``(circuits,)``, NaN where there is no decay to be seen.
    """
    after = times >= onset
    t, y = times[after] - onset, signal[:, after]
    amplitude = y[:, :4].mean(axis=1)
    # Smoothed, so that noise does not end the window early.
    kernel = np.ones(5) / 5
    padded = np.pad(y, ((0, 0), (2, 2)), mode="edge")
    smooth = sum(weight * padded[:, i : i + y.shape[1]] for i, weight in enumerate(kernel))
    within = np.logical_and.accumulate(smooth > amplitude[:, None] / 6, axis=1) & (y > 0)
    weight = np.where(within, y, 0.0) ** 2
    log = np.log(np.where(within, y, 1.0))
    total = weight.sum(axis=1)
    usable = (within.sum(axis=1) >= 6) & (amplitude > 20)
    total = np.where(usable, total, 1.0)
    mean_t = (weight * t).sum(axis=1) / total
    mean_log = (weight * log).sum(axis=1) / total
    centred = t - mean_t[:, None]
    covariance = (weight * centred * (log - mean_log[:, None])).sum(axis=1)
    variance = (weight * centred**2).sum(axis=1)
    falling = usable & (covariance < 0)
    return np.where(falling, -variance / np.where(falling, covariance, -1.0), np.nan)


def _line_at(times: Array, samples: Array, chosen: NDArray[np.bool_], at: Array) -> Array:
    """Line through the chosen samples of each row, read off at a time for each row."""
    count = np.maximum(chosen.sum(axis=1), 1)
    mean_t = (chosen * times).sum(axis=1) / count
    mean_v = (chosen * samples).sum(axis=1) / count
    centred = np.where(chosen, times - mean_t[:, None], 0.0)
    variance = np.maximum((centred**2).sum(axis=1), 1e-12)
    slope = (centred * (samples - mean_v[:, None])).sum(axis=1) / variance
    return np.asarray(mean_v + slope * (np.where(np.isfinite(at), at, 0.0) - mean_t))


def _cadc(readings: Readings) -> Array:
    if readings.cadc is None:
        return np.empty((0, 0))
    return readings.cadc.astype(np.float64)


def _times(readings: Readings) -> Array:
    return np.empty(0) if readings.times_us is None else readings.times_us
