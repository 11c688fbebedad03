"""Fixtures that several files of this room share."""

from __future__ import annotations

from tests.activity.activity_files import original as original
from tests.activity.activity_files import path as path
