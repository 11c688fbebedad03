"""Two cues far apart in time, by networks with a loop and without."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
