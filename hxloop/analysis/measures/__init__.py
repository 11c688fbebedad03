"""What each layer does: how synchronously it fires, what it knows of the classes, by which ways."""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.analysis.measures.measure import LayerSamples, LayerSpikes, Measure
    from hxloop.analysis.measures.measure_registry import measures
    from hxloop.analysis.measures.measured import (
        SeparabilityMeasures,
        SynchronyMeasures,
        converging_layers,
        early_layers,
        measure_separability,
        measure_synchrony,
    )
    from hxloop.analysis.measures.options import AnalysisOptions
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = [
    "AnalysisOptions",
    "LayerSamples",
    "LayerSpikes",
    "Measure",
    "SeparabilityMeasures",
    "SynchronyMeasures",
    "converging_layers",
    "early_layers",
    "measure_separability",
    "measure_synchrony",
    "measures",
]
