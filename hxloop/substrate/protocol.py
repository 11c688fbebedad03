"""What a backend and a session are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from numpy.typing import ArrayLike

from hxloop.activity import Activity
from hxloop.network import NetworkSpec
from hxloop.substrate.capabilities import Capabilities


@runtime_checkable
class Session(Protocol):
    """A network opened on a substrate. A context manager: closing frees the substrate."""

    @property
    def network(self) -> NetworkSpec:
        """The network this session was opened with."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the substrate can do for this network."""
        ...

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        """Run one batch.

        Args:
            weights: one signed matrix ``(pre, post)`` for each layer. Never written to.
            input_times: ``(batch, n_inputs)`` in model time, ``inf`` = no spike. Never
                written to.
            record: what to record beyond the first spikes; see ``Capabilities.records``.
            trial: which stream of trial noise to use. The same session seed and trial give
                the same noise on a seeded backend; None takes the next stream. Real
                hardware has no say in its noise and ignores it.

        Raises:
            RunInputError: weights or times do not fit the network, or hold NaN, infinite
                weights or negative times.
            RunFailed: the substrate did not deliver; ``retryable`` says if it may next time.
            SessionClosedError: the session has been closed.
        """
        ...

    def close(self) -> None:
        """Free the substrate. Closing twice is allowed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class Calibration(Protocol):
    """What every calibration says: its model units, in nominal ones of the substrate.

    A chip with knobs needs more, ``hxloop.chip.calibration``. Plain scales are a calibration,
    too (``hxloop.calibration.fit_scales``).
    """

    @property
    def weight_scale(self) -> float:
        """Weight of one bit in units of the nominal one."""
        ...

    @property
    def time_scale(self) -> float:
        """Length of one unit of model time in units of the nominal one."""
        ...

    @property
    def spike_offset(self) -> float:
        """Constant to be taken off every recorded spike time, model time."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A substrate, described. Small, picklable, with its options as fields.

    What it may offer beyond this: ``hxloop.substrate.optional``.
    """

    @property
    def name(self) -> str:
        """Name under which ``get_backend`` finds it."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> Session:
        """Open a session.

        Args:
            network: what to run.
            calibration: a calibration result of this substrate; None uses it as it is.
            seed: seed of the trial noise, where the substrate has a seed.

        Raises:
            CapacityError: the network does not fit.
        """
        ...
