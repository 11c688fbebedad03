"""hxloop: train spiking networks in the loop on analog chips, with exact gradients."""

__version__ = "0.1.0"
