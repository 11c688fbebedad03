"""Loops of the exact engine, compiled by numba; ``hxloop.engine.compiled.interface`` is their interface."""
