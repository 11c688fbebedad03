"""How the knobs and converters of an emulated chip are: spreads, faults, drift, noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError, UnknownNameError, unknown_name


@dataclass(frozen=True)
class KnobOptions:
    """Statistics of the curves between codes and parameters, and of the read-out.

    How far parameters lie apart at equal codes is said by ``Imperfections``; this is the rest.
    Where no source is named, none was found, and the value is an assumption.

    Attributes:
        gain: spread (standard deviation of the logarithm) of the slope of the potentials over
            code, and half of it of the exponents of the other curves.
        offset_codes: spread of the code at which a synaptic input has no offset current
            (three real chips: 110-130 codes around 270-310).
        stuck: probability that one knob of a circuit does not react.
        weak: probability that one knob of a circuit reaches only a twentieth of its range.
            With ``dead`` these come to 4 of 1536 circuits; on three real chips 1 of 1536 had a
            knob at the end of its range.
        crosstalk: by how many codes a cell is off when all other cells of its block of 128 hold
            the same code; less in proportion when fewer do. 0 is none.
        drift: how far parameters wander in a day, in units of their spread at equal codes
            (random walk; real chips are calibrated anew every night, by how much they
            drift is not published).
        cadc_noise: standard deviation of a sample of the parallel converter, in its LSB.
        cadc_offset: spread of its channels' offsets, which their own calibration left.
        madc_noise: standard deviation of a sample of the fast converter, in its LSB.

    Raises:
        ConfigError: a value that is no number, negative, or a probability above 1.
    """

    gain: float = 0.05
    offset_codes: float = 125.0
    stuck: float = 2 / 1536
    weak: float = 1 / 1536
    crosstalk: float = 0.0
    drift: float = 0.1
    cadc_noise: float = 1.0
    cadc_offset: float = 0.5
    madc_noise: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            high = {"stuck": 1.0, "weak": 1.0, "gain": 0.2}.get(field.name, 1e4)
            value = checks.number(
                f"knob_options.{field.name}", getattr(self, field.name), low=0, high=high
            )
            checks.settle(self, **{field.name: value})

    @classmethod
    def resolve(cls, value: Mapping[str, Any] | KnobOptions | None) -> KnobOptions:
        """From a mapping of some fields; None has the defaults.

        Raises:
            UnknownNameError: an unknown field.
            ConfigError: a value out of range, or no mapping.
        """
        if isinstance(value, KnobOptions):
            return value
        if value is not None and not isinstance(value, Mapping):
            raise ConfigError(f"knob_options: expected a table of values; got {value!r}")
        known = [field.name for field in fields(cls)]
        for name in value or {}:
            if name not in known:
                raise UnknownNameError(unknown_name("knob option", name, known))
        return cls(**(value or {}))

    def as_dict(self) -> dict[str, float]:
        """All fields by name."""
        return asdict(self)
