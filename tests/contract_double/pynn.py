"""What ``import pynn_brainscales.brainscales2`` finds."""

from __future__ import annotations

from enum import Enum, auto
from types import SimpleNamespace
from typing import Any

from tests.contract_double import control, network, simulator
from tests.contract_double.network import AllToAllConnector, Population, Projection
from tests.contract_double.router import NeuronPlacement

__version__ = "contract double"

cells = SimpleNamespace(
    HXNeuron=network.HXNeuron,
    CalibHXNeuronCuba=network.CalibHXNeuronCuba,
    SpikeSourceArray=network.SpikeSourceArray,
)
synapses = SimpleNamespace(StaticSynapse=network.StaticSynapse)
helper = SimpleNamespace(chip_from_file=simulator.chip_from_file)

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
    if config is not None and not isinstance(config, simulator.Chip):
        raise TypeError("initial_config: expected a chip")
    placement = NeuronPlacement(extra_params.get("neuronPermutation"))
    simulator.state = simulator.State(placement, config)


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


__all__ = [
    "AllToAllConnector", "Population", "Projection", "RunCommand", "cells", "end",
    "get_current_time", "helper", "reset", "run", "setup", "synapses",
]  # fmt: skip
