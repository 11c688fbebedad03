"""BrainScaleS-2 through ``pynn_brainscales``."""

from hxloop.backends.brainscales2.backend import PynnBrainscales2Backend

__all__ = ["PynnBrainscales2Backend"]
