"""A session of which only the simulation is left to write.

What all sessions do alike stands here: refuse a closed session, check the input, take the time,
say who computed and what was changed, close once. ``hxloop.substrate.base_backend`` does the same
for backends; how to write one is told in ``CONTRIBUTING.md``.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.activity import Activity, RunInfo, Spikes
from hxloop.errors import SessionClosedError
from hxloop.network import NetworkSpec, Parameters
from hxloop.substrate.capabilities import Capabilities
from hxloop.substrate.checks import check_input, check_stream
from hxloop.substrate.guard import ForkSafeLock, SessionGuard, UncopiedSession
from hxloop.substrate.simulated import Simulated
from hxloop.version import __version__

Array = NDArray[np.float64]


class Substrate(Protocol):
    """What a session needs to know of its backend; every backend is one."""

    @property
    def name(self) -> str:
        """Of the backend."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...


S = TypeVar("S", bound=Substrate)


class BaseSession(ABC, Generic[S]):
    """A session for others to inherit: ``_simulate`` is what is left to write.

    It has nothing behind it but memory, so threads may share it, forked children go on with it,
    and it can be copied. What has a file, a process or a simulator behind it: ``OwnedSession``.

    Args:
        backend: that is opened.
        network: what is run.
        capabilities: for this network; None: those of the backend.
        seed: of the noise.

    Attributes:
        backend, network, capabilities, seed: these.
    """

    def __init__(
        self,
        backend: S,
        network: NetworkSpec,
        *,
        capabilities: Capabilities | None = None,
        seed: int | None = None,
    ) -> None:
        self.backend, self.network, self.seed = backend, network, seed
        self.capabilities = backend.capabilities if capabilities is None else capabilities
        self._open = True
        self._streams = 0
        self._counting = ForkSafeLock()

    # --- what to write, and what to change if need be ---------------------------------------

    @abstractmethod
    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        """Run one batch.

        Args:
            weights: for each layer ``(pre, post)``, finite, checked. Not to be written to; what
                is kept of it is copied.
            input_times: ``(batch, n_inputs)``, model time, ``inf`` = no spike, checked; the same.
            trial: stream of the noise; None: the next one, ``_stream`` counts.

        Raises:
            RunFailed: the substrate did not deliver; ``retryable`` says if it may next time.
        """

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        """Run one batch of a network with features, of own neurons, or of inputs that spike again.

        For a backend whose capabilities have ``features``; others are never asked.

        Args:
            parameters: weights, delays, and what neurons have of their own where ``features``
                say that it takes that; checked. Not to be written to.
            inputs: any number of spikes of each channel; the same.
            trial: as for ``_simulate``.

        Returns:
            ``spikes`` of each population.
        """
        raise NotImplementedError(f"{type(self).__name__} has features and no _simulate_trains")

    def _free(self) -> None:
        """Free what is behind the session; called once, when it is closed."""

    def _who(self) -> RunInfo:
        """Who computes: what ``RunInfo`` says of every run alike."""
        versions = {"hxloop": __version__, "numpy": np.__version__}
        return RunInfo(self.backend.name, versions=versions)

    @property
    def circuits(self) -> tuple[NDArray[np.int64], ...] | None:
        """For each layer ``(post, merged)``, the circuits of its neurons; None: it has none."""
        return None

    # --- what is done for all ----------------------------------------------------------------

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        """Run one batch; see ``hxloop.substrate.Session.run``."""
        with self._alone():
            self._require_open()
            trial = check_stream("trial", trial)
            parameters, inputs = check_input(
                self.network, weights, input_times, self.capabilities, record
            )
            if self.network.features or parameters.neurons or not inputs.once:
                return self._answer_trains(parameters, inputs, trial)
            return self._answer(parameters.weights, np.asarray(inputs, np.float64), trial)

    def _answer_trains(self, parameters: Parameters, inputs: Spikes, trial: int | None) -> Activity:
        start = time.perf_counter()
        done = self._simulate_trains(parameters, inputs, trial)
        weights = parameters.weights if done.weights_used is None else done.weights_used
        delays = parameters.delays if done.delays_used is None else done.delays_used
        neurons = parameters.neurons if done.neurons_used is None else done.neurons_used
        # Of their own: the caller goes on changing what it gave.
        held = Parameters(tuple(weights), tuple(delays), neurons).copy()
        delivered = (inputs if done.inputs is None else done.inputs).copy()
        seconds = time.perf_counter() - start
        info = self._counted(done, seconds) if done.info is None else done.info
        return Activity.of_spikes(delivered, done.spikes, held, info, self.network.output_index)

    def _answer(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Activity:
        """Simulate, take the time, and count."""
        start = time.perf_counter()
        done = self._simulate(weights, input_times, trial)
        used = weights if done.weights_used is None else done.weights_used
        delivered = input_times if done.input_times is None else done.input_times
        seconds = time.perf_counter() - start
        return Activity(
            # Of its own: the caller goes on changing what it gave.
            input_times=delivered.copy() if delivered is input_times else delivered,
            first_spike_times=tuple(done.first_spike_times),
            weights_used=tuple(
                held.copy() if held is given else held
                for held, given in zip(used, weights, strict=True)
            ),
            info=self._counted(done, seconds) if done.info is None else done.info,
        )

    def _counted(self, done: Simulated, seconds: float) -> RunInfo:
        clipped = done.clipped_weights
        return replace(
            self._who(),
            seed=None if done.trial is None else self.seed,
            trial=done.trial,
            clipped_weights=(0,) * len(self.network.shapes) if clipped is None else clipped,
            zeroed_weights=done.zeroed_weights,
            rounded_inputs=done.rounded_inputs,
            tied_outputs=done.tied_outputs,
            discarded_spikes=done.discarded_spikes,
            lost_spikes=done.lost_spikes,
            repeated_spikes=done.repeated_spikes,
            duration_seconds=seconds,
        )

    def _stream(self, trial: int | None) -> int:
        """Number of the stream of noise: the one asked for, or the next."""
        if trial is not None:
            return trial
        with self._counting:
            self._streams += 1
            return self._streams - 1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Held during a run."""
        yield

    def _require_open(self) -> None:
        """Refuse what comes after ``close``.

        Raises:
            SessionClosedError: the session is closed.
        """
        if not self._open:
            raise SessionClosedError(
                f"backend {self.backend.name!r}: this session is closed; open another one"
            )

    def close(self) -> None:
        """Free what is behind the session; ``run`` raises afterwards. Twice is allowed."""
        if self._open:
            self._open = False
            self._free()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class OwnedSession(UncopiedSession, BaseSession[S]):
    """A session with more behind it than memory: a file, a process, a simulator.

    It does one run at a time, other threads wait; it belongs to the process that opened it, so a
    forked child is refused (``SessionOwnerError``); and it cannot be copied.

    Args:
        backend, network, capabilities, seed: see ``BaseSession``.
        behind: what belongs to the process, as messages say it: "the open file".
        lock: held during a run; None: one of its own. Sessions that share a global share a lock.
    """

    def __init__(
        self,
        backend: S,
        network: NetworkSpec,
        *,
        behind: str,
        lock: ForkSafeLock | None = None,
        capabilities: Capabilities | None = None,
        seed: int | None = None,
    ) -> None:
        super().__init__(backend, network, capabilities=capabilities, seed=seed)
        self._guard = SessionGuard(f"backend {backend.name!r}", behind, lock)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._guard.alone():
            yield

    def close(self) -> None:
        """Free what is behind the session; ``run`` raises afterwards. Twice is allowed.

        A run of another thread is waited for. A forked child leaves alone what is its parent's,
        and nothing is freed under a run that was given up and may still be at work.
        """
        if not self._guard.here:
            return
        with self._guard.closing() as alone:
            if self._open:
                self._open = False
                if alone:
                    self._free()
