"""The hidden curves of an emulated chip: from the codes of its knobs to what its neurons are.

Every circuit has its own curve for every knob, drawn with the chip. At the chip's median codes
the curves pass through the fixed pattern that ``ChipModel`` has drawn: a chip without
calibration is one with all its knobs at the median code. The median codes differ from chip to
chip, as those of three real chips do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.knob_options import KnobOptions
from hxloop.backends.emulated.model import ChipModel
from hxloop.checks.random_streams import entropy
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes, KnobRange

Array = NDArray[np.float64]

# One CADC LSB is 2.4 CapMem codes on the calibrated scale of BrainScaleS-2 (70 codes at 20 LSB,
# 550 codes at 220 LSB); the physical range is 0 to 1.6 V at 4.5 mV for one LSB, 0.15 V at 20.
CODES_PER_LSB = 2.4
LOWEST_LSB, HIGHEST_LSB = -13.0, 342.0
BLOCK = 128

# (median code, its spread from chip to chip): calibrations of three chips for the default
# operating point needed v_threshold 382-412, v_leak 492-668, v_reset within 25 of the leak,
# i_bias_leak 145-162, i_bias_tau 77-138, i_bias_gm 467-541, shift reference 269-308.
MEDIANS = {
    "v_threshold": (400.0, 15.0),
    "v_leak": (570.0, 60.0),
    "v_reset": (562.0, 60.0),
    "i_bias_leak": (153.0, 8.0),
    "i_bias_syn_tau_exc": (118.0, 25.0),
    "i_bias_syn_tau_inh": (113.0, 25.0),
    "i_bias_gm_exc": (486.0, 10.0),
    "i_bias_gm_inh": (490.0, 30.0),
    "i_shift_exc": (299.0, 10.0),
    "i_shift_inh": (274.0, 6.0),
}
KNOBS = tuple(MEDIANS)
KNOB_RANGES: Mapping[str, KnobRange] = {name: KnobRange() for name in KNOBS}
# Potentials, what their knob sets, and the sign of each synaptic input.
POTENTIALS = ("v_threshold", "v_leak", "v_reset")
SIGNS = {"exc": 1.0, "inh": -1.0}
# Current of a synaptic input's offset, in LSB per us for each code.
SHIFT_SLOPE = 0.005
# What the curves of bias currents are: (code added, exponent).
LEAK_CURVE, TAU_CURVE, GM_CURVE = (4.0, -1.0), (4.0, -1.0), (10.0, 0.8)

_STREAM, _DRIFT_STREAM = 0x4B6E6F62, 0x44726966
_HOURS_PER_DAY = 24.0
# Drift goes hour by hour for so long, then in steps of so many hours: as many draws for 12 years
# as for a season.
_HOURLY, _STRIDE = 2000, 100


@dataclass(frozen=True)
class KnobCurves:
    """Curves of all circuits of one chip.

    Args:
        model: the chip at its median codes.
        seed: number of the chip.
        options: statistics of the curves.
        hours: age: for how long the chip has drifted.
    """

    model: ChipModel
    seed: int
    options: KnobOptions
    hours: float = 0.0

    @property
    def n_circuits(self) -> int:
        """How many circuits the chip has."""
        return len(self.model.dead)

    @cached_property
    def median_codes(self) -> dict[str, int]:
        """The codes at which the typical neuron is at the default operating point."""
        draw = np.random.default_rng(entropy(_STREAM, self.seed, 0)).standard_normal(len(KNOBS))
        codes = {}
        for z, (name, (median, spread)) in zip(draw, MEDIANS.items(), strict=True):
            codes[name] = int(np.rint(median + spread * np.clip(z, -2, 2)))
        # The reset's median goes with the leak's.
        shift = codes["v_leak"] - MEDIANS["v_leak"][0]
        codes["v_reset"] = int(
            np.rint(MEDIANS["v_reset"][0] + shift + 12 * np.clip(draw[2], -2, 2))
        )
        return codes

    def default_codes(self) -> dict[str, Codes]:
        """The median code everywhere."""
        return {name: np.full(self.n_circuits, code) for name, code in self.median_codes.items()}

    @cached_property
    def reaction(self) -> dict[str, Array]:
        """For every knob, how much of a change of code each circuit follows: 1, 0.05 or 0."""
        kind = np.random.default_rng(entropy(_STREAM, self.seed, 1, 0)).random(self.n_circuits)
        which = np.random.default_rng(entropy(_STREAM, self.seed, 1, 1)).random(self.n_circuits)
        which = np.floor(which * len(KNOBS)).astype(np.int64)
        stuck = kind < self.options.stuck
        weak = ~stuck & (kind < self.options.stuck + self.options.weak)
        return {
            name: np.where((which == index) & stuck, 0.0,
                           np.where((which == index) & weak, 0.05, 1.0))
            for index, name in enumerate(KNOBS)
        }  # fmt: skip

    def physical(self, codes: Mapping[str, Codes]) -> dict[str, Array]:
        """Parameters of every circuit at these codes, drift included.

        Returns:
            ``v_threshold_lsb, v_leak_lsb, v_reset_lsb`` (the leak with both synaptic inputs
            off), ``tau_mem_us, tau_syn_exc_us, tau_syn_inh_us``, ``strength_exc,
            strength_inh`` in units of the nominal, and the offset currents ``offset_exc,
            offset_inh`` in LSB per us.
        """
        point, wander = OperatingPoint(), self._drift
        result = {}
        for name in POTENTIALS:
            value = self._own_potential[name] + self._rise(name, self._steps(name, codes))
            drifted = value + point.distance_lsb * wander[name] * self._spread(name)
            result[f"{name}_lsb"] = np.clip(drifted, LOWEST_LSB, HIGHEST_LSB)
        curves = [("tau_mem", "i_bias_leak", point.tau_mem_us, LEAK_CURVE)]
        for sign in SIGNS:
            curves += [
                (f"tau_syn_{sign}", f"i_bias_syn_tau_{sign}", point.tau_syn_us, TAU_CURVE),
                (f"strength_{sign}", f"i_bias_gm_{sign}", 1.0, GM_CURVE),
            ]
            shift = f"i_shift_{sign}"
            result[f"offset_{sign}"] = (
                SIGNS[sign]
                * SHIFT_SLOPE
                * (
                    self._neutral[sign]
                    + self._steps(shift, codes)
                    + wander[shift] * self.options.offset_codes
                )
            )
        for name, knob, nominal, (added, exponent) in curves:
            middle = self.median_codes[knob] + added
            ratio = np.maximum(middle + self._steps(knob, codes), added) / middle
            factor = getattr(self.model, name) * np.exp(wander[knob] * self._spread(name))
            unit = "" if name.startswith("strength") else "_us"
            result[name + unit] = nominal * factor * ratio ** (exponent * self._exponent[knob])
        return result

    def pattern(
        self, codes: Mapping[str, Codes], target: OperatingPoint, weight_scale: float = 1.0
    ) -> ChipModel:
        """The chip as it is at these codes, in model units at an operating point.

        The leak is where the membrane rests with both synaptic inputs on.

        Args:
            codes: of all knobs.
            target: what deviations are relative to.
            weight_scale: strengths are in units of this, the measured weight of one bit.
        """
        values = self.at_rest(self.physical(codes))
        # Of a weight of one bit, what is left in units of the target's distance and time.
        point = OperatingPoint()
        unit = (point.distance_lsb / target.distance_lsb) * (target.tau_syn_us / point.tau_syn_us)
        for sign in SIGNS:
            values[f"strength_{sign}"] = values[f"strength_{sign}"] * unit / weight_scale
        pattern: dict[str, Any] = dict(target.relative(values))
        return replace(self.model, **pattern)

    @staticmethod
    def at_rest(physical: Mapping[str, Array]) -> dict[str, Array]:
        """The same parameters, with the offsets of the synaptic inputs in the leak."""
        offset = physical["offset_exc"] + physical["offset_inh"]
        return {
            **physical,
            "v_leak_lsb": physical["v_leak_lsb"] + physical["tau_mem_us"] * offset,
        }

    # --- what is drawn --------------------------------------------------------------------

    def _steps(self, knob: str, codes: Mapping[str, Codes]) -> Array:
        """How far from the median code each circuit really is."""
        held = np.asarray(codes[knob], dtype=np.int64)
        steps = (held - self.median_codes[knob]).astype(np.float64)
        if self.options.crosstalk:
            for start in range(0, len(held), BLOCK):
                part = slice(start, start + BLOCK)
                _, index, counts = np.unique(held[part], return_inverse=True, return_counts=True)
                others = (counts[index] - 1) / max(1, len(held[part]) - 1)
                steps[part] += self.options.crosstalk * others
        return steps * self.reaction[knob]

    def _rise(self, name: str, steps: Array) -> Array:
        """Change of a potential over so many codes: monotone, slightly bent."""
        gain, bend = self._gain[name]
        found: Array = steps * gain / CODES_PER_LSB + bend * (steps / 512) * np.abs(steps / 512)
        return found

    @cached_property
    def _own_potential(self) -> dict[str, Array]:
        """Potentials at the median codes; of the leak, the part that is not input offset."""
        point = OperatingPoint()
        own = {
            name: getattr(point, f"{name}_lsb") + point.distance_lsb * getattr(self.model, name)
            for name in POTENTIALS
        }
        offset = sum(SIGNS[sign] * SHIFT_SLOPE * self._neutral[sign] for sign in SIGNS)
        own["v_leak"] = own["v_leak"] - point.tau_mem_us * self.model.tau_mem * offset
        return own

    @cached_property
    def _neutral(self) -> dict[str, Array]:
        """By how many codes the median code lies above the one without offset."""
        return {
            sign: self.options.offset_codes * self._normal(2, index)
            for index, sign in enumerate(SIGNS)
        }

    @cached_property
    def _gain(self) -> dict[str, tuple[Array, Array]]:
        gains = {}
        for index, name in enumerate(POTENTIALS):
            bend = np.clip(5.0 * self._normal(4, index), -20, 20)
            gains[name] = np.exp(self.options.gain * self._normal(3, index)), bend
        return gains

    @cached_property
    def _exponent(self) -> dict[str, Array]:
        half = self.options.gain / 2
        return {knob: np.exp(half * self._normal(5, i)) for i, knob in enumerate(KNOBS)}

    @cached_property
    def _drift(self) -> dict[str, Array]:
        """Random walks of all knobs at the present hour, in units of the drift of a day."""
        walks = np.zeros((len(KNOBS), self.n_circuits))
        for start, length in _steps_of(self.hours if self.options.drift else 0.0):
            # Step by step, so that a chip at a later hour is the same chip, some steps on.
            rng = np.random.default_rng(entropy(_DRIFT_STREAM, self.seed, start))
            step = np.sqrt(length / _HOURS_PER_DAY)
            walks += step * rng.standard_normal(walks.shape)
        return dict(zip(KNOBS, self.options.drift * walks, strict=True))

    def _spread(self, name: str) -> float:
        """Spread of a quantity at equal codes."""
        key = name.removesuffix("_exc").removesuffix("_inh")
        return float(getattr(self.model.imperfections, key))

    def _normal(self, stream: int, index: int) -> Array:
        rng = np.random.default_rng(entropy(_STREAM, self.seed, stream, index))
        return rng.standard_normal(self.n_circuits)


def _steps_of(hours: float) -> Iterator[tuple[int, float]]:
    """The steps of a walk of so many hours: when each begins, and how long it is."""
    start = 0
    while start < hours:
        stride = 1 if start < _HOURLY else _STRIDE
        yield start, min(float(stride), hours - start)
        start += stride
