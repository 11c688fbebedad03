"""The options of a BrainScaleS-2 chip, checked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from hxloop import checks
from hxloop.backends.brainscales2.operating_points import check_operating_point, operating_point
from hxloop.backends.brainscales2.refractory import Refractory, refractory_of
from hxloop.chip.clock import CLOCK_SECONDS
from hxloop.chip.placement import N_CIRCUITS
from hxloop.errors import CapacityError, ConfigError
from hxloop.network import NetworkSpec, NeuronSpec, Population
from hxloop.units import TimeBase

# Ranges of the targets: those that the vendor's calibration states. A reset's is that of the leak.
TARGETS: dict[str, tuple[float, float]] = {
    "tau_syn_us": (0.3, 30),
    "tau_mem_us": (0.5, 60),
    "tau_refrac_us": (0.04, 32),
    "v_leak_lsb": (50, 160),
    "v_threshold_lsb": (50, 220),
    "i_synin_gm": (30, 800),
    "synapse_dac_bias": (30, 1022),
}
OTHERS: dict[str, tuple[float, float]] = {
    "relative_weight_lsb": (1e-6, 1e6),
    "spike_offset_us": (-10, 10),
    "slot": (1e-3, 1e6),
    "time_scale": (0.1, 10),
}


@dataclass(frozen=True)
class BrainScaleS2Options:
    """How a chip is used, and what it is calibrated to.

    Args:
        calibration_file: portable binary (``.pbin``) of a calibration. The neurons are then used as
            it sets them (``HXNeuron``), but for their refractory times. A file of the vendor's
            (``hxloop.backends.brainscales2.operating_points``) must agree with the options below.
            None: PyNN calibrates neurons to the targets below before the first run
            (``CalibHXNeuronCuba``), which takes minutes.
        calibration_cache: no option any more; refused, because no release of the vendor's software
            takes one that is a path.
        tau_syn_us: synaptic time constant that the chip is calibrated to: with ``time_scale`` the
            length of one unit of model time.
        tau_mem_us: membrane time constant that ``calibration_file`` was made for. Without a file
            the network says it.
        tau_refrac_us: for how long a neuron that is to spike once is held after a spike: longer
            than what drives it lasts, or it spikes again. Others: ``NeuronSpec.t_refractory``.
        v_leak_lsb, v_threshold_lsb, i_synin_gm, synapse_dac_bias: targets without a file.
        v_reset_lsb: reset potential of the file, with which a network whose neurons spike again
            must agree; without a file the network says it. None: that of the file, if it is the
            vendor's, or at the leak.
        relative_weight_lsb: weight of one bit in units of the distance from leak to threshold. It
            depends on the calibration: ``hxloop.calibration.fit_scales`` measures it. (On other
            backends ``weight_lsb`` is a weight in model units, whatever the distance.)
        spike_offset_us: how much later than they happened spikes are stamped; subtracted.
            The default is that of jaxsnn on such a chip, 80.4 ns.
        slot: model time from one sample to the next.
        failed_neurons: hardware neurons, 0 to 511, not to be used.
        time_scale: measured time constants of the chip, relative to what it was calibrated to:
            never a target (``hxloop.calibration.fit_scales``).
        weight_lsb: no option here; refused, with what to give instead.

    Raises:
        ConfigError: a value out of range.
    """

    name: ClassVar[str] = "pynn-brainscales2"

    calibration_file: str | None = None
    calibration_cache: None = None
    tau_syn_us: float = 6.0
    tau_mem_us: float = 6.0
    tau_refrac_us: float = 30.0
    v_leak_lsb: float = 80.0
    v_threshold_lsb: float = 150.0
    v_reset_lsb: float | None = None
    i_synin_gm: int = 500
    synapse_dac_bias: int = 1000
    relative_weight_lsb: float = 1 / 78
    spike_offset_us: float = 0.080
    slot: float = 30.0
    failed_neurons: tuple[int, ...] = ()
    weight_lsb: None = None
    time_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.weight_lsb is not None:
            raise ConfigError(
                f"{self.name}: weight_lsb={self.weight_lsb!r}: this chip's option is "
                "relative_weight_lsb, the weight of one bit in units of the distance from leak to "
                "threshold (what weight_lsb meant here in earlier versions). A weight in model "
                "units, as weight_lsb is on other backends, is to be divided by that distance"
            )
        if self.calibration_cache is not None:
            raise ConfigError(
                f"{self.name}: calibration_cache={self.calibration_cache!r}: no release of the "
                "vendor's software takes a path here (EBRAINS 12 reads it letter by letter, master "
                "refuses its type), so this option is gone. Set the environment variable "
                "XDG_CACHE_HOME before Python starts: calix keeps its calibrations below it"
            )
        for name, (low, high) in (TARGETS | OTHERS).items():
            value = checks.number(f"{self.name}: {name}", getattr(self, name), low=low, high=high)
            checks.settle(self, **{name: value})
        if self.v_reset_lsb is not None:
            reset = checks.number(f"{self.name}: v_reset_lsb", self.v_reset_lsb, low=0, high=255)
            checks.settle(self, v_reset_lsb=reset)
        if self.v_leak_lsb >= self.v_threshold_lsb:
            raise ConfigError(
                f"{self.name}: v_leak_lsb must be below v_threshold_lsb; got {self.v_leak_lsb} "
                f"and {self.v_threshold_lsb}"
            )
        if self.calibration_file is not None:
            given = str(checks.path(f"{self.name}: calibration_file", self.calibration_file))
            checks.settle(self, calibration_file=given)
            check_operating_point(given, self._said(), self.name)
        failed = self.failed_neurons
        if isinstance(failed, str) or not isinstance(failed, Iterable):
            raise ConfigError(
                f"{self.name}: failed_neurons: expected a list of circuits; got {failed!r}"
            )
        numbers = {
            checks.whole(f"{self.name}: failed_neurons", neuron, low=0, high=N_CIRCUITS - 1)
            for neuron in failed
        }
        checks.settle(self, failed_neurons=tuple(sorted(numbers)))

    def _said(self) -> dict[str, float | None]:
        """The operating point that the options say."""
        return {
            "tau_syn_us": self.tau_syn_us,
            "tau_mem_us": self.tau_mem_us,
            "v_leak_lsb": self.v_leak_lsb,
            "v_reset_lsb": self.v_reset_lsb,
            "v_threshold_lsb": self.v_threshold_lsb,
            "i_synin_gm": self.i_synin_gm,
            "synapse_dac_bias": self.synapse_dac_bias,
        }

    @property
    def tau_us(self) -> float:
        """One unit of model time, as measured."""
        return self.tau_syn_us * self.time_scale

    @property
    def tick(self) -> float:
        """One clock cycle in model time."""
        return TimeBase(self.tau_us * 1e-6).tick(CLOCK_SECONDS)

    def refractory(self, network: NetworkSpec) -> Refractory:
        """How a calibrated chip is told to hold the neurons of each layer.

        Raises:
            CapacityError: times that one clock cannot count.
        """
        times = [self.refractory_us(layer.neuron) for layer in network.layers]
        return refractory_of(times, f"backend {self.name!r}")

    def refractory_us(self, neuron: NeuronSpec) -> float:
        """For how long the chip holds such a neuron after a spike, in microseconds."""
        if neuron.spikes_once:
            return self.tau_refrac_us
        return neuron.t_refractory * self.tau_us

    def reset_above_leak_lsb(self, neuron: NeuronSpec) -> float:
        """How far from leak a spike sets the membrane of such a neuron; at the leak if it is to
        spike once."""
        if neuron.spikes_once:
            return 0.0
        share = (neuron.v_reset - neuron.v_leak) / (neuron.v_threshold - neuron.v_leak)
        return share * (self.v_threshold_lsb - self.v_leak_lsb)

    def check_network(self, network: NetworkSpec) -> None:
        """Refuse time constants, resets and refractory times that cannot be had.

        Raises:
            CapacityError: another synaptic time constant, or see ``check_held``.
            ConfigError: slots too short.
        """
        for index, layer in enumerate(network.layers):
            if not math.isclose(layer.neuron.tau_syn, 1.0):
                raise CapacityError(
                    f"backend {self.name!r}: layer {index} has tau_syn = {layer.neuron.tau_syn:g}; "
                    "expected 1, the unit of model time: a chip is calibrated, and its "
                    "relative_weight_lsb known, for one synaptic time constant. Another one: "
                    "option tau_syn_us"
                )
        for population in network.populations:
            self.check_held(population)
        longest = max(self.refractory_us(layer.neuron) for layer in network.layers)
        shortest = network.t_window + longest / self.tau_us
        if self.slot < shortest:
            raise ConfigError(
                f"{self.name}: slot = {self.slot:g} is too short: a neuron that spikes at the "
                f"end of the window of {network.t_window:g} is refractory until {shortest:.3g} "
                "(model time), in the next sample"
            )

    def check_held(self, population: Population) -> None:
        """Refuse a reset or refractory time that the chip, or the calibration file, has not.

        Raises:
            CapacityError: of a population whose neurons spike again.
        """
        neuron = population.neuron
        if neuron.spikes_once:
            return
        where = f"backend {self.name!r}: population {population.name!r} has"
        held, reset = self.refractory_us(neuron), self.reset_above_leak_lsb(neuron)
        low, high = TARGETS["tau_refrac_us"]
        if not low <= held <= high:
            raise CapacityError(
                f"{where} t_refractory = {neuron.t_refractory:g}, {held:.4g} us; expected "
                f"{low / self.tau_us:.4g} to {high / self.tau_us:.4g}"
            )
        low, high = (edge - self.v_leak_lsb for edge in TARGETS["v_leak_lsb"])
        if self.calibration_file is not None:
            of_file = self._reset_of_file(self.calibration_file) - self.v_leak_lsb
            low, high = of_file - 1, of_file + 1
        if not low <= reset <= high:
            lsb = self.v_threshold_lsb - self.v_leak_lsb
            of = "" if self.calibration_file is None else ", of the calibration file (v_reset_lsb)"
            raise CapacityError(
                f"{where} v_reset = {neuron.v_reset:g}, {reset / lsb:+.3g} of the distance from "
                f"leak to threshold; expected {low / lsb:+.3g} to {high / lsb:+.3g}{of}"
            )

    def _reset_of_file(self, file: str) -> float:
        if self.v_reset_lsb is not None:
            return self.v_reset_lsb
        point = operating_point(file)
        return self.v_leak_lsb if point is None else point.v_reset_lsb
