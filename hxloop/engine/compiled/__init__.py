"""Loops of the exact engine, compiled by numba; see ``interface``."""
