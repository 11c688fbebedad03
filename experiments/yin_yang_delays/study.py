"""Yin-Yang with 30 and with 5 hidden neurons: weights only, and with delays that are trained."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
