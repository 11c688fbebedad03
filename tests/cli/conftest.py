"""Fixtures that several files of this room share."""

from __future__ import annotations

from tests.cli.command_line import finished as finished
from tests.cli.command_line import run as run
