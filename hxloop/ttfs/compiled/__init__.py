"""Loops of the exact engine, compiled by numba; ``hxloop.ttfs.kernels`` is their interface."""
