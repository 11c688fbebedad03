"""The knobs of an emulated chip, and its converters: what a session offers to a calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.knob_curves import KNOB_RANGES, SIGNS, KnobCurves
from hxloop.backends.emulated.membrane_steps import Circuits, simulate
from hxloop.checks.random_streams import entropy
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import (
    LINES,
    Codes,
    Readings,
    Stimulus,
    Traces,
    check_codes,
    check_observables,
    check_pairs,
)
from hxloop.chip.refractory import refractory_codes
from hxloop.errors import RunInputError

Array = NDArray[np.float64]

# The fast converter takes 500 MHz / 17 samples a second; the slow one every sixteenth of them,
# 1.84 MHz. Both start with the run; the fast one needs 8 us to settle.
SAMPLE_US = 17 / 500
CADC_EVERY = 16
SETTLING_US = 8.0
CLOCK_US = 0.008
REFRACTORY_US = 2.0
CADC_MAX, MADC_MAX, COUNTER_MAX = 255, 1023, 255
MADC_PER_LSB = 4.0
# The synaptic lines rest near 750 and fall with the synaptic current.
LINE_REST, LINE_PER_CURRENT = 750.0, 40.0
# Without the leak a membrane still forgets, slowly.
LEAKLESS_US = 2000.0
# Mismatch of what is only a stimulus: constant currents, and the gain of the synaptic lines.
STIMULUS_SPREAD = 0.1

_STREAM, _FIXED = 0x52656164, 0x46697865


@dataclass(frozen=True)
class ReadoutNoise:
    """Noise and run-to-run variation of all measurements of a session.

    Args:
        seed: of the session.
        threshold_trial: standard deviation of thresholds from run to run, in LSB.
    """

    seed: int
    threshold_trial: float


class ChipReadout:
    """Codes of one session, and its measurements.

    Args:
        curves: of the chip.
        weight_lsb: nominal weight of one bit, in model units of the default operating point.
        levels: largest code of a weight; None = no limit.
        noise: of the session.
        unit_us: one unit of the chip's model time.

    Attributes:
        current_gain: ``(circuits,)``, by how much more than asked for a stimulus current drives.
    """

    def __init__(
        self,
        curves: KnobCurves,
        weight_lsb: float,
        levels: int | None,
        noise: ReadoutNoise,
        unit_us: float = OperatingPoint.tau_syn_us,
    ) -> None:
        self._unit_us = unit_us
        self._curves, self._levels, self._noise = curves, levels, noise
        self._codes = curves.default_codes()
        point = OperatingPoint()
        self._jump = weight_lsb * point.distance_lsb / point.tau_syn_us
        self._runs = 0
        rng = np.random.default_rng(entropy(_STREAM, _FIXED, curves.seed))
        n = curves.n_circuits
        self._channel = curves.options.cadc_offset * rng.standard_normal(n)
        self.current_gain = np.exp(STIMULUS_SPREAD * rng.standard_normal(n))
        self._line_gain = np.exp(STIMULUS_SPREAD * rng.standard_normal((2, n)))
        self._line_rest = LINE_REST + 20.0 * rng.standard_normal((2, n))

    @property
    def codes(self) -> dict[str, Codes]:
        """Present codes; copies."""
        return {name: values.copy() for name, values in self._codes.items()}

    def set_knobs(self, codes: Mapping[str, Codes]) -> None:
        """Turn knobs; see ``hxloop.chip.readout.Readout``."""
        self._codes |= check_codes(codes, KNOB_RANGES, self._curves.n_circuits)

    def measure(
        self, stimulus: Stimulus, observe: Iterable[str], trial: int | None = None
    ) -> Readings:
        """All circuits at once; see ``hxloop.chip.readout.Readout``."""
        asked = check_observables(observe)
        rng = self._noise_of(trial)
        circuits = self._circuits(stimulus, self._curves.physical(self._codes), rng)
        membranes, times, counts = self._simulate(stimulus, circuits, CADC_EVERY)
        cadc = None
        if "cadc" in asked:
            noise = self._curves.options.cadc_noise * rng.standard_normal(membranes.shape)
            values = membranes + self._channel[:, None] + noise
            cadc = np.clip(np.rint(values), 0, CADC_MAX).astype(np.int64)
        most = min(int(counts.max(initial=0)), times.shape[1])
        stamps = np.floor(times[:, :most] / CLOCK_US + 1e-6) * CLOCK_US
        return Readings(
            times_us=_times(membranes.shape[1], CADC_EVERY),
            cadc=cadc,
            spike_times_us=stamps if "spikes" in asked else None,
            counts=np.minimum(counts, COUNTER_MAX) if "counters" in asked else None,
        )

    def trace(
        self,
        stimulus: Stimulus,
        circuits: Any,
        line: str = "membrane",
        trial: int | None = None,
    ) -> Traces:
        """Two circuits a run; see ``hxloop.chip.readout.Readout``."""
        pairs = check_pairs(circuits, self._curves.n_circuits)
        if line not in LINES:
            raise RunInputError(f"trace: expected a line of {', '.join(LINES)}; got {line!r}")
        rng = self._noise_of(trial)
        chosen = pairs.ravel()
        physical = {k: v[chosen] for k, v in self._curves.physical(self._codes).items()}
        times = _times(_steps(stimulus), 1)
        if line == "membrane":
            what = self._circuits(stimulus, physical, rng, chosen)
            values = MADC_PER_LSB * self._simulate(stimulus, what, 1)[0]
        else:
            values = self._line(stimulus, physical, line.removeprefix("syn_"), chosen, times)
        values = values + self._curves.options.madc_noise * rng.standard_normal(values.shape)
        samples = np.clip(np.rint(values), 0, MADC_MAX).astype(np.int64)
        samples[:, times < SETTLING_US] = 0
        return Traces(times, samples.reshape(*pairs.shape, len(times)))

    # --- the circuits in one measurement ----------------------------------------------------

    def _noise_of(self, trial: int | None) -> np.random.Generator:
        """Of a measurement: its own stream, or the next one. They are counted from 1."""
        if trial is None:
            self._runs += 1
            trial = self._runs
        return np.random.default_rng(entropy(_STREAM, self._noise.seed, trial))

    def _circuits(
        self,
        stimulus: Stimulus,
        physical: Mapping[str, Array],
        rng: np.random.Generator,
        chosen: Any = slice(None),
    ) -> Circuits:
        on = {"exc": stimulus.exc_input, "inh": stimulus.inh_input}
        offset = sum(on[sign] * physical[f"offset_{sign}"] for sign in SIGNS)
        for _, code in stimulus.events:
            if self._levels is not None and abs(code) > self._levels:
                raise RunInputError(
                    f"Stimulus.events: expected codes from -{self._levels} to {self._levels}; "
                    f"got {code}"
                )
        tau_mem = physical["tau_mem_us"]
        shift = self._noise.threshold_trial * rng.standard_normal(len(tau_mem))
        spiking = stimulus.spiking & ~self._curves.model.dead[chosen]
        return Circuits(
            tau_mem_us=tau_mem if stimulus.leak else np.full_like(tau_mem, LEAKLESS_US),
            tau_syn_exc_us=physical["tau_syn_exc_us"],
            tau_syn_inh_us=physical["tau_syn_inh_us"],
            start_lsb=physical["v_leak_lsb"] + tau_mem * offset,
            rest_lsb=physical["v_leak_lsb"],
            reset_lsb=physical["v_reset_lsb"],
            threshold_lsb=np.where(spiking, physical["v_threshold_lsb"] + shift, np.inf),
            drive=offset + stimulus.current * self.current_gain[chosen],
            jump_exc=on["exc"] * self._jump * physical["strength_exc"],
            jump_inh=on["inh"] * self._jump * physical["strength_inh"],
            held_us=self._held(stimulus.refractory_us, chosen),
        )

    def _held(self, asked_us: float | None, chosen: Any) -> Array:
        """For how long circuits are held after a spike."""
        off = self._unit_us * self._curves.model.t_refractory[chosen]
        if asked_us is None:  # counters and what they are off by are not looked at
            return np.full_like(off, REFRACTORY_US)
        counted = refractory_codes([asked_us], where="Stimulus.refractory_us")[0].time_us
        return np.asarray(np.maximum(counted + off, 0.1 * counted))

    @staticmethod
    def _simulate(
        stimulus: Stimulus, circuits: Circuits, every: int
    ) -> tuple[Array, Array, NDArray[np.int64]]:
        return simulate(
            circuits,
            stimulus.events,
            stimulus.reset_until_us,
            SAMPLE_US,
            _steps(stimulus),
            every,
            within_steps=stimulus.refractory_us is not None,
        )

    def _line(
        self,
        stimulus: Stimulus,
        physical: Mapping[str, Array],
        sign: str,
        chosen: NDArray[np.int64],
        times: Array,
    ) -> Array:
        """Voltage of a synaptic line, in fast-converter LSB."""
        index = list(SIGNS).index(sign)
        tau = physical[f"tau_syn_{sign}_us"][:, None]
        current = np.zeros((len(chosen), len(times)))
        for time, code in stimulus.events:
            if code * SIGNS[sign] > 0:
                since = times - time
                decay = np.exp(-np.maximum(since, 0.0) / tau)
                current += np.where(since >= 0, abs(code) * decay, 0.0)
        current *= self._jump * physical[f"strength_{sign}"][:, None]
        gain = LINE_PER_CURRENT * self._line_gain[index, chosen, None]
        return np.asarray(self._line_rest[index, chosen, None] - gain * current)


def _times(samples: int, every: int) -> Array:
    return np.arange(samples, dtype=np.float64) * (every * SAMPLE_US)


def _steps(stimulus: Stimulus) -> int:
    return int(np.ceil(stimulus.duration_us / SAMPLE_US))
