"""What each layer does: how synchronously it fires, what it knows of the classes, by which ways."""

from hxloop.analysis.measures.measured import (
    SEPARABILITY_MEASURES,
    AnalysisOptions,
    SeparabilityMeasures,
    SynchronyMeasures,
    converging_layers,
    early_layers,
    measure_separability,
    measure_synchrony,
)

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
