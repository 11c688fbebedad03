"""One session for every PyNN simulator, and for the chip that speaks PyNN.

The adapter speaks PyNN and keeps the protocol; a dialect knows the simulator. PyNN is one global
network in a process, so there is at most one open session for each simulator, of one process, and
one thread at a time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from hxloop.activity import RunInfo
from hxloop.backends.pynn.dialect import Dialect
from hxloop.backends.pynn.given import HeldLayer
from hxloop.backends.pynn.schedule import Array, FirstSpikes, SampleSchedule, Units
from hxloop.chip.clock import n_tied
from hxloop.errors import (
    CapacityError,
    HxloopError,
    RunFailed,
    SessionOwnerError,
)
from hxloop.network import NetworkSpec
from hxloop.substrate import Capabilities, OwnedSession, Simulated
from hxloop.substrate.base_session import Substrate
from hxloop.substrate.guard import SIMULATOR_LOCK

T = TypeVar("T")
# PyNN module -> the session that holds it. A session that was dropped holds nothing.
_open_sessions: WeakValueDictionary[str, PynnSession] = WeakValueDictionary()
# PyNN module -> the one thread that may use it, of a simulator that is bound to a thread.
_threads: dict[str, threading.Thread] = {}


@dataclass(frozen=True)
class Built:
    """A network in the simulator.

    Attributes:
        schedule: what it was built for, or last adapted to.
        inputs: input population.
        layers: one population for each layer.
        projections: for each layer, one projection for each receptor.
    """

    schedule: SampleSchedule
    inputs: Any
    layers: tuple[Any, ...]
    projections: tuple[list[Any], ...]


class PynnSession(OwnedSession[Substrate]):
    """A network opened in a PyNN simulator.

    A run that fails in the simulator, or returns spikes that cannot be, is ``RunFailed``; of a
    simulator that cannot change threads another thread is refused (``SessionOwnerError``).

    Args:
        backend: that is opened.
        dialect: what the simulator does in its own way.
        network: what is run.
        capabilities: for this network; None: those of the backend.

    Attributes:
        seconds: what the last run spent on "build", "set", "run" and "read".

    Raises:
        CapacityError: the simulator is in use by another session, or cannot do the network.
        MissingDependencyError: the simulator is not installed.
    """

    def __init__(
        self,
        backend: Substrate,
        dialect: Dialect,
        network: NetworkSpec,
        capabilities: Capabilities | None = None,
    ) -> None:
        super().__init__(
            backend,
            network,
            behind="a simulator of its own",
            lock=SIMULATOR_LOCK,
            capabilities=capabilities,
        )
        self._dialect = dialect
        self._built: Built | None = None
        self.seconds: dict[str, float] = {}
        dialect.check(network)
        with self._alone():
            other = _open_sessions.get(dialect.module)
            if other is not None:
                other.refuse_another(dialect)
            with dialect.quiet():
                self._sim = dialect.load()
            self._versions = dialect.versions()
            _open_sessions[dialect.module] = self

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with super()._alone():
            _require_thread(self._dialect)
            yield

    def refuse_another(self, dialect: Dialect) -> None:
        """Why a second session cannot be opened beside this one.

        Raises:
            CapacityError: always.
        """
        if self._guard.here:
            raise CapacityError(
                f"backend {dialect.name!r}: PyNN has one network in a process, and a session with "
                f"network {self.network} is open on this simulator. Close it first (with ... as "
                "session: does it for you), or use another process."
            )
        raise CapacityError(
            f"backend {dialect.name!r}: process {os.getpid()} was forked from process "
            f"{self._guard.process} while that had a session open on {dialect.module}; a "
            "simulator does not survive being forked. Close the session before the fork, or start "
            'the process anew: multiprocessing.get_context("spawn").'
        )

    def _who(self) -> RunInfo:
        return RunInfo(
            self.backend.name,
            versions=dict(self._versions),
            chip_id=self._dialect.chip_id,
            calibration_digest=self._dialect.calibration_digest,
        )

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        dialect = self._dialect
        held = [dialect.hold(matrix) for matrix in weights]
        delivered = dialect.deliver(input_times, self.network.t_window)
        with _Failure(self), dialect.quiet(), dialect.settings():
            matrices = [layer.values for layer in held]
            schedule = dialect.schedule(self.network, matrices, delivered.times)

            def first(index: int, units: Units, times: Array) -> FirstSpikes:
                size, latency = self.network.sizes[1 + index], (index + 1) * dialect.latency
                return schedule.first_spikes(units, times, size, latency)

            layers = self._play(held, schedule, schedule.trains(delivered.times), first)
            lost = dialect.lost(self._sim)
        return Simulated(
            first_spike_times=[layer.times for layer in layers],
            input_times=delivered.times,
            weights_used=[layer.values for layer in held],
            clipped_weights=tuple(layer.n_clipped for layer in held),
            zeroed_weights=tuple(layer.n_zeroed for layer in held if layer.n_zeroed is not None),
            rounded_inputs=delivered.n_rounded,
            tied_outputs=n_tied(layers[-1].times) if dialect.stamped else 0,
            discarded_spikes=sum(layer.n_discarded for layer in layers),
            repeated_spikes=sum(layer.n_repeated for layer in layers),
            lost_spikes=lost,
        )

    @contextmanager
    def _in_the_simulator(self, *, keep: bool = False) -> Iterator[tuple[Dialect, Any]]:
        """The dialect and its simulator, for a run that builds a network of its own.

        Args:
            keep: it does not, and ``_play``s in the network that there is.
        """
        if not keep:
            self._built = None
        with _Failure(self), self._dialect.quiet(), self._dialect.settings():
            yield self._dialect, self._sim

    def _play(
        self,
        held: Sequence[HeldLayer],
        schedule: SampleSchedule,
        trains: Sequence[Array],
        collect: Callable[[int, Units, Array], T],
    ) -> list[T]:
        """Run a batch on one time axis, and collect the spikes of each layer: units and times."""
        dialect, sim = self._dialect, self._sim
        start = time.perf_counter()
        built = self._built
        if built is None or dialect.must_rebuild(built.schedule, schedule):
            built = self._build(held, schedule)
        elif built.schedule.refractory != schedule.refractory:
            for population in built.layers:
                dialect.set_refractory(population, schedule)
            self._built = built = replace(built, schedule=schedule)
        built_at = time.perf_counter()
        for layer, projections in zip(held, built.projections, strict=True):
            dialect.set_weights(projections, layer.native, schedule)
        dialect.set_inputs(sim, built.inputs, [t * dialect.ms_per_tau for t in trains])
        set_at = time.perf_counter()
        dialect.run(sim, schedule.duration * dialect.ms_per_tau)
        run_at = time.perf_counter()
        found = []
        for index, population in enumerate(built.layers):
            units, times_ms = dialect.read(population)
            found.append(collect(index, units, times_ms / dialect.ms_per_tau))
        if not dialect.rebuild:
            dialect.reset(sim)
        self.seconds = {
            "build": built_at - start,
            "set": set_at - built_at,
            "run": run_at - set_at,
            "read": time.perf_counter() - run_at,
        }
        return found

    def _build(self, held: Sequence[HeldLayer], schedule: SampleSchedule) -> Built:
        dialect, sim, copies = self._dialect, self._sim, schedule.copies
        self._built = None
        dialect.setup(sim)
        inputs = dialect.create_inputs(sim, copies * self.network.n_inputs)
        layers, projections, pre = [], [], inputs
        for layer, weights in zip(self.network.layers, held, strict=True):
            post = dialect.create_layer(sim, copies * layer.n_neurons, layer, schedule)
            projections.append(dialect.connect(sim, pre, post, weights.native, schedule))
            layers.append(post)
            pre = post
        dialect.prepare(sim)
        self._built = Built(schedule, inputs, tuple(layers), tuple(projections))
        return self._built

    def _free(self) -> None:
        self._built = None
        _open_sessions.pop(self._dialect.module, None)
        if not _in_its_thread(self._dialect):
            return  # the next session empties the simulator before it begins
        with self._dialect.quiet(), self._dialect.settings():
            self._dialect.close(self._sim)


def _in_its_thread(dialect: Dialect) -> bool:
    if not dialect.one_thread:
        return True
    return _threads.setdefault(dialect.module, threading.current_thread()) is (
        threading.current_thread()
    )


def _require_thread(dialect: Dialect) -> None:
    if not _in_its_thread(dialect):
        owner = _threads[dialect.module]
        ended = "" if owner.is_alive() else ", which has ended"
        raise SessionOwnerError(
            f"backend {dialect.name!r}: {dialect.module} works in one thread of a process, that in "
            f"which it was first opened: {owner.name!r}{ended}; this is thread "
            f"{threading.current_thread().name!r}. Open and run it in one thread, or use another "
            "process or another backend."
        )


class _Failure:
    """Whatever a simulator raises becomes RunFailed; the next run builds the network anew."""

    def __init__(self, session: PynnSession) -> None:
        self._session = session

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            return
        self._session._built = None
        if isinstance(error, Exception) and not isinstance(error, HxloopError):
            dialect = self._session._dialect
            advice = dialect.advice(error)
            raise RunFailed(
                f"backend {dialect.name!r}: {dialect.module} failed in a run of network "
                f"{self._session.network}: {type(error).__name__}: {error}"
                + (f" ({advice})" if advice else ""),
                retryable=dialect.retryable(error),
            ) from error
