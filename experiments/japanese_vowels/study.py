"""Spoken vowels, level-crossing coded: feed-forward, with trained delays, and with a loop."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
