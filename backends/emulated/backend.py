"""An emulated BrainScaleS-2-style analog core: one drawn chip, two solvers.

Modelled: fixed-pattern spread of every neuron parameter and of the synaptic strengths, dead
circuits, trial noise, 6-bit signed weights, 8 ns time stamps of inputs and recorded spikes,
the number of circuits and of inputs of a circuit, knobs and converters for a calibration, drift
and, if asked for, crosstalk between stored codes. Not modelled: limited link bandwidth,
saturation of the membrane and of the synaptic inputs. It is a model of the chip's statistics,
not of its circuits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.backends.emulated.calibrations import check_fit, chip_under
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.knob_curves import KNOBS, KnobCurves
from hxloop.backends.emulated.knob_options import KnobOptions
from hxloop.backends.emulated.model import (
    N_CIRCUITS,
    SIGNED_INPUTS,
    ChipModel,
    chip_name,
    circuits_needed,
    merged_circuits,
)
from hxloop.backends.emulated.session import EmulatedChipSession
from hxloop.backends.precision import RESOLUTION, check_precision
from hxloop.chip.clock import CLOCK_SECONDS
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import OBSERVABLES, Codes
from hxloop.chip.weight_grid import WeightGrid
from hxloop.errors import CapacityError, ConfigError, UnknownNameError, unknown_name
from hxloop.files import sha256_of
from hxloop.network import NetworkSpec
from hxloop.substrate import Capabilities, check_network, check_stream
from hxloop.units import TimeBase

Array = NDArray[np.float64]

SOLVERS = ("brian2", "event")
CODEGEN_TARGETS = ("cpp_standalone", "numpy")


@dataclass(frozen=True)
class EmulatedChipBackend:
    """One emulated chip.

    Args:
        chip: number of the chip; the same number is always the same chip.
        imperfections: a preset ("none", "calibrated", "uncalibrated"), an ``Imperfections``,
            or a mapping of its fields with an optional "preset" to start from.
        solver: "brian2" integrates a Brian2 model on a time grid; "event" solves the same
            equations exactly, for networks that Brian2 is too slow for.
        precision: of the event solver's membranes and of the gradient, which follows the weights
            in use: "double", or "single", up to twice as fast. Brian2 runs in double precision.
        quantise_weights: clip and round weights to 6 bits and a sign.
        quantise_times: truncate input spikes and recorded spikes to the 8 ns clock.
        weight_lsb: weight of one bit in model units, where the threshold is 1 above the leak.
            Default 1/78: 1/30 at a threshold of 2.6, as on BrainScaleS-2 by Göltz et al. 2025.
        tau_syn_us: length of one unit of model time on the chip, in microseconds.
        enforce_limits: refuse networks that need more than 512 circuits. False continues
            the same chip with as many as it takes.
        dt: time step of the Brian2 model, in model time.
        codegen: how Brian2 runs: "cpp_standalone" (compiled once, cached) or "numpy" (no
            compiler needed, several times slower).
        cache_dir: where compiled models are kept; None: the user's cache folder.
        knob_options: how knobs and converters are, fields of ``KnobOptions``; None: defaults.
        hours: how long the chip has been drifting.

    Raises:
        UnknownNameError: an unknown preset, imperfection, knob option, solver or codegen target.
        ConfigError: a value out of range.
    """

    name: ClassVar[str] = "emulated-chip"

    chip: int = 0
    imperfections: str | Mapping[str, Any] | Imperfections = "calibrated"
    solver: str = "brian2"
    precision: str = "double"
    quantise_weights: bool = True
    quantise_times: bool = True
    weight_lsb: float = 1 / 78
    tau_syn_us: float = 6.0
    enforce_limits: bool = True
    dt: float = 1 / 200
    codegen: str = "cpp_standalone"
    cache_dir: str | None = None
    knob_options: Mapping[str, Any] | KnobOptions | None = None
    hours: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "imperfections", Imperfections.resolve(self.imperfections))
        object.__setattr__(self, "knob_options", KnobOptions.resolve(self.knob_options))
        where = f"{self.name}: "
        checks.settle(
            self,
            chip=checks.whole(f"{where}chip", self.chip, low=0),
            weight_lsb=checks.number(f"{where}weight_lsb", self.weight_lsb, above=0, below=1e9),
            tau_syn_us=checks.number(f"{where}tau_syn_us", self.tau_syn_us, above=0, below=1e9),
            dt=checks.number(f"{where}dt", self.dt, low=1e-5, high=0.1, what="number of tau_syn"),
            hours=checks.number(f"{where}hours", self.hours, low=0, high=1e5),
            quantise_weights=checks.flag(f"{where}quantise_weights", self.quantise_weights),
            quantise_times=checks.flag(f"{where}quantise_times", self.quantise_times),
            enforce_limits=checks.flag(f"{where}enforce_limits", self.enforce_limits),
        )
        if self.cache_dir is not None:
            checks.settle(self, cache_dir=str(checks.path(f"{where}cache_dir", self.cache_dir)))
        if self.solver not in SOLVERS:
            raise UnknownNameError(unknown_name("solver", self.solver, SOLVERS))
        check_precision(self.name, self.precision)
        if self.precision != "double" and self.solver != "event":
            raise ConfigError(
                f"emulated-chip: precision={self.precision!r} is for solver='event'; solver "
                f"{self.solver!r} integrates in double precision"
            )
        if self.codegen not in CODEGEN_TARGETS:
            raise UnknownNameError(unknown_name("codegen target", self.codegen, CODEGEN_TARGETS))

    @property
    def tick(self) -> float:
        """One clock cycle in model time."""
        return TimeBase(self.tau_syn_us * 1e-6).tick(CLOCK_SECONDS)

    @property
    def capabilities(self) -> Capabilities:
        """What the chip can do."""
        grid = WeightGrid(self.weight_lsb) if self.quantise_weights else None
        resolution = RESOLUTION[self.precision] if self.solver == "event" else 2 * self.dt
        if self.quantise_times:
            resolution += self.tick
        quiet = not self._imperfections.has_trial_noise
        return Capabilities(
            deterministic=quiet,
            time_resolution=resolution,
            weight_levels=grid.levels if grid else None,
            weight_limit=grid.limit if grid else None,
            max_neurons=N_CIRCUITS if self.enforce_limits else None,
            max_fan_in=SIGNED_INPUTS * N_CIRCUITS if self.enforce_limits else None,
            knobs=frozenset(KNOBS),
            observables=frozenset(OBSERVABLES),
            spontaneous=self._imperfections != Imperfections.none() if quiet else None,
        )

    @property
    def _imperfections(self) -> Imperfections:
        return Imperfections.resolve(self.imperfections)

    def open(
        self, network: NetworkSpec, *, calibration: Any = None, seed: int | None = None
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
            CapacityError: the network needs more than 512 circuits, or more than are usable.
            CalibrationError: the calibration is for another chip or for other time constants.
            CompilerError: (solver "brian2") there is no C++ compiler.
        """
        seed = check_stream("seed", seed)
        needed = circuits_needed(network)
        if self.enforce_limits and needed > N_CIRCUITS:
            layers = ", ".join(
                f"layer {i}: {post} neurons x {merged}"
                for i, ((_, post), merged) in enumerate(
                    zip(network.shapes, merged_circuits(network), strict=True)
                )
            )
            raise CapacityError(
                f"backend 'emulated-chip': network {network} needs {needed} neuron circuits "
                f"({layers}; one circuit for every {SIGNED_INPUTS} signed inputs), the chip has "
                f"{N_CIRCUITS}. Make the network smaller, or lift the limit with "
                "enforce_limits=False."
            )
        check_network(network, self.capabilities, self.name)
        chosen = self
        if calibration is not None:
            self.check_calibration(network, calibration)
            chosen = chip_under(self, calibration)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        return EmulatedChipSession(chosen, network, seed, calibration)

    @property
    def chip_id(self) -> str:
        """Name of the chip: a function of its number, its imperfections and its knobs."""
        name, options = chip_name(self._imperfections, self.chip), self._knobs
        if options == KnobOptions():
            return name
        return f"{name}-{sha256_of(json.dumps(options.as_dict()))[:8]}"

    def chip_model(self, network: NetworkSpec) -> ChipModel:
        """The drawn chip, large enough for the network, with all knobs at the median code."""
        curves = self._curves(network)
        if self.hours == 0:
            return curves.model
        return curves.pattern(curves.default_codes(), OperatingPoint())

    @property
    def _knobs(self) -> KnobOptions:
        return KnobOptions.resolve(self.knob_options)

    def _curves(self, network: NetworkSpec) -> KnobCurves:
        n_circuits = max(N_CIRCUITS, circuits_needed(network))
        model = ChipModel.draw(self._imperfections, self.chip, n_circuits)
        model = replace(model, chip_id=self.chip_id)
        return KnobCurves(model, self.chip, self._knobs, float(self.hours))

    def describe(self) -> str:
        """That the first run of a compiled model takes longer."""
        if self.solver != "brian2" or self.codegen != "cpp_standalone":
            return ""
        return (
            "Brian2 compiles its model once for every shape of network and batch (about 20 s), "
            "then it is kept."
        )

    def check_calibration(self, network: NetworkSpec, calibration: Any) -> None:
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
        curves = self._curves(network)
        chosen = curves.default_codes() if codes is None else codes
        return curves.pattern(chosen, target or OperatingPoint()).as_dict()

    def substrate_parameters(
        self, network: NetworkSpec, calibration: Any = None
    ) -> dict[str, Array]:
        """The hidden truth, for reports: fixed pattern of every circuit the network uses.

        Args:
            network: what is placed.
            calibration: that the chip is opened with; None: all knobs at the median code.

        Returns:
            In the order of the neurons, layer by layer, circuit by circuit. Time constants and
            strengths relative to nominal (with a calibration: to its target and its measured
            weight of one bit); potentials as shifts in units of the leak-threshold distance;
            ``dead`` as 0 or 1.

        Raises:
            CalibrationError, CapacityError: as ``open``.
        """
        model, usable = self.chip_model(network), None
        if calibration is not None:
            self.check_calibration(network, calibration)
            curves, usable = chip_under(self, calibration)._curves(network), calibration.usable
            model = curves.pattern(calibration.codes, calibration.target, calibration.weight_scale)
        circuits = np.concatenate([layer.ravel() for layer in model.circuits(network, usable)])
        return {name: values[circuits] for name, values in model.as_dict().items()}
