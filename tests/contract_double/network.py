"""Cells, populations and projections of the double."""

from __future__ import annotations

from typing import Any, ClassVar
from warnings import warn

import neo
import numpy as np
from pyNN.errors import ConnectionError, NonExistentParameterError
from pyNN.parameters import Sequence

from tests.contract_double import control, simulator
from tests.contract_double.chip import CLOCK_MHZ, Chip
from tests.contract_double.simulator import rounded_weights

# Range of calibration targets, as the vendor's calibration states them.
RANGES = {
    "v_rest": (50, 160), "v_reset": (50, 160), "v_thresh": (50, 220), "tau_m": (0.5, 60),
    "tau_syn_E": (0.3, 30), "tau_syn_I": (0.3, 30), "tau_refrac": (0.04, 32), "cm": (0, 63),
    "i_synin_gm_E": (30, 800), "i_synin_gm_I": (30, 800), "synapse_dac_bias": (30, 1022),
}  # fmt: skip


class Cell:
    """A cell type with parameters."""

    defaults: ClassVar[dict[str, Any]] = {}
    recordable: ClassVar[tuple[str, ...]] = ("spikes", "v")
    on_chip, calibrates = True, False

    def __init__(self, **parameters: Any) -> None:
        for name in parameters:
            if name not in self.defaults:
                raise NonExistentParameterError(name, type(self).__name__, list(self.defaults))
        self.given = dict(parameters)
        self.parameters = {**self.defaults, **parameters}


class SpikeSourceArray(Cell):
    """Input spikes, ms."""

    defaults: ClassVar[dict[str, Any]] = {"spike_times": Sequence([])}
    recordable: ClassVar[tuple[str, ...]] = ("spikes",)
    on_chip = False


class HXNeuron(Cell):
    """A neuron with raw parameters: silent, unless the chip's configuration says otherwise."""

    defaults: ClassVar[dict[str, Any]] = {
        "threshold_enable": False,
        "leak_v_leak": 0,
        "reset_v_reset": 0,
        "threshold_v_threshold": 0,
        "refractory_period_refractory_time": 0,
        "refractory_period_input_clock": 0,
    }

    def chip(self, initial_config: Chip | None) -> Chip | None:
        """What it is configured as: the chip configuration overwrites what was not given."""
        if set(self.given) - {"refractory_period_refractory_time", "refractory_period_input_clock"}:
            raise NotImplementedError("the double knows other raw parameters from a file only")
        return initial_config

    def held_us(self, chip: Chip) -> float:
        """For how long its neurons are held after a spike: what is given wins."""
        counter = self.given.get("refractory_period_refractory_time", chip.refractory_counter)
        if not 0 <= int(counter) <= 255:
            raise OverflowError("RefractoryTime: out of range")
        if self.given.get("refractory_period_input_clock", 1) != 1:
            raise NotImplementedError("the double counts the fast clock")
        return chip.held_us(int(counter))


class CalibHXNeuronCuba(Cell):
    """A neuron that is calibrated to targets when the network is mapped."""

    calibrates = True
    defaults: ClassVar[dict[str, Any]] = {
        "v_rest": 80, "v_reset": 70, "v_thresh": 125, "tau_m": 10, "tau_syn_E": 10,
        "tau_syn_I": 10, "tau_refrac": 2, "cm": 63, "i_synin_gm_E": 500, "i_synin_gm_I": 500,
        "synapse_dac_bias": 600,
    }  # fmt: skip

    def chip(self, initial_config: Chip | None) -> Chip | None:
        """Calibrated to the targets, whatever the chip's configuration was."""
        for name, (low, high) in RANGES.items():
            if not low <= self.parameters[name] <= high:
                raise ValueError(f"{name}: {self.parameters[name]} is outside {low} to {high}")
        return Chip(**{k: v for k, v in self.parameters.items() if k != "tau_refrac"})

    def held_us(self, chip: Chip) -> float:
        """For how long its neurons are held: counted by a clock with 30 cycles at least."""
        target, scale = self.parameters["tau_refrac"], 4
        while scale > 0 and 2.0 ** (scale + 1) / CLOCK_MHZ > max(target / 30, 2 * target / 255):
            scale -= 1
        period = 2.0 ** (scale + 1) / CLOCK_MHZ
        return int(target / period + 1e-9) * period


class Population:
    """A population of cells."""

    _next_id = 0

    def __init__(self, size: int, cellclass: Any, cellparams: Any = None, label: Any = None):
        _require_setup()
        cell = cellclass if isinstance(cellclass, Cell) else cellclass(**(cellparams or {}))
        self.size, self.celltype, self.label = int(size), cell, label or "population"
        self.hardware = simulator.state.placement.take(self.size) if cell.on_chip else None
        self.trains: list[Any] = [np.zeros(0)] * self.size
        self.spikes: Any = None
        self._recorded: set[str] = set()
        self._segments: list[Any] = []
        self.first_id = Population._next_id
        Population._next_id += self.size
        simulator.state.populations.append(self)
        simulator.state.mapped = False
        if "spike_times" in cell.given:
            self._set_trains(cell.given["spike_times"])

    def __len__(self) -> int:
        return self.size

    def record(self, variables: Any, sampling_interval: Any = None) -> None:
        """Record variables of all cells."""
        if sampling_interval:
            raise NotImplementedError("Sampling interval not implemented.")
        names = [variables] if isinstance(variables, str) else list(variables or [])
        for name in names:
            if name not in self.celltype.recordable:
                raise ValueError(f"cannot record {name}")
        self._recorded = set(names)

    def set(self, **parameters: Any) -> None:
        """Change parameters of all cells."""
        simulator.state.require_mapped("Population.set")
        control.current.log.append("set")
        for name, value in parameters.items():
            if name not in self.celltype.defaults:
                raise NonExistentParameterError(name, type(self.celltype).__name__, [])
            if name == "spike_times":
                self._set_trains(value)
            else:
                self.celltype.parameters[name] = value

    def get(self, name: str) -> Any:
        """A parameter of all cells."""
        simulator.state.require_mapped("Population.get")
        return self.celltype.parameters[name]

    def _set_trains(self, value: Any) -> None:
        trains = [value] * self.size if isinstance(value, Sequence) else list(value)
        if len(trains) != self.size or not all(isinstance(t, Sequence) for t in trains):
            raise ValueError("spike_times: expected one Sequence for each cell")
        self.trains = [np.asarray(t.value, dtype=np.float64) for t in trains]
        for train in self.trains:
            if (train < 0).any() or (np.diff(train) < 0).any() or not np.isfinite(train).all():
                raise ValueError("spike_times: expected finite sorted times from 0 on")

    def store(self) -> None:
        """What a reset does with what was recorded: it becomes a finished segment."""
        self._segments.append(self._segment())
        self.spikes = None

    def get_data(self, variables: Any = "all", gather: bool = True, clear: bool = False) -> Any:
        """What was recorded, one segment for each reset and the current one."""
        block = neo.Block()
        block.segments = [*self._segments, self._segment()]
        if clear:
            self._segments.clear()
            self.spikes = None
        return block

    def _segment(self) -> Any:
        segment = neo.Segment()
        if self.spikes is None or "spikes" not in self._recorded:
            return segment
        who, when = self.spikes
        t_stop = simulator.state.runtime_ms
        order = np.lexsort((when, who))
        ends = np.searchsorted(who[order], np.arange(self.size + 1))
        for index in range(self.size):
            times = when[order[ends[index] : ends[index + 1]]]
            if not times.size and control.current.flavour == control.EBRAINS:
                continue
            if times.size and times.max() > t_stop:
                warn("Recorded at least one spike after t_stop", stacklevel=2)
                times = times[times <= t_stop]
            train = neo.SpikeTrain(
                times,
                t_start=0.0,
                t_stop=t_stop,
                units="ms",
                source_population=self.label,
                source_id=self.first_id + index,
                source_index=index,
            )
            segment.spiketrains.append(train)
        return segment


class StaticSynapse:
    """A synapse of constant weight."""

    def __init__(self, weight: Any = 0, delay: float = 0) -> None:
        if delay != 0:
            raise ValueError("Setting the delay unequal 0 is not supported.")
        self.weight = weight


class AllToAllConnector:
    """Connects each with each."""


class OneToOneConnector:
    """Connects each with its namesake."""


class Projection:
    """Synapses of one sign between two populations."""

    def __init__(
        self,
        pre: Population,
        post: Population,
        connector: Any,
        synapse_type: Any = None,
        receptor_type: str | None = None,
        label: Any = None,
    ) -> None:
        _require_setup()
        if not isinstance(connector, AllToAllConnector | OneToOneConnector):
            raise NotImplementedError("the double connects all to all, or one to one")
        if post.hardware is None:
            raise ConnectionError("a spike source has no synapses")
        self.pre, self.post = pre, post
        self.receptor_type = receptor_type or "excitatory"
        if self.receptor_type not in ("excitatory", "inhibitory"):
            raise ConnectionError(f"no receptor {receptor_type!r}")
        synapse = synapse_type or StaticSynapse()
        self.weights = rounded_weights(synapse.weight, self._shape, self.receptor_type)
        self.connected = np.ones(self._shape, dtype=bool)
        if isinstance(connector, OneToOneConnector):
            self.connected = np.eye(*self._shape, dtype=bool)
            self.weights = self.weights * self.connected
        simulator.state.projections.append(self)
        simulator.state.mapped = False

    @property
    def _shape(self) -> tuple[int, int]:
        return self.pre.size, self.post.size

    def set(self, **attributes: Any) -> None:
        """Change weights; ``weight`` is a number or ``(pre, post)``."""
        simulator.state.require_mapped("Projection.set")
        control.current.log.append("set")
        for name, value in attributes.items():
            if name == "delay":
                StaticSynapse(delay=value)
            elif name != "weight":
                raise NonExistentParameterError(name, "StaticSynapse", ["weight", "delay"])
            elif np.shape(value) not in ((), self._shape):
                raise ValueError(f"weight: expected shape {self._shape}; got {np.shape(value)}")
            else:
                self.weights = rounded_weights(value, self._shape, self.receptor_type)

    def get(self, name: str, format: str = "array") -> Any:
        """Weights as they are, integers."""
        simulator.state.require_mapped("Projection.get")
        if name != "weight" or format != "array":
            raise NotImplementedError("the double gives weights as an array")
        return self.weights.astype(np.float64)


def _require_setup() -> None:
    if simulator.state is None:
        raise RuntimeError("setup() has not been called")
