"""Fixtures that several files of this room share."""

from __future__ import annotations

from tests.backends.brainscales2_laboratory import calibration_file as calibration_file
from tests.backends.brainscales2_laboratory import lab as lab
from tests.backends.brian2_networks import cache as cache
from tests.backends.brian2_networks import compiled as compiled
from tests.backends.recordings import recorded as recorded
