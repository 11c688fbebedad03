"""Random manifolds that have to be kept in mind, by networks with a loop and without."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
