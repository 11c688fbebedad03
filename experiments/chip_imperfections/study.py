"""Training in the loop on chips that have one imperfection more each."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
