"""Networks that the vendor's own router is shown, without a chip: does it agree with placement?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from hxloop.backends.brainscales2.session import BrainScaleS2Session
from hxloop.errors import CapacityError, RunFailed
from hxloop.network import NetworkSpec
from hxloop.substrate.chip_software import PreparedNetwork

# Sizes and how many neurons are taken for failed. By counting rows alone all but the first and the
# last would be placed where the router finds no way; the last fits nowhere.
CASES: tuple[tuple[tuple[int, ...], int], ...] = (
    ((25, 120, 3), 0),
    ((64, 128, 10), 3),
    ((20, 120, 3), 30),
    ((64, 100, 100, 100, 10), 0),
    ((128, 128, 128, 128, 10), 0),
)


def prepare_networks(
    opened: Callable[[NetworkSpec, Sequence[int]], BrainScaleS2Session],
    cases: Sequence[tuple[tuple[int, ...], int]] = CASES,
) -> list[PreparedNetwork]:
    """Show networks to the vendor's software; run nothing.

    Args:
        opened: opens a network with some hardware neurons left out.
        cases: sizes, and how many neurons are taken for failed, drawn.

    Raises:
        MissingDependencyError: the vendor's software is not installed.
    """
    found = []
    for sizes, failed in cases:
        mask = np.random.default_rng(failed).choice(512, failed, replace=False).tolist()
        network = NetworkSpec.feed_forward(*sizes)
        name = f"{network}".partition(",")[0] + (f", {failed} failed" if failed else "")
        good = True
        try:
            with opened(network, mask) as session:
                outcome = f"placed and routed in {session.prepare_only():.2f} s"
        except CapacityError as error:
            outcome = f"refused before: {error}"
        except RunFailed as error:
            outcome, good = f"REFUSED BY THE VENDOR'S SOFTWARE: {error}", False
        found.append(PreparedNetwork(network=name, outcome=outcome, good=good))
    return found
