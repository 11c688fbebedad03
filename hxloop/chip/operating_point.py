"""Where neurons of a chip are meant to work, in the chip's own units.

Potentials are given as an 8-bit converter reads them (CADC LSB), time constants in
microseconds. Model units follow: ``v_leak`` and ``v_threshold`` of the model are these leak and
threshold potentials, and ``tau_syn`` is one unit of model time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.errors import CalibrationError, ConfigError, UnknownNameError, unknown_name
from hxloop.network import NetworkSpec

Array = NDArray[np.float64]

# The ranges for which BrainScaleS-2 neurons are calibrated by the vendor's software (calix).
RANGES = {
    "v_leak_lsb": (50.0, 160.0),
    "v_reset_lsb": (50.0, 160.0),
    "v_threshold_lsb": (50.0, 220.0),
    "tau_mem_us": (0.5, 60.0),
    "tau_syn_us": (0.3, 30.0),
}


@dataclass(frozen=True)
class OperatingPoint:
    """What every neuron should be. Defaults: as used by Göltz et al. 2021 and 2025 on chip.

    Args:
        v_leak_lsb: resting potential.
        v_reset_lsb: potential after a spike.
        v_threshold_lsb: threshold.
        tau_mem_us: membrane time constant.
        tau_syn_us: synaptic time constants, exc. and inh.

    Raises:
        ConfigError: a value outside the range that the knobs are made for (``RANGES``), or a
            threshold less than 20 LSB above leak and reset.
    """

    v_leak_lsb: float = 80.0
    v_reset_lsb: float = 80.0
    v_threshold_lsb: float = 150.0
    tau_mem_us: float = 6.0
    tau_syn_us: float = 6.0

    def __post_init__(self) -> None:
        for field in fields(self):
            low, high = RANGES[field.name]
            value = checks.number(
                f"target {field.name}", getattr(self, field.name), low=low, high=high
            )
            checks.settle(self, **{field.name: value})
        if self.v_threshold_lsb - max(self.v_leak_lsb, self.v_reset_lsb) < 20:
            raise ConfigError(
                "target v_threshold_lsb: expected at least 20 LSB above leak and reset; got "
                f"{self.v_threshold_lsb:g} over {self.v_leak_lsb:g} and {self.v_reset_lsb:g}"
            )

    @classmethod
    def from_mapping(cls, values: Mapping[str, float]) -> OperatingPoint:
        """From names and values; what is not named has its default.

        Raises:
            UnknownNameError: an unknown name.
            ConfigError: see the class.
        """
        known = [field.name for field in fields(cls)]
        for name in values:
            if name not in known:
                raise UnknownNameError(unknown_name("target", name, known))
        return cls(**values)

    def as_dict(self) -> dict[str, float]:
        """All values by name."""
        return asdict(self)

    @property
    def distance_lsb(self) -> float:
        """From leak to threshold: what is 1 in the default model units."""
        return self.v_threshold_lsb - self.v_leak_lsb

    def relative(self, physical: Mapping[str, Array]) -> dict[str, Array]:
        """Physical parameters as deviations from this point, the form of a fixed pattern.

        Args:
            physical: ``v_leak_lsb, v_reset_lsb, v_threshold_lsb, tau_mem_us, tau_syn_exc_us,
                tau_syn_inh_us``, and ``strength_exc, strength_inh`` in nominal weights of one
                bit, one value for each circuit.

        Returns:
            Time constants and strengths as factors, potentials as shifts in units of the
            leak-threshold distance.
        """
        pattern = {
            name: (physical[f"{name}_lsb"] - getattr(self, f"{name}_lsb")) / self.distance_lsb
            for name in ("v_leak", "v_reset", "v_threshold")
        }
        pattern["tau_mem"] = physical["tau_mem_us"] / self.tau_mem_us
        for sign in ("exc", "inh"):
            pattern[f"tau_syn_{sign}"] = physical[f"tau_syn_{sign}_us"] / self.tau_syn_us
            pattern[f"strength_{sign}"] = physical[f"strength_{sign}"]
        return pattern

    def check_network(self, network: NetworkSpec, tau_syn_us: float) -> None:
        """Refuse a network whose time constants, or reset, are not those of this point.

        The reset is that of neurons that spike more than once.

        Args:
            network: what is to run.
            tau_syn_us: length of one unit of model time on the substrate.

        Raises:
            CalibrationError: a layer with other time constants, or another reset.
        """
        reset = (self.v_reset_lsb - self.v_leak_lsb) / self.distance_lsb
        for index, layer in enumerate(network.layers):
            asked = [layer.neuron.tau_mem * tau_syn_us, layer.neuron.tau_syn * tau_syn_us]
            given = [self.tau_mem_us, self.tau_syn_us]
            if not np.allclose(asked, given, rtol=1e-6):
                raise CalibrationError(
                    f"calibration: made for tau_mem {given[0]:g} us and tau_syn {given[1]:g} us; "
                    f"layer {index} of network {network} needs {asked[0]:g} and {asked[1]:g} us "
                    f"(one unit of model time is {tau_syn_us:g} us). Calibrate for this network: "
                    f"--target tau_mem_us={asked[0]:g} --target tau_syn_us={asked[1]:g}"
                )
            neuron = layer.neuron
            wanted = (neuron.v_reset - neuron.v_leak) / (neuron.v_threshold - neuron.v_leak)
            again = not neuron.spikes_once and not neuron.never_spikes
            if again and not np.isclose(wanted, reset, rtol=1e-6, atol=1e-9):
                lsb = self.v_leak_lsb + wanted * self.distance_lsb
                raise CalibrationError(
                    f"calibration: made for a reset of {self.v_reset_lsb:g} LSB; layer {index} of "
                    f"network {network} has v_reset = {neuron.v_reset:g}, which is {lsb:g} LSB. "
                    f"Calibrate for this network: --target v_reset_lsb={lsb:g}"
                )
