"""A network and its load, and a calibration by hand."""

from __future__ import annotations

from hxloop.calibration import (
    calibrate,
    scale_network,
)
from hxloop.network import NetworkSpec
from tests.calibration.calibrated_chip import QUICK, TARGET

NETWORK = NetworkSpec.feed_forward(20, 60, 5)


# --- when it does not work ----------------------------------------------------------------


def calibrate_with(backend, options=QUICK, **more):
    with backend.open(scale_network(512), seed=1) as session:
        return calibrate(session, TARGET, options, **more)
