"""The ``hxloop`` command."""

from hxloop.cli.entry import main

__all__ = ["main"]
