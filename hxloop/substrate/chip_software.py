"""What a backend with a chip and a vendor's software behind it may offer to whoever sets it up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hxloop.substrate.optional import offers
from hxloop.substrate.protocol import Backend


@dataclass(frozen=True, kw_only=True)
class PreparedNetwork:
    """What the vendor's software made of a network, without a chip.

    Attributes:
        network: its sizes.
        outcome: in words.
        good: placed and routed, or refused before the vendor's software was asked.
    """

    network: str
    outcome: str
    good: bool


@dataclass(frozen=True, kw_only=True)
class LinkRate:
    """What became of events at one rate.

    Attributes:
        rate: events a microsecond, of all channels together.
        sent, received: events.
        dropped: those of the missing ones that the chip counted itself.
        offset_ns: how much later than they were sent events are stamped, median; NaN: the numbers
            of no channel agree, so that nobody knows which is which.
    """

    rate: float
    sent: int
    received: int
    dropped: int
    offset_ns: float

    @property
    def lost(self) -> float:
        """Which share never came back."""
        return 1 - self.received / self.sent


@dataclass(frozen=True, kw_only=True)
class LinkReport:
    """The link of a chip.

    Attributes:
        chip_id: which; None: it does not say.
        release: of the vendor's software.
        rates: what became of events at each, rising.
    """

    chip_id: str | None
    release: str
    rates: tuple[LinkRate, ...]

    @property
    def offset_us(self) -> float:
        """How late spikes are stamped, at the lowest rate."""
        return self.rates[0].offset_ns / 1000

    def sustained(self, loss: float = 0.001) -> float:
        """The highest rate up to which no more than this share is lost; 0: none."""
        best = 0.0
        for each in self.rates:
            if each.lost > loss:
                break
            best = each.rate
        return best


@dataclass(frozen=True, kw_only=True)
class SoftwareFindings:
    """What there is of a vendor's software.

    Attributes:
        rows: what is what.
        problems: what keeps it from working, with what to do.
    """

    rows: Mapping[str, str]
    problems: Sequence[str]


class ChipSoftware(Protocol):
    """A backend whose chip is reached through a vendor's software."""

    def prepare_networks(self) -> tuple[str, list[PreparedNetwork]]:
        """Show networks to the vendor's router, and no chip: a word about it, and outcomes."""
        ...

    def check_link(self, milliseconds: float) -> LinkReport:
        """Send events at rising rates, for so many milliseconds of the chip's time each."""
        ...

    def examine(self, calibration: Path | None, *, connect: bool) -> SoftwareFindings:
        """What is installed and configured; with ``connect`` the chip is asked which one it is."""
        ...


def chip_software(backend: Backend) -> ChipSoftware | None:
    """The backend, if it offers this; else None."""
    known: Any = backend
    return known if offers(known, ChipSoftware) else None
