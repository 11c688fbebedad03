"""Neurons that spike once and neurons that spike again, trained in the loop on emulated chips."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
