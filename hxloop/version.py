"""The version, where every module may have it from."""

__version__ = "0.1.0"
