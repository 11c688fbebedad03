"""What a network is: its layers and neurons, their parameters, its weights in a file."""

from hxloop.network.parameters import NeuronParameters
from hxloop.network.spec import DEFAULT_T_WINDOW, LayerSpec, NetworkSpec, NeuronSpec

__all__ = ["DEFAULT_T_WINDOW", "LayerSpec", "NetworkSpec", "NeuronParameters", "NeuronSpec"]
