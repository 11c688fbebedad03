"""What ``import pynn_brainscales.brainscales2`` finds."""

from __future__ import annotations

import types
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any

from tests.contract_double import control, network, simulator
from tests.contract_double.chip import Chip, chip_from_file, health
from tests.contract_double.network import (
    AllToAllConnector,
    OneToOneConnector,
    Population,
    Projection,
)
from tests.contract_double.router import NeuronPlacement

__version__ = "contract double"

cells = SimpleNamespace(
    HXNeuron=network.HXNeuron,
    CalibHXNeuronCuba=network.CalibHXNeuronCuba,
    SpikeSourceArray=network.SpikeSourceArray,
)
synapses = SimpleNamespace(StaticSynapse=network.StaticSynapse)
helper = SimpleNamespace(
    chip_from_file=chip_from_file,
    get_unique_identifier=lambda: [f"double-{control.current.chip}"],
)

EXTRA = {
    "max_delay", "neuronPermutation", "backgroundPermutation", "enable_neuron_bypass",
    "initial_config", "injected_config", "injected_readout", "connection", "calibration_cache",
    "injected_calib_target", "injected_calib_options",
}  # fmt: skip


class RunCommand(Enum):
    """What ``run`` is to do."""

    PREPARE = auto()
    APPEND = auto()
    EXECUTE = auto()


def setup(timestep: float = 3.4e-5, min_delay: Any = "auto", **extra_params: Any) -> None:
    """Start with an empty network."""
    control.current.log.append("setup")
    if unknown := set(extra_params) - EXTRA:
        raise KeyError(f"unhandled extra_params in call to pynn.setup(...):{sorted(unknown)}")
    config = extra_params.get("initial_config")
    if config is not None and not isinstance(config, Chip):
        raise TypeError("initial_config: expected a chip")
    master = control.current.flavour == control.MASTER
    cache = extra_params.get("calibration_cache")
    if master and isinstance(cache, str):
        raise TypeError("incompatible function arguments: calibration_cache")
    placement = NeuronPlacement(extra_params.get("neuronPermutation"), partitions=master)
    bypass = bool(extra_params.get("enable_neuron_bypass", False))
    simulator.state = simulator.State(placement, config, cache, bypass)


def run(runtime: float | None, command: RunCommand = RunCommand.EXECUTE) -> None:
    """Map the network, or run it for so many ms of the chip's time."""
    if command == RunCommand.PREPARE:
        control.current.log.append("prepare")
        simulator.state.map()
    elif command == RunCommand.EXECUTE and runtime is not None:
        simulator.state.run(float(runtime))
    elif command == RunCommand.EXECUTE:
        raise ValueError("No experiment scheduled for execution yet.")
    else:
        raise NotImplementedError("the double does not queue")


def reset() -> None:
    """Time 0, a new segment."""
    simulator.state.reset()


def end() -> None:
    """Close the connection to the chip."""
    control.current.log.append("end")
    simulator.state = None


def get_current_time() -> float:
    """Time on the axis, ms."""
    return float(simulator.state.t)


def _execution_health_info() -> Any:
    """How the last run went, of EBRAINS 12."""
    if simulator.state.dropped is None:
        raise RuntimeError("Execution health information is only available after pynn.run(...)")
    return SimpleNamespace(execution_instances={"id": health(simulator.state.dropped)})


def _execution_instance_data() -> Any:
    """The same of master."""
    if simulator.state.dropped is None:
        raise RuntimeError("Execution instance data is only available after pynn.run(...)")
    told = SimpleNamespace(execution_health_info=health(simulator.state.dropped))
    return SimpleNamespace(get=lambda place: told)


def of_flavour(flavour: str) -> types.ModuleType:
    """The module as a release has it."""
    released = types.ModuleType("pynn_brainscales.brainscales2")
    vars(released).update({name: globals()[name] for name in __all__})
    if flavour == control.EBRAINS:
        released.get_execution_health_info = _execution_health_info  # type: ignore[attr-defined]
    else:
        released.get_execution_instance_data = _execution_instance_data  # type: ignore[attr-defined]
    return released


__all__ = [
    "AllToAllConnector", "OneToOneConnector", "Population", "Projection", "RunCommand", "cells",
    "end", "get_current_time", "helper", "reset", "run", "setup", "simulator", "synapses",
]  # fmt: skip
