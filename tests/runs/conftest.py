"""Fixtures that several files of this room share."""

from __future__ import annotations

from tests.runs.short_runs import begun as begun
from tests.runs.short_runs import no_reports as no_reports
