"""What networks, and runs of them, may ask of a substrate, by name."""

from __future__ import annotations

from enum import Enum


class Feature(Enum):
    """What a network asks of a substrate beyond a chain of layers whose neurons spike once."""

    MULTI_SPIKE = "multi-spike"
    RECURRENT = "recurrent"
    SKIP = "skip"
    DELAYS = "delays"
    READOUT = "read-out"
    NEURON_PARAMETERS = "neuron-parameters"

    @property
    def of_runs(self) -> bool:
        """Whether it is asked for with the parameters of a run, not by the network."""
        return self is Feature.NEURON_PARAMETERS
