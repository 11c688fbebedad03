"""Yin-Yang on emulated chips: weights only, and with axonal delays by delay neurons."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
