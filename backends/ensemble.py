"""An ensemble: every batch runs on another chip, for networks that are to work on any.

The chips are listed, or drawn: numbers of one option, by default ``chip``, of one substrate. Which
chip a batch runs on is a function of its trial, the number of the step of a training: a resumed
training sees the chips that it would have seen.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Activity, Spikes
from hxloop.backends.over import Over, backends_of, common_capabilities
from hxloop.errors import ConfigError, HxloopWarning, RunFailed
from hxloop.network import NetworkSpec, Parameters
from hxloop.substrate import (
    Backend,
    BaseBackend,
    BaseSession,
    Calibration,
    Capabilities,
    Session,
    Simulated,
    check_network,
    check_stream,
    get_backend,
    refuse_calibration,
)
from hxloop.substrate.optional import known_deviations

Array = NDArray[np.float64]
# So many sessions on drawn chips are open at once; an older one is closed.
_MOST_OPEN = 16


@dataclass(frozen=True)
class EnsembleBackend(BaseBackend):
    """Several chips, one for each batch.

    Args:
        over: the chips, as backends or as their ``name`` and options; with ``numbers`` or
            ``endless`` one such mapping, of which the chips are drawn.
        numbers: numbers of the chips, in place of the option ``vary`` of ``over``.
        endless: every batch has a chip that none has had before: numbers from this one on.
        vary: the option that says which chip it is.

    Raises:
        ConfigError: a value out of range, chips of different kinds, or chips both listed and drawn.
        UnknownNameError: ``over`` names a backend or option that does not exist.
    """

    name: ClassVar[str] = "ensemble"

    over: Over
    numbers: tuple[int, ...] = ()
    endless: int | None = None
    vary: str = "chip"

    def __post_init__(self) -> None:
        where = f"{self.name}: "
        numbers = checks.plain(self.numbers)
        if not isinstance(numbers, Sequence) or isinstance(numbers, str):
            raise ConfigError(
                f"{where}numbers: expected a list of numbers of chips; got {checks.shown(numbers)}"
            )
        numbers = tuple(checks.whole(f"{where}numbers", number, low=0) for number in numbers)
        if len(set(numbers)) < len(numbers):
            raise ConfigError(f"{where}numbers: expected each chip once; got {list(numbers)}")
        checks.settle(self, numbers=numbers)
        if self.endless is not None:
            first = checks.whole(f"{where}endless", self.endless, low=0)
            checks.settle(self, endless=first)
        if numbers and self.endless is not None:
            raise ConfigError(f"{where}expected numbers or endless; got both")
        drawn = bool(numbers) or self.endless is not None
        if drawn and not isinstance(self.over, Mapping):
            raise ConfigError(
                f"{where}over: expected one table with the name of a backend and its options, of "
                f"which chips are drawn (numbers, endless); got {checks.shown(self.over)}"
            )
        if not drawn:
            checks.settle(self, over=backends_of(f"{where}over", self.over))
        common_capabilities(f"{where}over", self._some())

    @property
    def size(self) -> int | None:
        """How many chips there are; None: there is no end."""
        if self.endless is not None:
            return None
        return len(self.numbers) or len(backends_of(f"{self.name}: over", self.over))

    def chip(self, number: int) -> Backend:
        """The chip of a trial.

        Args:
            number: of the trial.
        """
        if self.endless is not None:
            return self._drawn(self.endless + number)
        if self.numbers:
            return self._drawn(self.numbers[number % len(self.numbers)])
        listed = backends_of(f"{self.name}: over", self.over)
        return listed[number % len(listed)]

    def _drawn(self, number: int) -> Backend:
        if not isinstance(self.over, Mapping):
            raise TypeError("drawn of a list")  # refused when it was made
        options = {key: value for key, value in self.over.items() if key != "name"}
        if not isinstance(self.over.get("name"), str):
            backends_of(f"{self.name}: over", self.over)  # says so
        return get_backend(str(self.over["name"]), **(options | {self.vary: number}))

    def _some(self) -> list[Backend]:
        """All of them, or of endless ones the first: they differ in a number."""
        return [self.chip(number) for number in range(self.size or 1)]

    @property
    def capabilities(self) -> Capabilities:
        """What all can do. Several chips are not one: a run is not repeatable without its trial."""
        all_of = common_capabilities(f"{self.name}: over", self._some())
        return replace(all_of, deterministic=all_of.deterministic and self.size == 1)

    @property
    def known_deviations(self) -> Mapping[str, str]:  # type: ignore[override]
        """Those of the chips."""
        found = [known_deviations(chip) for chip in self._some()]
        return {check: why for each in found for check, why in each.items()}

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> EnsembleSession:
        """Open the first chip; others when their turn comes.

        Raises:
            CapacityError: the network does not fit, or a calibration was given.
        """
        refuse_calibration(self.name, calibration, "a calibration being of one chip")
        seed = check_stream("seed", seed)
        check_network(network, self.capabilities, self.name)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        return EnsembleSession(self, network, seed)


class EnsembleSession(BaseSession[EnsembleBackend]):
    """A network on one chip after another.

    A run that fails on one chip is repeated whole on the next, and counted (``retries``); a chip
    that failed for good is not asked again.
    """

    def __init__(self, backend: EnsembleBackend, network: NetworkSpec, seed: int) -> None:
        super().__init__(backend, network, seed=seed)
        self._sessions: OrderedDict[int, Session] = OrderedDict()
        self._out: set[int] = set()
        opened = self._session(0).capabilities  # what depends on the network, or on placement
        self.capabilities = replace(
            self.capabilities,
            time_resolution=opened.time_resolution,
            weight_limit=opened.weight_limit,
        )

    @property
    def n_open(self) -> int:
        """How many chips are open."""
        return len(self._sessions)

    def _key(self, number: int) -> int:
        return number if self.backend.size is None else number % self.backend.size

    def _session(self, number: int) -> Session:
        key = self._key(number)
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        opened = self.backend.chip(number).open(self.network, seed=self.seed)
        self._sessions[key] = opened
        if self.backend.size is None and len(self._sessions) > _MOST_OPEN:
            self._sessions.popitem(last=False)[1].close()
        return opened

    def _free(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        activity = self._run(weights, input_times, trial)
        return Simulated(
            first_spike_times=activity.first_spike_times,
            input_times=activity.input_times,
            weights_used=activity.weights_used,
            info=activity.info,
        )

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        activity = self._run(parameters, inputs, trial)
        return Simulated(
            spikes=activity.spikes,
            inputs=activity.inputs,
            weights_used=activity.parameters.weights,
            delays_used=activity.parameters.delays,
            info=activity.info,
        )

    def _run(self, parameters: Any, inputs: Any, trial: int | None) -> Activity:
        """A batch on the chip of its trial, or on the first after it that does not fail.

        Raises:
            RunFailed: every chip has failed; of endless ones three in a row.
        """
        trial = self._stream(trial)
        tries = self.backend.size or 3
        failed: list[RunFailed] = []
        for turn in range(tries):
            number = trial + turn
            if self._key(number) in self._out:
                continue
            try:
                activity = self._session(number).run(parameters, inputs, trial=trial)
            except RunFailed as error:
                failed.append(error)
                if not error.retryable:
                    self._leave_out(number, error)
                continue
            info = activity.info
            return replace(
                activity,
                info=replace(info, backend=self.backend.name, retries=info.retries + len(failed)),
            )
        last = failed[-1] if failed else None
        raise RunFailed(
            f"backend {self.backend.name!r}: no chip of {tries} ran the batch (trial {trial}); "
            f"{len(self._out)} have failed for good. The last one said: {last}",
            retryable=any(error.retryable for error in failed),
        ) from last

    def _leave_out(self, number: int, error: RunFailed) -> None:
        key = self._key(number)
        self._out.add(key)
        warnings.warn(
            f"ensemble: chip {key} failed and is left out from now on; its batch runs on the next "
            f"one. It said: {error}",
            HxloopWarning,
            stacklevel=2,
        )
        if key in self._sessions:
            self._sessions.pop(key).close()
