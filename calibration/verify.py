"""Has the chip drifted since it was calibrated? A few runs tell."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hxloop.calibration.measurements import Bench
from hxloop.calibration.options import QUANTITIES
from hxloop.calibration.procedures import characterise
from hxloop.calibration.result import CalibrationResult
from hxloop.calibration.verdict import judge
from hxloop.chip.readout import as_readout
from hxloop.substrate import Session

Array = NDArray[np.float64]

# A calibration has expired when more than this share of its good circuits is out of tolerance.
EXPIRED = 0.05


@dataclass(frozen=True)
class Verification:
    """What a verification saw.

    Attributes:
        chip_id: of the chip.
        values: measured now, ``(circuits,)`` for each quantity; NaN: not measured.
        moved: for each quantity, root mean square of the change since the calibration, in
            tolerances, over the circuits that were good.
        out: numbers of circuits that were good and are out of tolerance now, and why.
        checked: how many circuits had been good.
        runs, seconds: what it took.
    """

    chip_id: str
    values: Mapping[str, Array]
    moved: Mapping[str, float]
    out: Mapping[int, str]
    checked: int
    runs: int
    seconds: float

    @property
    def expired(self) -> bool:
        """Whether the chip should be calibrated again."""
        return len(self.out) > EXPIRED * self.checked

    @property
    def message(self) -> str:
        """In words."""
        most = max(self.moved, key=lambda name: self.moved[name])
        state = "has expired: calibrate again" if self.expired else "still holds"
        return (
            f"the calibration of chip {self.chip_id} {state}; {len(self.out)} of {self.checked} "
            f"circuits are out of tolerance now, and {most} has moved most, by "
            f"{self.moved[most]:.2g} tolerances (root mean square)"
        )


def verify(
    session: Session, result: CalibrationResult, *, n_pairs: int = 32, repeats: int = 3
) -> Verification:
    """Measure a calibrated chip again: potentials and strengths of all, time constants of some.

    Args:
        session: on the same chip; its knobs are left at the calibration's.
        result: the calibration.
        n_pairs: how many pairs of circuits have their time constants measured.
        repeats: measurements that are averaged.

    Raises:
        CapacityError: a session without knobs.
        CalibrationError: another chip.
    """
    chip = as_readout(session)
    result.check_chip(chip.chip_id)
    begun = time.perf_counter()
    bench = Bench(chip, result.target)
    rows = np.unique(np.linspace(0, chip.n_circuits // 2 - 1, n_pairs).astype(int))
    values, errors = characterise(bench, result.codes, repeats, bench.pairs[rows])
    bench.set(result.codes)
    usable, moved = result.usable, {}
    # Not measured is not out of tolerance: time constants of the others are as they were.
    seen = {
        name: np.where(_unmeasured(name, bench.pairs[rows], chip.n_circuits),
                       result.estimates[name], values[name])
        for name in QUANTITIES
    }  # fmt: skip
    for name in QUANTITIES:
        tolerance = result.options.tolerance(name, result.target)
        change = (seen[name] - result.estimates[name])[usable] / tolerance
        measured = change[np.isfinite(change) & (change != 0)]
        moved[name] = float(np.sqrt(np.mean(measured**2))) if measured.size else 0.0
    # The deviation itself, without a margin for the noise of so few measurements.
    none = {name: np.zeros_like(error) for name, error in errors.items()}
    out = judge(seen, none, result.target, result.options)
    return Verification(
        chip_id=chip.chip_id,
        values=values,
        moved=moved,
        out={circuit: text for circuit, text in out.items() if usable[circuit]},
        checked=int(usable.sum()),
        runs=bench.runs,
        seconds=time.perf_counter() - begun,
    )


def _unmeasured(name: str, pairs: NDArray[np.int64], n_circuits: int) -> NDArray[np.bool_]:
    without = np.zeros(n_circuits, dtype=np.bool_)
    if name.startswith("tau"):
        without[:] = True
        without[pairs.ravel()] = False
    return without
