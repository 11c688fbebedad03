"""The chip's configuration as a file holds it, and the vendor's other modules, of the double."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

MAGIC = b"contract double, coco list\n"
CLOCK_MHZ = 250.0


class Coordinate:
    """A place on the chip."""

    size = 1

    def __init__(self, value: int = 0) -> None:
        self.value = int(value)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash((type(self), self.value))


class CommonNeuronBackendConfigOnDLS(Coordinate):
    """Of a half of the neurons."""

    size = 2


class CrossbarInputOnDLS(Coordinate):
    """One of the inputs of the event network."""

    size = 20


class ExecutionInstanceOnExecutor(Coordinate):
    """The one there is."""


def iter_all(kind: type[Coordinate]) -> Iterator[Coordinate]:
    """All places of a kind."""
    return (kind(value) for value in range(kind.size))


@dataclass
class Clocks:
    """Settings that half of the neurons share: those of the nightly files."""

    enable_clocks: bool = True
    clock_scale_fast: int = 3
    clock_scale_slow: int = 3
    force_reset: bool = False


def _neuron_block() -> Any:
    return SimpleNamespace(
        backends={place: Clocks() for place in iter_all(CommonNeuronBackendConfigOnDLS)}
    )


@dataclass(frozen=True)
class Chip:
    """A chip configuration that was read from a calibration file: what it was calibrated to.

    Potentials in LSB of the parallel converter, times in us; ``refractory_counter`` is that of the
    nightly files: 32 cycles of 64 ns, the last of them for the release, are 2 us.
    """

    v_rest: float = 80
    v_reset: float = 80
    v_thresh: float = 150
    tau_m: float = 6
    tau_syn_E: float = 6
    tau_syn_I: float = 6
    refractory_counter: int = 32
    i_synin_gm_E: float = 500
    i_synin_gm_I: float = 500
    synapse_dac_bias: float = 1000
    cm: float = 63
    neuron_block: Any = field(default_factory=_neuron_block, compare=False)

    @classmethod
    def from_bytes(cls, data: bytes) -> Chip:
        """Read what ``control.write_calibration`` wrote."""
        if not data.startswith(MAGIC):
            raise RuntimeError("Input stream does not hold a list of coordinates and containers.")
        return cls(**json.loads(data[len(MAGIC) :]))

    def held_us(self, counter: int) -> float:
        """For how long neurons are held that count so far."""
        clocks = list(self.neuron_block.backends.values())
        scale = clocks[0].clock_scale_fast
        if any(c.clock_scale_fast != scale or not c.enable_clocks for c in clocks):
            raise NotImplementedError("the double has one clock for all neurons")
        return (counter - 1) * 2.0 ** (scale + 1) / CLOCK_MHZ


STANDARD = Chip()


def chip_from_file(path: str | Path) -> Chip:
    """Stands in for ``helper.chip_from_file``."""
    with open(path, "rb") as file:
        return Chip.from_bytes(file.read())


def health(dropped: int) -> Any:
    """What one execution is told of: drops by input of the event network, here all by the first."""
    counters = {
        place: SimpleNamespace(value=dropped if place.value == 0 else 0)
        for place in iter_all(CrossbarInputOnDLS)
    }
    return SimpleNamespace(chips={"chip": SimpleNamespace(crossbar_input_drop_counter=counters)})


def vendor_modules() -> dict[str, types.ModuleType]:
    """The vendor's modules below PyNN, as far as they are used."""
    places = types.ModuleType("dlens_vx_v3")
    places.halco = SimpleNamespace(  # type: ignore[attr-defined]
        iter_all=iter_all,
        CommonNeuronBackendConfigOnDLS=CommonNeuronBackendConfigOnDLS,
        CrossbarInputOnDLS=CrossbarInputOnDLS,
    )
    grenade = types.ModuleType("pygrenade_vx")
    grenade.common = SimpleNamespace(  # type: ignore[attr-defined]
        ExecutionInstanceOnExecutor=ExecutionInstanceOnExecutor
    )
    return {"dlens_vx_v3": places, "pygrenade_vx": grenade}
