"""How imperfect an analog chip is: spreads, trial noise, and named presets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from hxloop import checks
from hxloop.backends.emulated.presets import preset_of_file, preset_registry
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
        threshold_offset: by how much all thresholds are too high, in leak-threshold distances
            (the same simulation: 0.13 at a threshold of 2.6).

    The others are off in every preset of BrainScaleS-2, because no figure is published, or not for
    this use; the experiment chip-imperfections shows what each of them would cost.

        row_strength: spread of the strength of synapse rows, of each sign its own (drivers have an
            offset that is calibrated; what is left is not published). Fixed.
        weight_curve: by how much less than in proportion the largest weight works; smaller ones
            less so, with the square (no figure found).
        weight_trial: standard deviation of every weight from run to run, of the largest weight.
        threshold_sample: of thresholds and leaks together from sample to sample within a run
            (``threshold_noise_s2s_std`` of the same simulation, 0 there).
        membrane_noise: of every membrane at rest, forgotten within tau_mem (no figure found).
        input_saturation: 1 over the largest current of a synaptic input, where 1 is the current
            that holds a membrane at threshold; currents bend as x / sqrt(1 + (x / largest)^2).
        spike_crosstalk: step of all membranes of a population at a spike of one of its neurons, by
            the common supply (no figure found).
        link_loss: probability that an event is lost on the link, to the chip or from it (the
            vendor's loop-back test tolerates 0.02).
        event_interval: least time between two events on the link, model time (8 ns, the clock of
            the FPGA: 1/750; events of one moment leave one after another).
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
    threshold_offset: float = 0.0
    row_strength: float = 0.0
    weight_curve: float = 0.0
    weight_trial: float = 0.0
    threshold_sample: float = 0.0
    membrane_noise: float = 0.0
    input_saturation: float = 0.0
    spike_crosstalk: float = 0.0
    link_loss: float = 0.0
    event_interval: float = 0.0

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
        here stay at the bounds for real chips. It is a chip that passes its acceptance tests, not
        one that was measured: with a published recipe it gives 87 % on Yin-Yang with 30 hidden
        neurons, the published simulation 88, a chip 85 (README of reality-check).
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
        """A preset by name or file, or a mapping of fields with a ``preset`` to start from.

        Raises:
            UnknownNameError: no such preset or field.
            ConfigError: a value out of range.
        """
        if isinstance(value, Imperfections):
            return value
        if isinstance(value, str):
            return cls._of_preset(value)
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

    @classmethod
    def _of_preset(cls, name: str) -> Imperfections:
        if name in _SHIPPED:
            shipped: Imperfections = getattr(cls, name)()
            return shipped
        if name.endswith(".toml"):
            preset = preset_of_file(name)
        elif name in preset_registry().names():
            preset = preset_registry().get(name)
        else:
            raise UnknownNameError(unknown_name("preset of imperfections", name, preset_names()))
        return cls.resolve({"preset": preset.start, **preset.values})

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
        for name in _LATER:
            if values[name] == getattr(Imperfections, name):
                del values[name]
        return values

    @property
    def has_trial_noise(self) -> bool:
        """Whether two runs of the same chip differ."""
        return any(getattr(self, name) > 0 for name in _OF_TRIALS)

    def of_these(self, names: Sequence[str]) -> tuple[str, ...]:
        """Which of these imperfections there are."""
        return tuple(name for name in names if getattr(self, name) > 0)


# What chips of earlier versions did not have: off, it is no part of their name.
_LATER = (
    "threshold_offset", "row_strength", "weight_curve", "weight_trial", "threshold_sample",
    "membrane_noise", "input_saturation", "spike_crosstalk", "link_loss", "event_interval",
)  # fmt: skip
_PROBABILITIES = frozenset(
    {"leak_reset_correlation", "dead", "spike_loss", "link_loss", "weight_curve"}
)
_OF_TRIALS = (
    "threshold_trial", "spike_jitter", "spike_loss", "weight_trial", "threshold_sample",
    "membrane_noise", "link_loss",
)  # fmt: skip
_SHIPPED = ("none", "calibrated", "uncalibrated")
# What is solved step by step, and what the link does: not of all spikes; the first not by Brian2.
STEPWISE = ("membrane_noise", "input_saturation", "spike_crosstalk")
FIRST_SPIKES_ONLY = (*STEPWISE, "threshold_sample", "link_loss", "event_interval")


def preset_names() -> tuple[str, ...]:
    """All presets by name."""
    return (*_SHIPPED, *preset_registry().names())


PRESETS = preset_names()
