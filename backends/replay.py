"""Replays a recorded session: the substrate's answers without the substrate.

What was recorded with ``hxloop.record`` is found again by what was asked: the same weights and the
same input times, bit by bit, have the recorded answer, and nothing else has one. A training that
is repeated with its seed asks the same questions again, so it can be gone through once more,
with another loop, a debugger or other measurements, while the chip is elsewhere::

    with record(get_backend("pynn-brainscales2", ...).open(network), "chip.h5") as session:
        ...                                                  # with the chip
    with get_backend("replay", path="chip.h5").open(network) as session:
        ...                                                  # without it
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Activity, Spikes
from hxloop.errors import CapacityError, RunFailed
from hxloop.files import digest_of
from hxloop.network import NetworkSpec, Parameters
from hxloop.substrate import (
    BaseBackend,
    Calibration,
    Capabilities,
    OwnedSession,
    Simulated,
    refuse_calibration,
)
from hxloop.substrate.recording.file import SessionFile
from hxloop.substrate.recording.texts import RecordedRun
from hxloop.substrate.recording.trains import train_array

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ReplayBackend(BaseBackend):
    """Answers from a recorded session.

    Args:
        path: a file that ``hxloop.record`` made.
        tolerance: how far weights may be from recorded ones (model units, for each weight) when
            the same are not there. 0: not at all. A training repeated on another machine needs
            some 1e-9, for its rounding errors.

    Raises:
        ConfigError: ``path`` is no path, ``tolerance`` no number >= 0.
    """

    name: ClassVar[str] = "replay"

    path: str
    tolerance: float = 0.0

    def __post_init__(self) -> None:
        checks.settle(
            self,
            path=str(checks.path(f"{self.name}: path", self.path)),
            tolerance=checks.number(f"{self.name}: tolerance", self.tolerance, low=0),
        )

    @property
    def capabilities(self) -> Capabilities:
        """Those of the session that was recorded.

        Raises:
            FileFormatError: the file cannot be read.
        """
        with SessionFile(Path(self.path)) as file:
            return file.capabilities

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> ReplaySession:
        """Open the recording. ``seed`` is not used: the noise is in it.

        Raises:
            CapacityError: it is of another network, or a calibration was given.
            FileFormatError: the file cannot be read.
        """
        refuse_calibration(self.name, calibration, "a recording cannot be calibrated any more")
        file = SessionFile(Path(self.path))
        if file.network != network:
            file.close()
            raise CapacityError(
                f"backend {self.name!r}: {self.path} holds the network {file.network}; expected "
                f"the same with all its settings; got {network}"
                + (" (equal sizes, other settings)" if file.network.sizes == network.sizes else "")
            )
        return ReplaySession(self, file)


class ReplaySession(OwnedSession[ReplayBackend]):
    """An open recording.

    A run that was recorded several times is answered with each of the recordings in turn; where
    ``trial`` is given, with those of that trial, if there are any. A run that was not recorded is
    refused (``RunFailed``), and what is nearest to it is told.
    """

    def __init__(self, backend: ReplayBackend, file: SessionFile) -> None:
        super().__init__(
            backend,
            file.network,
            behind="a place of its own in the open file",
            capabilities=file.capabilities,
        )
        self._file = file
        self._asked: Counter[tuple[int, ...]] = Counter()
        # (inputs, what neurons have of their own, weights, delays and that) -> numbers of runs.
        self._numbers: dict[tuple[str | None, ...], list[int]] = {}
        for number, run in enumerate(file.runs):
            for key in dict.fromkeys(run.keys()):
                self._numbers.setdefault(key, []).append(number)

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        """What the substrate did when it was asked this, as recorded but for the name."""
        asked = digest_of(input_times)
        activity = self._answer_of(weights, "", asked, len(input_times), trial)
        return Simulated(
            first_spike_times=activity.first_spike_times,
            input_times=activity.input_times,
            weights_used=activity.weights_used,
            info=replace(activity.info, backend=self.backend.name),
        )

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        own = {
            f"{population}.{name}": values
            for population, each in parameters.neurons.items()
            for name, values in each.items()
        }
        arrays = (*parameters.weights, *parameters.delays, *own.values())
        asked = digest_of(train_array(inputs))
        activity = self._answer_of(arrays, " ".join(own), asked, inputs.batch, trial)
        return Simulated(
            spikes=activity.spikes,
            inputs=activity.inputs,
            weights_used=activity.parameters.weights,
            delays_used=activity.parameters.delays,
            neurons_used=activity.parameters.neurons,
            info=replace(activity.info, backend=self.backend.name),
        )

    def _answer_of(
        self, arrays: Sequence[Array | None], own: str, inputs: str, batch: int, trial: int | None
    ) -> Activity:
        """The next recorded run of these arrays, on inputs of this digest.

        Args:
            arrays: weights, delays, and what neurons have of their own.
            own: what that is, by name.
            inputs: digest.
            batch: number of samples.
            trial: as asked.
        """
        found = self._find(arrays, own, inputs, batch)
        of_trial = [n for n in found if trial is not None and self._file.runs[n].trial == trial]
        turn = tuple(of_trial or found)
        number = turn[self._asked[turn] % len(turn)]
        self._asked[turn] += 1
        return self._file.activity(self._file.runs[number])

    def _find(self, arrays: Sequence[Array | None], own: str, inputs: str, batch: int) -> list[int]:
        weights = tuple(None if array is None else digest_of(array) for array in arrays)
        if found := self._numbers.get((inputs, own, *weights)):
            return found
        runs = self._file.runs
        nearest, distance = -1, math.inf
        for number, run in enumerate(runs):
            if own == run.own and inputs in (run.asked_inputs, run.delivered_inputs):
                off = self._distance(arrays, run)
                if off < distance:
                    nearest, distance = number, off
        if distance <= self.backend.tolerance:
            return self._numbers[next(runs[nearest].keys())]
        text = (
            f"backend 'replay': a run of {batch} samples with these weights and inputs is not "
            f"in {self._file.path}, which holds {len(runs)} runs"
        )
        if own and all(own != run.own for run in runs):
            text += f", none of neurons that have {own.replace(' ', ', ')} of their own"
        same = [
            n for n, run in enumerate(runs) if own == run.own and weights in (run.asked, run.held)
        ]
        if nearest >= 0:
            text += (
                f". Run {nearest} has these inputs, and weights that differ by up to "
                f"{distance:.3g}: to repeat a training, start from the same weights, seed and "
                f"options (tolerance = {self.backend.tolerance:g}; 1e-9 accepts rounding errors)"
            )
        elif same:
            text += f". Run {same[0]} has these weights, and other inputs"
        else:
            text += ", none of them with these inputs, and none with these weights"
        raise RunFailed(text)

    def _distance(self, arrays: Sequence[Array | None], run: RecordedRun) -> float:
        return max(
            float(np.abs(array - self._file.array(digest)).max())
            for array, digest in zip(arrays, run.asked, strict=True)
            if array is not None and digest is not None
        )

    def _free(self) -> None:
        self._file.close()
