"""Scales of a chip behind a backend, measured from its spikes alone, and kept in a file.

What a chip without knobs of ours can be asked: what a weight bit is worth, how long a unit of model
time is, how late spikes are stamped, which circuits behave, how often a driven neuron spikes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity import Activity
from hxloop.calibration.files import load_calibration
from hxloop.calibration.result import CalibrationResult, Scales
from hxloop.calibration.scales import fit_scales, scale_network
from hxloop.errors import CalibrationError, FileFormatError
from hxloop.files import sha256_of, write_atomically
from hxloop.network import NetworkSpec
from hxloop.substrate import Backend, Capabilities, Session
from hxloop.substrate.optional import circuits_of

SCHEMA = "hxloop measured scales 1"
# Of a circuit that may be used: in which share of the samples in which nearly all spike it does,
# and how far (model time) its spikes are from those of the median neuron, in the median.
SPIKES, APART = 0.75, 1.0


@dataclass(frozen=True, kw_only=True)
class MeasuredScales:
    """Scales of a chip; a calibration that a backend takes (``backend.open(calibration=)``).

    Attributes:
        backend: name of the backend.
        chip_id: which chip it was; None: it does not say.
        scales: fitted.
        usable: ``(circuits,)``: those that were measured and behaved, and those not measured.
        n_measured: how many circuits were measured.
        spikes_per_sample: mean number of spikes of a driven neuron in a sample: 1 is aimed at.
        lost_spikes: events that the chip dropped meanwhile.
        made: when.
    """

    backend: str
    chip_id: str | None
    scales: Scales
    usable: NDArray[np.bool_]
    n_measured: int
    spikes_per_sample: float
    lost_spikes: int
    made: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def weight_scale(self) -> float:
        """Weight of one bit in units of the nominal one."""
        return self.scales.weight_scale

    @property
    def time_scale(self) -> float:
        """Length of one unit of model time in units of the nominal one."""
        return self.scales.time_scale

    @property
    def spike_offset(self) -> float:
        """What spikes are stamped late by, model time."""
        return self.scales.spike_offset

    @property
    def n_circuits(self) -> int:
        """Of the chip."""
        return len(self.usable)

    @property
    def digest(self) -> str:
        """Identifies it."""
        return sha256_of(_text(self))[:16]

    def summary(self) -> dict[str, Any]:
        """What a person wants to know, plain values."""
        return {
            **asdict(self.scales),
            "backend": self.backend,
            "chip": self.chip_id,
            "usable": int(self.usable[: self.n_circuits].sum()),
            "measured": self.n_measured,
            "circuits": self.n_circuits,
            "spikes_per_sample": self.spikes_per_sample,
            "lost_spikes": self.lost_spikes,
            "made": self.made,
        }


class _Watched:
    """A session whose runs are kept."""

    def __init__(self, session: Session) -> None:
        self.network: NetworkSpec = session.network
        self.capabilities: Capabilities = session.capabilities
        self.runs: list[Activity] = []
        self._session = session

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        self.runs.append(self._session.run(weights, input_times, record=record, trial=trial))
        return self.runs[-1]

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> _Watched:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def measure_scales(
    backend: Backend,
    *,
    neurons: int,
    n_circuits: int,
    trials: int = 4,
    on_run: Callable[[int], None] | None = None,
) -> MeasuredScales:
    """Measure a chip.

    Args:
        backend: of the chip.
        neurons: how many to measure, each on a circuit of its own.
        n_circuits: of the chip. Where a session does not say which ones its neurons are on, none
            is left out.
        trials: runs.
        on_run: told the number of runs each time.

    Raises:
        CalibrationError: see ``hxloop.calibration.fit_scales``; or hardly any circuit behaves.
    """
    with backend.open(scale_network(neurons)) as session:
        watched = _Watched(session)
        scales = fit_scales(watched, trials=trials, on_run=on_run)
        placed = circuits_of(session)
    good = _good(np.stack([run.output_times for run in watched.runs]))
    if good.mean() < 0.5:
        raise CalibrationError(
            f"measure_scales: {int(good.sum())} of {neurons} neurons spike when the median one "
            f"does ({SPIKES:.0%} of the samples) and within {APART:g} tau_syn of it; expected half "
            "at least. Is the calibration of the chip far off?"
        )
    usable = np.ones(n_circuits, dtype=np.bool_)
    if placed is not None:
        usable[np.asarray(placed[0]).ravel()[~good]] = False
    seen = sum(int(np.isfinite(run.output_times).sum()) for run in watched.runs)
    again = sum(run.info.repeated_spikes + run.info.discarded_spikes for run in watched.runs)
    info = watched.runs[-1].info
    return MeasuredScales(
        backend=backend.name,
        chip_id=info.chip_id,
        scales=scales,
        usable=usable,
        n_measured=neurons,
        spikes_per_sample=(seen + again) / max(seen, 1),
        lost_spikes=sum(run.info.lost_spikes for run in watched.runs),
    )


def _good(times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """``(neurons,)``: who behaves as the median one; times ``(runs, samples, neurons)``."""
    spiked = np.isfinite(times)
    clear = spiked.mean(axis=(0, 2)) > 0.9
    if not clear.any():
        return np.zeros(times.shape[2], dtype=np.bool_)
    times, spiked = times[:, clear], spiked[:, clear]
    middle = np.median(np.where(spiked, times, np.inf), axis=2, keepdims=True)
    off = np.where(spiked, np.abs(times - middle), np.inf)
    good: NDArray[np.bool_] = (spiked.mean(axis=(0, 1)) >= SPIKES) & (
        np.median(off, axis=(0, 1)) <= APART
    )
    return good


def _text(measured: MeasuredScales) -> str:
    values = asdict(measured)
    values["usable"] = np.flatnonzero(measured.usable).tolist()
    values["n_circuits"] = measured.n_circuits
    if not math.isfinite(measured.scales.residual):
        values["scales"]["residual"] = None
    return json.dumps({"schema": SCHEMA, **values}, indent=1, sort_keys=True)


def save_scales(path: Path | str, measured: MeasuredScales) -> None:
    """Write a scales file, JSON, whole or not at all."""
    write_atomically(Path(path), _text(measured).encode())


def load_scales(path: Path | str) -> MeasuredScales:
    """Read a scales file.

    Raises:
        FileFormatError: missing, or not written by ``save_scales``.
    """
    where = checks.path("path", path)
    try:
        values: Mapping[str, Any] = json.loads(Path(where).read_bytes())
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema is {values['schema']!r}")
        usable = np.zeros(int(values["n_circuits"]), dtype=np.bool_)
        usable[np.array(values["usable"], dtype=np.int64)] = True
        found = dict(values["scales"])
        if found["residual"] is None:
            found["residual"] = math.nan
        scales = Scales(**{name: float(value) for name, value in found.items()})
        if not (scales.weight_scale > 0 and scales.time_scale > 0):
            raise ValueError("scales must be positive")
        return MeasuredScales(
            backend=str(values["backend"]),
            chip_id=values["chip_id"],
            scales=scales,
            usable=usable,
            n_measured=int(values["n_measured"]),
            spikes_per_sample=float(values["spikes_per_sample"]),
            lost_spikes=int(values["lost_spikes"]),
            made=str(values["made"]),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        raise FileFormatError(
            f"scales file {where}: expected what hxloop fit-scales writes ({SCHEMA}); {error}"
        ) from error


def load_any(file: str | None, network: NetworkSpec) -> CalibrationResult | MeasuredScales | None:
    """A result of ``hxloop calibrate``, or scales, by the name of the file: JSON.

    Raises:
        FileFormatError, CalibrationError: neither, or not for this network.
    """
    if file is None:
        return None
    if Path(file).suffix == ".json":
        return load_scales(file)
    return load_calibration(file, network=network)
