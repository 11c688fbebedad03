"""A BrainScaleS-2 chip through the vendor's PyNN (``pynn_brainscales``).

Written to the published interface of ``pynn_brainscales.brainscales2``, and run against a double
of it that enforces the documented rules (``tests/contract_double``). **It has not yet been run on
a chip.** If you have one, these three commands tell whether it works there, in rising order of
what they need::

    hxloop check-backend pynn-brainscales2 --set calibration_file=spiking_cocolist.pbin
    hxloop train yin-yang-in-the-loop --backend pynn-brainscales2 --epochs 2 --out on-chip \
        --set backend.options.calibration_file=spiking_cocolist.pbin
    hxloop evaluate on-chip

What it relies on. Times are milliseconds of the chip's own clock, input is truncated to its
cycles of 8 ns, weights are whole numbers up to 63 with the sign of their receptor, there are no
delays, and between two runs there is a reset. A batch is one run: sample after sample on one
time axis, in slots that are long enough to forget. Nothing separates the samples but this time:
a neuron may fire again in its slot, after its refractory time, and its targets feel that;
reported is the first spike of each neuron in each slot. Spikes that the link loses are missing
without a trace: PyNN does not say how many.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from hxloop import checks
from hxloop.backends.brainscales2.dialect import BrainScaleS2Dialect
from hxloop.backends.emulated.model import N_CIRCUITS, SIGNED_INPUTS
from hxloop.backends.pynn.adapter import PynnSession
from hxloop.chip.clock import CLOCK_SECONDS
from hxloop.chip.weight_grid import WeightGrid
from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec
from hxloop.substrate import Capabilities, check_network
from hxloop.substrate.optional import digest_of_calibration, usable_circuits
from hxloop.units import TimeBase

LONGEST_RUN_SECONDS = 2**32 * CLOCK_SECONDS  # the timer of a run has 32 bits


# A batch takes milliseconds of the chip's time; setting up and reading out, a few seconds.
HUNG_SECONDS = 120.0


@dataclass(frozen=True)
class PynnBrainscales2Backend:
    """A BrainScaleS-2 chip, as ``pynn_brainscales`` finds it.

    Args:
        calibration_file: portable binary (``.pbin``) of a calibration. The neurons are then used as
            it sets them (``HXNeuron``). None: PyNN calibrates neurons to the targets below
            before the first run (``CalibHXNeuronCuba``), which takes minutes.
        calibration_cache: folder in which PyNN keeps the calibrations that it makes.
        tau_syn_us: synaptic time constant, the length of one unit of model time.
        tau_mem_us: membrane time constant that ``calibration_file`` was made for. Without a file
            the network says it.
        tau_refrac_us: refractory time: of the file, or the target.
        v_leak_lsb, v_threshold_lsb, i_synin_gm, synapse_dac_bias: targets without a file.
        relative_weight_lsb: weight of one bit in units of the distance from leak to threshold. It
            depends on the calibration: ``hxloop.calibration.fit_scales`` measures it. (On other
            backends ``weight_lsb`` is a weight in model units, whatever the distance.)
        spike_offset_us: how much later than they happened spikes are stamped; subtracted.
            (80.4 ns is the default of jaxsnn on such a chip.)
        slot: model time from one sample to the next.
        failed_neurons: hardware neurons, 0 to 511, not to be used.
        weight_lsb: no option here; refused, with what to give instead.

    Raises:
        ConfigError: a value out of range.
    """

    name: ClassVar[str] = "pynn-brainscales2"

    calibration_file: str | None = None
    calibration_cache: str | None = None
    tau_syn_us: float = 6.0
    tau_mem_us: float = 6.0
    tau_refrac_us: float = 20.0
    v_leak_lsb: float = 80.0
    v_threshold_lsb: float = 150.0
    i_synin_gm: int = 500
    synapse_dac_bias: int = 1000
    relative_weight_lsb: float = 1 / 78
    spike_offset_us: float = 0.0
    slot: float = 30.0
    failed_neurons: tuple[int, ...] = ()
    weight_lsb: None = None

    def __post_init__(self) -> None:
        if self.weight_lsb is not None:
            raise ConfigError(
                f"{self.name}: weight_lsb={self.weight_lsb!r}: this chip's option is "
                "relative_weight_lsb, the weight of one bit in units of the distance from leak to "
                "threshold (what weight_lsb meant here in earlier versions). A weight in model "
                "units, as weight_lsb is on other backends, is to be divided by that distance"
            )
        # Ranges of the targets: those that the vendor's calibration states.
        for name, low, high in (
            ("tau_syn_us", 0.3, 30),
            ("tau_mem_us", 0.5, 60),
            ("tau_refrac_us", 0.04, 32),
            ("v_leak_lsb", 50, 160),
            ("v_threshold_lsb", 50, 220),
            ("i_synin_gm", 30, 800),
            ("synapse_dac_bias", 30, 1022),
            ("relative_weight_lsb", 1e-6, 1e6),
            ("spike_offset_us", -10, 10),
            ("slot", 1e-3, 1e6),
        ):
            value = checks.number(f"{self.name}: {name}", getattr(self, name), low=low, high=high)
            checks.settle(self, **{name: value})
        if self.v_leak_lsb >= self.v_threshold_lsb:
            raise ConfigError(
                f"{self.name}: v_leak_lsb must be below v_threshold_lsb; got {self.v_leak_lsb} "
                f"and {self.v_threshold_lsb}"
            )
        for name in ("calibration_file", "calibration_cache"):
            if getattr(self, name) is not None:
                given = str(checks.path(f"{self.name}: {name}", getattr(self, name)))
                checks.settle(self, **{name: given})
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

    @property
    def tick(self) -> float:
        """One clock cycle in model time."""
        return TimeBase(self.tau_syn_us * 1e-6).tick(CLOCK_SECONDS)

    @property
    def capabilities(self) -> Capabilities:
        """What the chip can do; ``time_resolution`` is that of its clock only.

        ``weight_limit`` is for a distance of 1 from leak to threshold; a session says its own.
        """
        grid = WeightGrid(self.relative_weight_lsb)
        ratio = self.tau_mem_us / self.tau_syn_us
        return Capabilities(
            deterministic=False,
            time_resolution=2 * self.tick,
            time_limit=HUNG_SECONDS,
            weight_levels=grid.levels,
            weight_limit=grid.limit,
            max_neurons=N_CIRCUITS,
            max_fan_in=SIGNED_INPUTS,
            tau_ratios=None if self.calibration_file is None else (ratio,),
            max_batch=int(LONGEST_RUN_SECONDS / (self.slot * self.tau_syn_us * 1e-6)) - 1,
        )

    def open(
        self, network: NetworkSpec, *, calibration: Any = None, seed: int | None = None
    ) -> PynnSession:
        """Open a session. ``seed`` is not used: the chip has no say in its noise.

        Args:
            network: what to run.
            calibration: scales measured with this backend, a result of ``hxloop.calibration``:
                ``weight_scale``, ``time_scale`` and ``spike_offset`` are applied on top of the
                options, and circuits that are not ``usable`` are left out.
            seed: not used.

        Raises:
            CapacityError: the network does not fit the chip, or another session is open.
            ConfigError: there is no such calibration file, or slots are too short.
            MissingDependencyError: ``pynn_brainscales`` is not installed.
            FileFormatError: the calibration file cannot be read.
        """
        described, digest = self._with(calibration), digest_of_calibration(calibration)
        check_network(network, described.capabilities, self.name)
        dialect = BrainScaleS2Dialect(described, network, digest)
        limit = dialect.grid.limit
        return PynnSession(dialect, network, replace(described.capabilities, weight_limit=limit))

    def _with(self, calibration: Any) -> PynnBrainscales2Backend:
        if calibration is None:
            return self
        try:
            scale, stretch = float(calibration.weight_scale), float(calibration.time_scale)
            offset = float(calibration.spike_offset)
        except (AttributeError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{self.name}: calibration: expected weight_scale, time_scale and spike_offset, a "
                f"result of hxloop.calibration; got {calibration!r}"
            ) from error
        usable = usable_circuits(calibration, N_CIRCUITS)
        if usable.shape != (N_CIRCUITS,):
            raise ConfigError(
                f"{self.name}: calibration: expected usable for {N_CIRCUITS} circuits; got shape "
                f"{usable.shape}"
            )
        tau_us = self.tau_syn_us * stretch
        return replace(
            self,
            relative_weight_lsb=self.relative_weight_lsb * scale,
            tau_syn_us=tau_us,
            tau_mem_us=self.tau_mem_us * stretch,
            spike_offset_us=self.spike_offset_us + offset * tau_us,
            failed_neurons=(*self.failed_neurons, *np.flatnonzero(~usable).tolist()),
        )
