"""Spikes of one population in a batch: all of them, or the first of each neuron."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity.spike_checks import check_events, put_in_order
from hxloop.errors import HxloopError, RunInputError

Times = NDArray[np.float64]
Error = type[HxloopError]


class Spikes:
    """The spikes of ``n_units`` neurons (or input channels) in ``len(spikes)`` samples.

    Made from first spike times (``from_first``) or from a list of all spikes (``from_events``), it
    keeps that form and makes the other on demand, so that a network whose neurons spike once pays
    nothing. Silence is absence in the list, and ``inf`` in dense arrays. Model time.

    ``numpy.asarray(spikes)`` is ``spikes.first``, where no neuron has spiked more than once.

    Example:
        >>> spikes = Spikes.from_events([0, 0, 1], [2, 2, 0], [0.5, 1.5, 0.25], batch=2, n_units=3)
        >>> spikes.count
        array([[0, 0, 2],
               [1, 0, 0]])
        >>> spikes.first
        array([[ inf,  inf, 0.5 ],
               [0.25,  inf,  inf]])
    """

    def __init__(
        self,
        times: ArrayLike,
        units: ArrayLike,
        offsets: ArrayLike,
        n_units: int,
        *,
        dense: Any = None,
    ) -> None:
        """Of arrays that are in order already; ``from_events`` puts them in order.

        Args:
            times: of the spikes, sorted by sample and time, of equal times by neuron.
            units: which neuron each is of.
            offsets: ``(batch + 1,)``; those of sample b are ``times[offsets[b]:offsets[b + 1]]``.
            n_units: number of neurons.
            dense: ``(batch, n_units)``, in place of all of them, where each spiked at most once.

        Raises:
            RunInputError: arrays of other types or shapes, offsets that go back or are not those of
                so many spikes, spikes out of order, twice, of a neuron that there is not, or at a
                time that is negative, NaN or infinite.
        """
        self.n_units = checks.whole("Spikes: n_units", n_units, low=0, error=RunInputError)
        self._dense: Any = None
        if dense is None:
            self.events = check_events(times, units, offsets, self.n_units)
        else:
            shape = ("batch", self.n_units)
            self._dense = checks.spike_times("Spikes: dense", dense, shape=shape, keep_single=True)

    # --- making ----------------------------------------------------------------------------

    @classmethod
    def from_first(cls, times: ArrayLike, *, where: str = "spikes") -> Spikes:
        """Of neurons that spike at most once.

        Args:
            times: ``(batch, n_units)``, ``inf`` = silent. Not copied.
            where: begins messages.

        Raises:
            RunInputError: no such array, NaN, or a negative time.
        """
        dense = checks.spike_times(where, times, keep_single=True, axes=("sample", "neuron"))
        return cls._of_dense(dense)

    @classmethod
    def _of_dense(cls, dense: NDArray[Any]) -> Spikes:
        spikes = cls.__new__(cls)
        spikes.n_units, spikes._dense = dense.shape[1], dense
        return spikes

    @classmethod
    def trusted(
        cls, times: Times, units: NDArray[Any], offsets: NDArray[np.int64], n_units: int
    ) -> Spikes:
        """As the constructor, without a look at the arrays: for whoever put them in order."""
        spikes = cls.__new__(cls)
        spikes.n_units, spikes._dense = n_units, None
        spikes.events = times, units, offsets
        return spikes

    @classmethod
    def from_events(
        cls,
        samples: ArrayLike,
        units: ArrayLike,
        times: ArrayLike,
        *,
        batch: int,
        n_units: int,
        where: str = "spikes",
        error: Error = RunInputError,
    ) -> Spikes:
        """From a list of spikes in any order.

        Args:
            samples: ``(spikes,)``, which sample each is of.
            units: ``(spikes,)``, which neuron.
            times: ``(spikes,)``, when.
            batch: number of samples.
            n_units: number of neurons.
            where: begins messages.
            error: what is raised.

        Raises:
            error: lengths differ, indices that are no whole numbers or out of range, times that
                are negative or not finite, or two spikes of a neuron at the same time.
        """
        sample, unit, when = put_in_order(samples, units, times, (batch, n_units), where, error)
        offsets = np.searchsorted(sample, np.arange(batch + 1))
        return cls.trusted(when, unit, offsets.astype(np.int64), n_units)

    @classmethod
    def of(cls, values: Any, n_units: int, *, where: str = "spikes") -> Spikes:
        """Spikes from what may be ``Spikes`` or a dense array of first spike times.

        Raises:
            RunInputError: neither, or of another number of neurons.
        """
        spikes = values if isinstance(values, Spikes) else cls.from_first(values, where=where)
        if spikes.n_units != n_units:
            raise RunInputError(
                f"{where}: expected spikes of {n_units} channels; got {spikes.n_units}"
            )
        return spikes

    # --- looking ---------------------------------------------------------------------------

    @property
    def batch(self) -> int:
        """Number of samples, ``len(spikes)``."""
        return len(self)

    def __len__(self) -> int:
        return len(self._dense) if self._dense is not None else len(self.offsets) - 1

    @property
    def shape(self) -> tuple[int, int]:
        """``(batch, n_units)``, that of ``first`` and ``count``."""
        return self.batch, self.n_units

    @cached_property
    def events(self) -> tuple[Times, NDArray[np.int64], NDArray[np.int64]]:
        """``(times, units, offsets)``, sorted by sample and time, see ``Spikes``."""
        sample, unit = np.nonzero(np.isfinite(self._dense))
        when = self._dense[sample, unit]
        order = np.lexsort((unit, when, sample))
        offsets = np.searchsorted(sample, np.arange(self.batch + 1)).astype(np.int64)
        return when[order].astype(np.float64), unit[order], offsets

    @property
    def times(self) -> Times:
        """``(spikes,)``, sorted by sample and time."""
        return self.events[0]

    @property
    def units(self) -> NDArray[np.int64]:
        """``(spikes,)``, which neuron each spike is of."""
        return self.events[1]

    @property
    def offsets(self) -> NDArray[np.int64]:
        """``(batch + 1,)``: the spikes of sample b are those from offsets[b] to offsets[b + 1]."""
        return self.events[2]

    @cached_property
    def samples(self) -> NDArray[np.int64]:
        """``(spikes,)``, which sample each spike is of."""
        return np.repeat(np.arange(self.batch), np.diff(self.offsets))

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """``(spikes,)``, place of the sample and neuron of each spike in a flat ``first``."""
        return self.samples * self.n_units + self.units

    @property
    def n_spikes(self) -> int:
        """Number of spikes, of all neurons and samples."""
        if self._dense is not None:
            return int(np.isfinite(self._dense).sum())
        return len(self.times)

    @cached_property
    def first(self) -> Times:
        """``(batch, n_units)``, first spike times; ``inf`` = silent."""
        return self._dense if self._dense is not None else self.nth(0)

    @cached_property
    def count(self) -> NDArray[np.int64]:
        """``(batch, n_units)``, number of spikes."""
        if self._dense is not None:
            spiked: NDArray[np.int64] = np.isfinite(self._dense).astype(np.int64)
            return spiked
        counts: NDArray[np.int64] = np.bincount(self.cells, minlength=self.batch * self.n_units)
        return counts.reshape(self.shape)

    @cached_property
    def ranks(self) -> NDArray[np.int64]:
        """``(spikes,)``, how many spikes of its neuron in its sample were before each."""
        order = np.argsort(self.cells, kind="stable")
        starts = np.concatenate([[0], np.cumsum(np.bincount(self.cells, minlength=1))])
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order)) - starts[self.cells[order]]
        return ranks

    @property
    def once(self) -> bool:
        """Whether every neuron spikes at most once in every sample."""
        return self._dense is not None or not self.n_spikes or int(self.count.max()) <= 1

    def nth(self, k: int) -> Times:
        """``(batch, n_units)``, the times of spike number k, from 0; ``inf`` = no such spike."""
        result = np.full(self.batch * self.n_units, np.inf)
        chosen = slice(None, None, -1) if k == 0 else self.ranks == k  # the last written stays
        result[self.cells[chosen]] = self.times[chosen]
        return result.reshape(self.shape)

    def select(self, samples: slice | Sequence[int] | NDArray[Any]) -> Spikes:
        """The spikes of some samples, which are numbered anew in the order given."""
        if self._dense is not None:
            return self._of_dense(self._dense[samples])
        chosen = np.arange(self.batch)[samples]
        counts = np.diff(self.offsets)[chosen]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        place = np.repeat(self.offsets[chosen] - offsets[:-1], counts) + np.arange(offsets[-1])
        return Spikes.trusted(self.times[place], self.units[place], offsets, self.n_units)

    def before(self, t_window: float) -> tuple[Spikes, int]:
        """The spikes up to a time, and how many later ones were left out."""
        if self._dense is not None:
            late = np.isfinite(self._dense) & (self._dense > t_window)
            kept = np.where(late, np.inf, self._dense) if late.any() else self._dense
            return self._of_dense(kept), int(late.sum())
        return self.at(self.times, t_window), int((self.times > t_window).sum())

    def at(self, times: Times, t_window: float = np.inf) -> Spikes:
        """The same spikes at other ``times``, those after the window left out."""
        order = np.lexsort((self.units, times, self.samples))
        kept = order[times[order] <= t_window]
        offsets = np.searchsorted(self.samples[kept], np.arange(self.batch + 1)).astype(np.int64)
        return Spikes.trusted(times[kept], self.units[kept], offsets, self.n_units)

    def read_only(self) -> Spikes:
        """The same, to look at only: its arrays cannot be written to."""
        return self._of_changed(checks.read_only)

    def kept(self) -> Spikes:
        """The same, which its giver cannot change any more; see ``hxloop.checks.kept``."""
        return self._of_changed(checks.frozen)

    def copy(self) -> Spikes:
        """The same in memory of its own."""
        return self._of_changed(np.copy)

    def _of_changed(self, change: Callable[[Any], Any]) -> Spikes:
        if self._dense is not None:
            return self._of_dense(change(self._dense))
        times, units, offsets = map(change, self.events)
        return Spikes.trusted(times, units, offsets, self.n_units)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if not self.once:
            raise RunInputError(
                f"{self!r}: expected at most one spike of each channel, to make an array of first "
                "spike times; take spikes.first to leave the others out"
            )
        dense = np.asarray(self.first, dtype=dtype)
        return dense.copy() if copy else dense

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spikes):
            return NotImplemented
        if (self.batch, self.n_units) != (other.batch, other.n_units):
            return False
        return all(np.array_equal(a, b) for a, b in zip(self.events, other.events, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Spikes(<{self.n_spikes} of {self.n_units} neurons in {self.batch} samples>)"
