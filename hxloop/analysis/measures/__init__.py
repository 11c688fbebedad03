"""What each layer does: how synchronously it fires, what it knows of the classes, by which ways."""

from hxloop.analysis.measures.measured import (
    SEPARABILITY_MEASURES,
    SeparabilityMeasures,
    SynchronyMeasures,
    converging_layers,
    early_layers,
    measure_separability,
    measure_synchrony,
)
from hxloop.analysis.measures.options import AnalysisOptions

__all__ = [
    "SEPARABILITY_MEASURES",
    "AnalysisOptions",
    "SeparabilityMeasures",
    "SynchronyMeasures",
    "converging_layers",
    "early_layers",
    "measure_separability",
    "measure_synchrony",
]
