"""What a network is: its populations and projections, their parameters, its weights in a file."""

from hxloop.network.neuron import INPUT, LayerSpec, NeuronSpec, Population, Projection
from hxloop.network.parameters import NeuronParameters
from hxloop.network.spec import DEFAULT_T_WINDOW, Feature, NetworkSpec
from hxloop.network.values import Parameters

__all__ = [
    "DEFAULT_T_WINDOW",
    "INPUT",
    "Feature",
    "LayerSpec",
    "NetworkSpec",
    "NeuronParameters",
    "NeuronSpec",
    "Parameters",
    "Population",
    "Projection",
]
