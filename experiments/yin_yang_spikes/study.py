"""Yin-Yang by neurons that spike once, and by neurons that spike again and again."""

from hxloop.experiments.variants import run as run

__all__ = ["run"]
