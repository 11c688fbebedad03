"""The emulated chip as it is described: its options, checked, and what follows from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hxloop import checks
from hxloop.backends.emulated.drawing import (
    NORMAL,
    ChipDrawing,
    NormalDrawing,
    drawing_of,
    drawn_pattern,
)
from hxloop.backends.emulated.imperfections import STEPWISE, Imperfections
from hxloop.backends.emulated.knob_curves import KNOBS, KnobCurves
from hxloop.backends.emulated.knob_options import KnobOptions
from hxloop.backends.emulated.model import (
    ChipModel,
    chip_name,
    circuits_needed,
)
from hxloop.backends.precision import RESOLUTION, check_precision
from hxloop.chip.clock import CLOCK_SECONDS
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.placement import N_CIRCUITS, SIGNED_INPUTS
from hxloop.chip.readout import OBSERVABLES
from hxloop.chip.weight_grid import WeightGrid
from hxloop.errors import ConfigError, UnknownNameError, unknown_name
from hxloop.files import sha256_of
from hxloop.network import Feature, NetworkSpec
from hxloop.substrate import Capabilities
from hxloop.units import TimeBase

SOLVERS = ("brian2", "event")
FEATURES = frozenset(
    {
        Feature.MULTI_SPIKE,
        Feature.RECURRENT,
        Feature.SKIP,
        Feature.READOUT,
        Feature.NEURON_PARAMETERS,
    }
)
CODEGEN_TARGETS = ("cpp_standalone", "numpy")


@dataclass(frozen=True)
class EmulatedChip:
    """One emulated chip, and how it is solved.

    Args:
        chip: number of the chip; the same number is always the same chip.
        imperfections: a preset ("none", "calibrated", "uncalibrated", one of ``presets.toml``, or
            the path of a file like it), an ``Imperfections``, or a mapping of its fields with an
            optional "preset" to start from.
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
        dt: time step of the Brian2 model, and of what "event" solves step by step, model time.
        codegen: how Brian2 runs: "cpp_standalone" (compiled once, cached) or "numpy" (no
            compiler needed, several times slower).
        cache_dir: where compiled models are kept; None: the user's cache folder.
        knob_options: how knobs and converters are, fields of ``KnobOptions``; None: defaults.
        hours: how long the chip has been drifting.
        delay_neurons: offer axonal delays, by an extra neuron (two circuits) for every presynaptic
            neuron of a projection with delays; see ``hxloop.chip.delay_neurons``. The chip itself
            has no delays.
        drawn_by: what draws chips and noise: "normal", every circuit for itself, or a family of
            another package (entry points ``hxloop.chip_models``), by name or as a table of its
            ``name`` and options; see ``hxloop.backends.emulated.drawing``.

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
    delay_neurons: bool = False
    drawn_by: str | Mapping[str, Any] | ChipDrawing = NORMAL

    def __post_init__(self) -> None:
        object.__setattr__(self, "imperfections", Imperfections.resolve(self.imperfections))
        object.__setattr__(self, "knob_options", KnobOptions.resolve(self.knob_options))
        object.__setattr__(self, "drawn_by", drawing_of(self.drawn_by))
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
            delay_neurons=checks.flag(f"{where}delay_neurons", self.delay_neurons),
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
        steps = self.statistics.of_these(STEPWISE)
        if steps and self.solver != "event":
            raise ConfigError(
                f"emulated-chip: solver {self.solver!r} does not model {', '.join(steps)}; "
                "solver='event' does, step by step"
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
        exact = self.solver == "event" and not self.statistics.of_these(STEPWISE)
        resolution = RESOLUTION[self.precision] if exact else 2 * self.dt
        if self.quantise_times:
            resolution += self.tick
        noise = self.statistics
        delays_vary = self.delay_neurons and noise.delay_jitter > 0
        quiet = not (self.drawing.noisy(noise) or delays_vary)
        alike = noise == Imperfections.none() and self.drawing == NormalDrawing()
        return Capabilities(
            deterministic=quiet,
            time_resolution=resolution,
            weight_levels=grid.levels if grid else None,
            weight_limit=grid.limit if grid else None,
            max_neurons=N_CIRCUITS if self.enforce_limits else None,
            max_fan_in=SIGNED_INPUTS * N_CIRCUITS if self.enforce_limits else None,
            knobs=frozenset(KNOBS),
            observables=frozenset(OBSERVABLES),
            spontaneous=not alike if quiet else None,
            features=FEATURES | ({Feature.DELAYS} if self.delay_neurons else set()),
        )

    @property
    def statistics(self) -> Imperfections:
        """What the chip is drawn from, and its noise."""
        return Imperfections.resolve(self.imperfections)

    @property
    def drawing(self) -> ChipDrawing:
        """What draws the chip and its noise."""
        return drawing_of(self.drawn_by)

    @property
    def chip_id(self) -> str:
        """Name of the chip: a function of its number, its imperfections, family and knobs."""
        name, options = chip_name(self.statistics, self.chip), self.knob_statistics
        if self.drawing != NormalDrawing():
            name += f"-{sha256_of(repr(self.drawing))[:8]}"
        if options == KnobOptions():
            return name
        return f"{name}-{sha256_of(json.dumps(options.as_dict()))[:8]}"

    def chip_model(self, network: NetworkSpec) -> ChipModel:
        """The drawn chip, large enough for the network, with all knobs at the median code."""
        curves = self.curves(network)
        if self.hours == 0:
            return curves.model
        return curves.pattern(curves.default_codes(), OperatingPoint())

    @property
    def knob_statistics(self) -> KnobOptions:
        """What its knobs and converters are drawn from."""
        return KnobOptions.resolve(self.knob_options)

    def curves(self, network: NetworkSpec) -> KnobCurves:
        """Its knobs and what they do, large enough for the network."""
        n_circuits = max(N_CIRCUITS, circuits_needed(network))
        drawn = drawn_pattern(self.drawing, self.statistics, self.chip, n_circuits)
        model = ChipModel(self.chip_id, self.statistics, **drawn)
        return KnobCurves(model, self.chip, self.knob_statistics, float(self.hours))
