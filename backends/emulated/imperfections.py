"""How imperfect an analog chip is: spreads, trial noise, and named presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError, UnknownNameError, unknown_name


@dataclass(frozen=True)
class Imperfections:
    """Statistics from which a chip is drawn, and of its noise from run to run.

    *Fixed pattern*: drawn once with the chip. Relative spreads are the standard deviation of
    the logarithm; potentials vary in units of the distance between leak and threshold.
    *Trial noise*: drawn anew for every run.

    Defaults are those of an **uncalibrated** BrainScaleS-2 chip, read off the settings that
    three real chips (512 neurons each, targets leak 80, threshold 150, tau 6 us) needed to
    reach equal behaviour: the spread of the settings is the inverse of the spread they
    remove. 1 CapMem step = 1/168 of the leak-threshold distance.

    Attributes:
        tau_mem: spread of the membrane time constant (settings spread 14-15 %).
        tau_syn: of the synaptic time constants, exc. and inh. independent (19-24 %).
        strength: of the synaptic strength, exc. and inh. independent (11-18 %).
        v_threshold: of the threshold (16-28 CapMem steps; 20/168).
        v_leak: of the leak potential (29-44 steps; 37/168).
        v_reset: of the reset potential (29-45 steps; 37/168).
        leak_reset_correlation: correlation of the last two (0.68-0.88).
        dead: probability that a circuit never fires (1 of 1536 could not be calibrated).
        threshold_trial: standard deviation of every threshold from run to run, in units of
            the leak-threshold distance (published hardware-aware simulation of DelGrad,
            Göltz et al. 2025: 0.04 at a threshold of 2.6).
        spike_jitter: standard deviation of every spike time, model time (0; up to 0.01 =
            60 ns in the same simulation).
        spike_loss: probability that a spike is lost (0; up to 0.02 tolerated as typical by
            the vendor's loop-back test).
        t_refractory: of the refractory time, in model time. Its counter is digital; what varies is
            how fast a membrane is reset and let go, which takes 0.5 us at the least (0.1 of
            tau_syn): a tenth of that is assumed, nothing is published. Calibration does not touch
            it. Seen by neurons that spike more than once, and by delay neurons.
        delay_jitter: standard deviation of what a delay neuron adds to a spike, model time (0.01
            = 60 ns in the hardware-aware simulation of DelGrad). Without delay neurons no noise.
    """

    tau_mem: float = 0.14
    tau_syn: float = 0.20
    strength: float = 0.15
    v_threshold: float = 20 / 168
    v_leak: float = 37 / 168
    v_reset: float = 37 / 168
    leak_reset_correlation: float = 0.75
    dead: float = 1 / 1536
    threshold_trial: float = 0.015
    spike_jitter: float = 0.0
    spike_loss: float = 0.0
    t_refractory: float = 0.05 / 6
    delay_jitter: float = 0.01

    def __post_init__(self) -> None:
        for field in fields(self):
            high = 1 if field.name in _PROBABILITIES else None
            value = checks.number(
                f"Imperfections.{field.name}", getattr(self, field.name), low=0, high=high
            )
            checks.settle(self, **{field.name: value})

    @classmethod
    def none(cls) -> Imperfections:
        """No spread and no noise: the chip behaves as the model says."""
        return cls(**{field.name: 0.0 for field in fields(cls)})

    @classmethod
    def uncalibrated(cls) -> Imperfections:
        """A chip with all neurons at the same settings: the defaults."""
        return cls()

    @classmethod
    def calibrated(cls) -> Imperfections:
        """What calibration leaves behind.

        The uncalibrated spread times the bound up to which the vendor's tests accept a
        calibrated chip (ratio of spreads: leak 0.30, reset 0.20, threshold 0.35, tau_mem 0.45,
        tau_syn 0.20), so it is a chip that just passes. No bound is published for the
        synaptic strength; 5 % is assumed. Dead circuits are avoided by the placement.

        A stand-in that costs nothing. What ``hxloop calibrate`` really leaves on an emulated
        chip is much less (README of the experiment calibration-pays: tau_mem 0.002, tau_syn
        0.003, strength 0.004, threshold 0.009, leak and reset 0.007), because this chip has
        nothing that limits it but noise, converters and the steps of the knobs. The values
        here stay at the bounds for real chips.
        """
        raw = cls()
        return replace(
            raw,
            tau_mem=0.45 * raw.tau_mem,
            tau_syn=0.20 * raw.tau_syn,
            strength=0.05,
            v_threshold=0.35 * raw.v_threshold,
            v_leak=0.30 * raw.v_leak,
            v_reset=0.20 * raw.v_reset,
            dead=0.0,
        )

    @classmethod
    def resolve(cls, value: str | Mapping[str, Any] | Imperfections) -> Imperfections:
        """A preset by name, or a mapping of fields with an optional ``preset`` to start from.

        Raises:
            UnknownNameError: no such preset or field.
            ConfigError: a value out of range.
        """
        if isinstance(value, Imperfections):
            return value
        if isinstance(value, str):
            if value not in PRESETS:
                raise UnknownNameError(unknown_name("preset of imperfections", value, PRESETS))
            preset: Imperfections = getattr(cls, value)()
            return preset
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"imperfections: expected a preset ({', '.join(PRESETS)}) or a table of values; "
                f"got {value!r}"
            )
        known = {field.name for field in fields(cls)}
        for name in value:
            if name not in known | {"preset"}:
                raise UnknownNameError(unknown_name("imperfection", name, known | {"preset"}))
        start = cls.resolve(value.get("preset", "calibrated"))
        return replace(start, **{name: v for name, v in value.items() if name != "preset"})

    def as_dict(self) -> dict[str, float]:
        """All fields by name."""
        return asdict(self)

    def identity(self) -> dict[str, float]:
        """What names a chip: all fields, but for those that came later where they are as usual."""
        values = self.as_dict()
        for name in ("t_refractory", "delay_jitter"):
            usual = getattr(Imperfections, name) if self.v_reset else 0.0
            if values[name] == usual:
                del values[name]
        return values

    @property
    def has_trial_noise(self) -> bool:
        """Whether two runs of the same chip differ."""
        return self.threshold_trial > 0 or self.spike_jitter > 0 or self.spike_loss > 0


_PROBABILITIES = frozenset({"leak_reset_correlation", "dead", "spike_loss"})
PRESETS = ("none", "calibrated", "uncalibrated")
