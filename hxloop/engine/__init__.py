"""Time to first spike: the exact engine.

``first_spike_times`` computes when the neurons of a layer spike, ``recorded_spike_times``
attaches the exact gradient to spike times that a substrate measured.
"""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.engine.gradient import GradientCounts, RecordedSpikeTimes, recorded_spike_times
    from hxloop.engine.layer import first_spike_times
    from hxloop.network import NeuronParameters
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = [
    "GradientCounts",
    "NeuronParameters",
    "RecordedSpikeTimes",
    "first_spike_times",
    "recorded_spike_times",
]
