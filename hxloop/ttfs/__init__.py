"""Time to first spike: the exact engine.

``first_spike_times`` computes when the neurons of a layer spike, ``recorded_spike_times``
attaches the exact gradient to spike times that a substrate measured.
"""

from hxloop.network import NeuronParameters
from hxloop.ttfs.engine import first_spike_times
from hxloop.ttfs.gradient import GradientCounts, RecordedSpikeTimes, recorded_spike_times

__all__ = [
    "GradientCounts",
    "NeuronParameters",
    "RecordedSpikeTimes",
    "first_spike_times",
    "recorded_spike_times",
]
