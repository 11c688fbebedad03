"""What a test may do to the chip behind the double, and how it is installed."""

from __future__ import annotations

import json
import sys
import types
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.contract_double.chip import MAGIC, vendor_modules

EBRAINS, MASTER = "EBRAINS 12", "master"
# What a run says that was not carried out, of both releases.
NOT_SUCCESSFUL = "At least one playback program execution was not successful."


@dataclass
class Laboratory:
    """The chip on the table, and what goes wrong there.

    Attributes:
        flavour: release of the software that the double stands in for.
        chip: number of the drawn chip.
        imperfections: its preset, see ``hxloop.backends.emulated.imperfections``.
        weight_lsb: weight of one bit at the standard operating point, in units of the distance
            between leak and threshold.
        offset_ns: how much later than they happened spikes are stamped.
        spike_loss: probability that the link loses an event, in either direction: nobody counts it.
        drops: probability that the chip's event network drops an input event: the chip counts it.
        spontaneous_hz: how often a neuron spikes without a cause.
        stalls: so many of the next runs stall, with the text ``fault``.
        late_us: how long recording goes on after the end of a run.
        seed: of the trial noise.
        log: names of calls, in order.
    """

    flavour: str = EBRAINS
    chip: int = 3
    imperfections: str = "calibrated"
    weight_lsb: float = 1 / 78
    offset_ns: float = 80.4
    spike_loss: float = 0.0
    drops: float = 0.0
    spontaneous_hz: float = 0.0
    stalls: int = 0
    fault: str = NOT_SUCCESSFUL
    late_us: float = 50.0
    seed: int = 1
    log: list[str] = field(default_factory=list)


# As there is one chip, there is one of these; ``install`` sets it.
current = Laboratory()


def install(monkeypatch: Any, laboratory: Laboratory | None = None) -> Laboratory:
    """Make ``import pynn_brainscales.brainscales2`` find the double, until the test ends."""
    global current
    from tests.contract_double import pynn

    current = laboratory or Laboratory()
    monkeypatch.setattr(pynn.simulator, "state", None)
    released = pynn.of_flavour(current.flavour)
    parent = types.ModuleType("pynn_brainscales")
    parent.brainscales2 = released  # type: ignore[attr-defined]
    modules = {"pynn_brainscales": parent, "pynn_brainscales.brainscales2": released}
    for name, module in (modules | vendor_modules()).items():
        monkeypatch.setitem(sys.modules, name, module)
    return current


def write_calibration(path: Path, **values: Any) -> Path:
    """A calibration file, in a format of the double's own: targets by name, see ``Chip``."""
    path.write_bytes(MAGIC + json.dumps(values).encode())
    return path
