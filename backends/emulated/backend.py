"""An emulated BrainScaleS-2-style analog core: one drawn chip, two solvers.

Modelled: fixed-pattern spread of every neuron parameter and of the synaptic strengths, dead
circuits, trial noise, 6-bit signed weights, 8 ns time stamps of inputs and recorded spikes,
the number of circuits and of inputs of a circuit, refractory counters, knobs and converters for a
calibration, drift and, if asked for, delay neurons and crosstalk between stored codes. Not
modelled: limited link bandwidth, the latency of spikes within the chip, saturation of the membrane
and of the synaptic inputs. It is a model of the chip's statistics,
not of its circuits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.calibrations import check_fit, chip_under
from hxloop.backends.emulated.chip import EmulatedChip
from hxloop.backends.emulated.imperfections import FIRST_SPIKES_ONLY
from hxloop.backends.emulated.model import circuits_needed, delay_circuits_needed
from hxloop.backends.emulated.session import EmulatedChipSession
from hxloop.chip.cost import estimated_cost
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.placement import N_CIRCUITS, SIGNED_INPUTS, merged_circuits
from hxloop.chip.readout import Codes
from hxloop.errors import CapacityError
from hxloop.network import Feature, NetworkSpec
from hxloop.substrate import BaseBackend, Calibration, check_network, check_stream

Array = NDArray[np.float64]


@dataclass(frozen=True)
class EmulatedChipBackend(EmulatedChip, BaseBackend):
    """One emulated chip.

    Its options, and what they mean: ``hxloop.backends.emulated.chip.EmulatedChip``.
    """

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> EmulatedChipSession:
        """Place a network on the chip.

        Args:
            network: what to run.
            calibration: a result of ``hxloop.calibration`` for this chip. None: all knobs are
                at the median code, where the chip is as ``imperfections`` says. The preset
                "calibrated" stands in for a calibration: a real one takes its place, so that
                the chip it was made on, of the preset "uncalibrated", is opened.
            seed: of the trial noise; None draws one, which ``RunInfo`` reports.

        Raises:
            CapacityError: the network needs more than 512 circuits, or more than are usable; or
                delays that the chip does not have.
            CalibrationError: the calibration is for another chip or for other time constants.
            MissingDependencyError: (solver "brian2") Brian2 is not installed.
            CompilerError: (solver "brian2") there is no C++ compiler.
        """
        seed = check_stream("seed", seed)
        self._check_delays(network)
        self._check_imperfections(network)
        check_network(network, self.capabilities, self.name)
        self._check_size(network)
        chosen, fitting = self, None
        if calibration is not None:
            fitting = check_fit(self, network, calibration)
            chosen = chip_under(self, fitting)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        return EmulatedChipSession(chosen, network, seed, fitting)

    def _check_delays(self, network: NetworkSpec) -> None:
        if Feature.DELAYS not in network.features:
            return
        if not self.delay_neurons:
            raise CapacityError(
                f"backend {self.name!r}: network {network} needs delays, which the chip does not "
                f"have. With delay_neurons=True it makes axonal ones, by "
                f"{delay_circuits_needed(network)} more circuits for this network."
            )

    def _check_imperfections(self, network: NetworkSpec) -> None:
        """Refuse what is modelled for first spikes alone in a network of all spikes."""
        only_first = self.statistics.of_these(FIRST_SPIKES_ONLY)
        if network.features and only_first:
            raise CapacityError(
                f"backend {self.name!r}: imperfections {', '.join(only_first)} are modelled for "
                f"feed-forward networks whose neurons spike once; {network} is another. Set them "
                "to 0 for this network"
            )

    def _check_size(self, network: NetworkSpec) -> None:
        needed = circuits_needed(network)
        if self.enforce_limits and needed > N_CIRCUITS:
            layers = ", ".join(
                f"layer {i}: {layer.n_neurons} neurons x {merged}"
                for i, (layer, merged) in enumerate(
                    zip(network.layers, merged_circuits(network), strict=True)
                )
            )
            if network.features & {Feature.DELAYS}:
                layers += f", {delay_circuits_needed(network)} for delays"
            raise CapacityError(
                f"backend 'emulated-chip': network {network} needs {needed} neuron circuits "
                f"({layers}; one circuit for every {SIGNED_INPUTS} signed inputs), the chip has "
                f"{N_CIRCUITS}. Make the network smaller, or lift the limit with "
                "enforce_limits=False."
            )

    def describe(self) -> str:
        """That the first run of a compiled model takes longer."""
        if self.solver != "brian2" or self.codegen != "cpp_standalone":
            return ""
        return (
            "Brian2 compiles its model once for every shape of network and batch (about 20 s), "
            "then it is kept."
        )

    def cost_of_sample(self, events_in: float, events_out: float) -> Mapping[str, float]:
        """What a sample would cost on the chip: an estimate, see ``hxloop.chip.cost``."""
        return estimated_cost(self.tau_syn_us, events_in, events_out).as_dict()

    def check_calibration(self, network: NetworkSpec, calibration: Calibration) -> None:
        """Refuse what is no calibration of this chip, or none for this network.

        Raises:
            CalibrationError: no calibration, or one of another chip or for other time constants.
            CapacityError: it left too few circuits usable.
        """
        check_fit(self, network, calibration)

    def parameters_at(
        self,
        network: NetworkSpec,
        codes: Mapping[str, Codes] | None = None,
        target: OperatingPoint | None = None,
    ) -> dict[str, Array]:
        """The hidden truth, for reports: the fixed pattern of the whole chip at given codes.

        Args:
            network: says how large the chip is.
            codes: of all knobs; None: the median codes.
            target: what deviations are relative to; None: the default operating point.

        Returns:
            As ``substrate_parameters``, for every circuit.
        """
        curves = self.curves(network)
        chosen = curves.default_codes() if codes is None else codes
        return curves.pattern(chosen, target or OperatingPoint()).as_dict()

    def substrate_parameters(
        self, network: NetworkSpec, calibration: Calibration | None = None
    ) -> dict[str, Array]:
        """The hidden truth, for reports: fixed pattern of every circuit the network uses.

        Args:
            network: what is placed.
            calibration: that the chip is opened with; None: all knobs at the median code.

        Returns:
            In the order of the neurons, layer by layer, circuit by circuit, then those of delay
            neurons, projection by projection, two each, of which the first counts. Time
            constants and strengths relative to nominal (with a calibration: to its target and
            its measured weight of one bit); potentials as shifts in units of the leak-threshold
            distance, refractory times in model time; ``dead`` as 0 or 1.

        Raises:
            CalibrationError, CapacityError: as ``open``.
        """
        model, usable = self.chip_model(network), None
        if calibration is not None:
            made = check_fit(self, network, calibration)
            curves, usable = chip_under(self, made).curves(network), made.usable
            model = curves.pattern(made.codes, made.target, made.weight_scale)
        delayed = [c for c in model.delay_circuits(network, usable) if c is not None]
        taken = [*model.circuits(network, usable), *delayed]
        circuits = np.concatenate([layer.ravel() for layer in taken])
        return {name: values[circuits] for name, values in model.as_dict().items()}
