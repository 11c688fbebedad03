"""What networks may ask of a substrate, by name."""

from __future__ import annotations

from enum import Enum


class Feature(Enum):
    """What a network asks of a substrate beyond a chain of layers whose neurons spike once."""

    MULTI_SPIKE = "multi-spike"
    RECURRENT = "recurrent"
    SKIP = "skip"
    DELAYS = "delays"
    READOUT = "read-out"
