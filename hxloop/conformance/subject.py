"""The backend under test, as the checks see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop.activity import Activity
from hxloop.conformance.plan import Plan
from hxloop.engine.reference import first_spike_times
from hxloop.errors import ConformanceError
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate import Backend, Capabilities, Session
from hxloop.substrate.optional import known_deviations

Array = NDArray[np.float64]
Reference = Callable[[Array, Array, NeuronSpec, float], Array]


def exact_layer(times: Array, weights: Array, neuron: NeuronSpec, window: float) -> Array:
    """First spike times ``(batch, post)`` of a layer of nominal neurons, in double precision.

    By the readable reference implementation, which is not the one that the ideal backend runs.
    """
    result = first_spike_times(
        torch.from_numpy(times), torch.from_numpy(weights.astype(np.float64)), neuron, window
    )
    return result.numpy()


@dataclass(frozen=True)
class Tolerance:
    """What a substrate with noise or a fixed pattern is allowed. Model time, fractions.

    The defaults hold for an uncalibrated BrainScaleS-2 as emulated here: of eight drawn chips the
    worst had 29 % wrong decisions, a median deviation of 0.20 and a step factor of 1.5.

    Attributes:
        runs: how often a run is repeated; an odd number, for the median.
        share: of neurons and samples that must behave as expected, after the median, where the
            expectation is beyond doubt (silence without input).
        decisions: of neurons and samples that must spike where the nominal model does.
        time: median deviation of a spike time from the nominal model.
        step: factor between the change of spike times that the gradient predicts for a step of
            the weights and the change that is measured.
        counts: factor between the number of all spikes and that of the nominal model.
    """

    runs: int = 5
    share: float = 0.75
    decisions: float = 0.65
    time: float = 0.3
    step: float = 2.5
    counts: float = 2.0


class Subject:
    """A backend and what the checks need to know of it. A context manager.

    Args:
        backend: to be checked.
        statistical: judge medians over repeated runs and most of the neurons, with
            ``tolerance``, rather than every spike, with the declared ``time_resolution``. Needed
            where neurons are not nominal or runs are not repeatable. None: exactly when the
            backend says that it is not deterministic.
        reference: computes the expected first spike times of a layer, see ``exact_layer``.
        tolerance: of statistical checks.
        seed: of the sessions.
        label: name and options of the backend, for the report.

    Raises:
        CapacityError: the backend is too small for any network worth checking.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        statistical: bool | None = None,
        reference: Reference = exact_layer,
        tolerance: Tolerance | None = None,
        seed: int = 1,
        label: str | None = None,
    ) -> None:
        self.backend = backend
        self.capabilities: Capabilities = backend.capabilities
        self.statistical = (
            not self.capabilities.deterministic if statistical is None else statistical
        )
        self.reference = reference
        self.tolerance = tolerance or Tolerance()
        self.seed = seed
        self.label = label or backend.name
        self.plan = Plan.within(self.capabilities, self.statistical)
        self.first_cost = 0.0
        self._shared: Session | None = None

    @property
    def known_deviations(self) -> Mapping[str, str]:
        """Names of checks that the backend says it fails, each with the reason."""
        return known_deviations(self.backend)

    @cached_property
    def network(self) -> NetworkSpec:
        """The network that most checks run."""
        return self.plan.network()

    @property
    def resolution(self) -> float:
        """Largest error of a spike time that the backend declares."""
        return self.capabilities.time_resolution

    @property
    def session(self) -> Session:
        """A session of ``network`` that checks share, as long as they leave it open."""
        if self._shared is None:
            self._shared = self.backend.open(self.network, seed=self.seed)
        return self._shared

    @contextmanager
    def opened(self, network: NetworkSpec | None = None) -> Iterator[Session]:
        """A session of one's own. The shared one is closed before: some substrates have room
        for one session only."""
        self.close()
        session = self.backend.open(network or self.network, seed=self.seed)
        try:
            yield session
        finally:
            session.close()

    def close(self) -> None:
        """Close the shared session; the next check gets a new one."""
        if self._shared is not None:
            shared, self._shared = self._shared, None
            shared.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- running ------------------------------------------------------------------------------

    @property
    def runs(self) -> int:
        """How often a run is repeated where its noise matters: once if there is none."""
        return self.tolerance.runs if self.statistical else 1

    def repeat(
        self, weights: Sequence[Array], times: Array, session: Session | None = None
    ) -> list[Activity]:
        """Run the same, ``runs`` times, in a session (the shared one by default)."""
        session = session or self.session
        return [session.run(weights, times) for _ in range(self.runs)]

    @cached_property
    def usual(self) -> list[Activity]:
        """Runs of the plan's task, made once: what later runs of it must agree with."""
        runs = self.repeat(self.plan.task.weights, self.plan.task.input_times)
        # Afterwards, since a first run may compile.
        self.first_cost = self.cost(self.session)
        return runs

    def cost(self, session: Session) -> float:
        """Seconds of processor time of a run; what other processes do does not count."""
        seconds = []
        for _ in range(2):
            start = time.process_time()
            session.run(self.plan.task.weights, self.plan.task.input_times)
            seconds.append(time.process_time() - start)
        return min(seconds)

    def first_layer(self, weights: Sequence[Array], times: Array) -> Array:
        """First spike times of the first layer, ``(batch, post)``: medians of repeated runs."""
        return median([run.first_spike_times[0] for run in self.repeat(weights, times)])

    def require(self, good: NDArray[np.bool_], expected: str, got: Array | None = None) -> None:
        """Every entry must be good, or, of a statistical subject, most of them.

        Args:
            good: ``(sample, neuron)`` or any other shape.
            expected: what a good entry is, in words.
            got: of the same shape, the numbers that were judged.

        Raises:
            ConformanceError: with the first bad entry, and how many there are.
        """
        share = self.tolerance.share if self.statistical else 1.0
        if good.mean() >= share:
            return
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        value = "" if got is None else f"; got {got[index]:.6g}"
        where = f"sample {index[0]}, neuron {index[1]}" if len(index) == 2 else f"index {index}"
        enough = f" (at least {share:.0%} of them)" if self.statistical else ""
        raise ConformanceError(
            f"expected {expected}{enough}{value} at {where}; {int((~good).sum())} of {good.size} "
            "are wrong"
        )


def median(values: Sequence[Any]) -> Array:
    """Median over runs of spike times; silent in most runs is silent. An odd number of runs."""
    # Sorted, since the mean of two middle values would mix spikes and silence.
    result: Array = np.sort(np.stack(values), axis=0)[len(values) // 2]
    return result
