"""A BrainScaleS-2 chip through the vendor's PyNN (``pynn_brainscales``).

Written to the published interface of ``pynn_brainscales.brainscales2``, and run against a double
of it that enforces the documented rules (``tests/contract_double``). **It has not yet been run on
a chip.** If you have one, these commands tell whether it works there, in rising order of what they
need: the vendor's software, a chip, its calibration file, some minutes::

    hxloop check-backend pynn-brainscales2 --prepare-only \
        --set calibration_file=spiking2_cocolist.pbin
    hxloop check-link pynn-brainscales2
    hxloop fit-scales pynn-brainscales2 --out scales.json \
        --set calibration_file=spiking2_cocolist.pbin
    hxloop train yin-yang-in-the-loop --backend pynn-brainscales2 --epochs 2 --out on-chip \
        --set backend.options.calibration_file=spiking2_cocolist.pbin \
        --set backend.calibration=scales.json
    hxloop evaluate on-chip

What it relies on. Times are milliseconds of the chip's own clock, input is truncated to its
cycles of 8 ns, weights are whole numbers up to 63 with the sign of their receptor, there are no
delays, and between two runs there is a reset. A batch is one run, or several if it is too long for
one (``hxloop.backends.brainscales2.pieces``): sample after sample on one time axis, in slots that
are long enough to forget. Nothing separates the samples but this time: a neuron may fire again in
its slot, after its refractory time, and its targets feel that. Reported is the first spike of each
neuron in each slot, or, where the network has a refractory time (``NeuronSpec.t_refractory``),
every spike; slots are longer then if neurons might fire for longer
(``hxloop.backends.pynn.train_spacing``). The reset is a target of the calibration, or must be that
of the file; refractory times are set by counters, whatever the file says. Events that the chip
drops it counts itself (``RunInfo.lost_spikes``); what the link loses is missing without a trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hxloop.backends.brainscales2 import vendor
from hxloop.backends.brainscales2.dialect import BrainScaleS2Dialect
from hxloop.backends.brainscales2.examine import examine
from hxloop.backends.brainscales2.link import check_link
from hxloop.backends.brainscales2.options import BrainScaleS2Options
from hxloop.backends.brainscales2.prepare import prepare_networks
from hxloop.backends.brainscales2.session import BrainScaleS2Session
from hxloop.chip.cost import estimated_cost
from hxloop.chip.placement import N_CIRCUITS, SIGNED_INPUTS
from hxloop.chip.weight_grid import WeightGrid
from hxloop.errors import ConfigError
from hxloop.network import Feature, NetworkSpec
from hxloop.substrate import BaseBackend, Calibration, Capabilities, check_network
from hxloop.substrate.chip_software import LinkReport, PreparedNetwork, SoftwareFindings
from hxloop.substrate.optional import (
    chip_of_calibration,
    digest_of_calibration,
    usable_circuits,
)

# A batch takes milliseconds of the chip's time; setting up and reading out, a few seconds.
HUNG_SECONDS = 120.0


@dataclass(frozen=True)
class PynnBrainscales2Backend(BrainScaleS2Options, BaseBackend):
    """A BrainScaleS-2 chip, as ``pynn_brainscales`` finds it.

    Its options, and what they mean: ``hxloop.backends.brainscales2.options.BrainScaleS2Options``.
    """

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
            features=frozenset({Feature.MULTI_SPIKE}),
        )

    @property
    def device(self) -> str:
        """The chip, as this environment leads to it: a program at a time can have it."""
        found = vendor.connection().values()
        return f"{self.name} {', '.join(found) or 'without a configured connection'}"

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> BrainScaleS2Session:
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
            CalibrationError: the scales were measured on another chip than this one.
        """
        described, digest = self._with(calibration), digest_of_calibration(calibration)
        check_network(network, described.capabilities, self.name)
        of_chip = chip_of_calibration(calibration)
        dialect = BrainScaleS2Dialect(described, network, digest, of_chip)
        capabilities = replace(described.capabilities, weight_limit=dialect.grid.limit)
        return BrainScaleS2Session(described, dialect, network, capabilities)

    def prepare_networks(self) -> tuple[str, list[PreparedNetwork]]:
        """Show networks to the vendor's router; see ``hxloop.substrate.chip_software``."""
        told = vendor.without_a_chip()

        def opened(network: NetworkSpec, failed: Sequence[int]) -> BrainScaleS2Session:
            return replace(self, failed_neurons=(*self.failed_neurons, *failed)).open(network)

        return told, prepare_networks(opened)

    def cost_of_sample(self, events_in: float, events_out: float) -> Mapping[str, float]:
        """What a sample costs on the chip: an estimate, see ``hxloop.chip.cost``."""
        return estimated_cost(self.tau_us, events_in, events_out, slot=self.slot).as_dict()

    def check_link(self, milliseconds: float) -> LinkReport:
        """Send events at rising rates; see ``hxloop.backends.brainscales2.link``."""
        return check_link(milliseconds=milliseconds)

    def examine(self, calibration: Path | None, *, connect: bool) -> SoftwareFindings:
        """What is installed and configured; see ``hxloop.backends.brainscales2.examine``."""
        return examine(self.name, calibration, connect=connect)

    def _with(self, calibration: Calibration | None) -> PynnBrainscales2Backend:
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
        stretched = replace(self, time_scale=self.time_scale * stretch)
        return replace(
            stretched,
            relative_weight_lsb=self.relative_weight_lsb * scale,
            spike_offset_us=self.spike_offset_us + offset * stretched.tau_us,
            failed_neurons=(*self.failed_neurons, *np.flatnonzero(~usable).tolist()),
        )
