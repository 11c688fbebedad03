"""Some samples of a dataset, read without the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from hxloop.activity.further import FurtherSpikes
from hxloop.activity.log.soundness import dataset_of
from hxloop.activity.ragged import from_ragged
from hxloop.activity.spikes import Spikes
from hxloop.errors import FileFormatError

Samples = slice | Sequence[int] | NDArray[Any] | None


def read_rows(group: h5py.Group, name: str, n: int, samples: Samples, path: Path) -> NDArray[Any]:
    """Rows of a dataset.

    Args:
        group: the state.
        name: of the dataset.
        n: how many rows are valid.
        samples: which of them; None = all.
        path: of the file, for messages.

    Raises:
        FileFormatError: there is no such dataset, or it has fewer rows.
    """
    dataset = dataset_of(group, name, path)
    if len(dataset) < n:
        raise FileFormatError(f"{path}: {dataset.name} has {len(dataset)} rows; expected {n}")
    found: NDArray[Any]
    if samples is None:
        found = dataset[:n]
        return found
    if isinstance(samples, slice):
        start, stop, step = samples.indices(n)
        found = dataset[start:stop:step] if step > 0 else dataset[:n][samples]
        return found
    # HDF5 takes indices in ascending order only, each once.
    indices = np.arange(n)[np.asarray(samples)]
    unique, inverse = np.unique(indices, return_inverse=True)
    found = dataset[unique][inverse]
    return found


def read_further(
    group: h5py.Group, ends: NDArray[np.int64], samples: Samples, path: Path
) -> tuple[FurtherSpikes, ...] | None:
    """Spikes after the first ones, for each layer; None where there are no such lists.

    Args:
        group: the state.
        ends: number of samples, then of spikes of each layer.
        samples: which samples, see ``read_rows``.
        path: of the file, for messages.

    Raises:
        FileFormatError: a list is missing.
    """
    if "layers/0/further_spikes" not in group:
        return None
    names, found = ("samples", "neurons", "times"), []
    for layer, count in enumerate(ends[1:]):
        place = f"layers/{layer}/further_spikes"
        columns = (dataset_of(group, f"{place}/{name}", path)[:count] for name in names)
        found.append(FurtherSpikes(*columns))
    if samples is None:
        return tuple(found)
    indices = np.arange(ends[0])[samples]
    return tuple(spikes.select(indices) for spikes in found)


def read_spikes(
    group: h5py.Group, place: str, n: int, samples: Samples, n_units: int, path: Path
) -> Spikes:
    """All spikes of a layer or of the input in some samples.

    Args:
        group: the state.
        place: where its lists are, see ``hxloop.activity.log.schema``.
        n: how many samples are valid.
        samples: which of them, see ``read_rows``.
        n_units: how many neurons the network has there.
        path: of the file, for messages.

    Raises:
        FileFormatError: a list is missing, or they make no sense, see ``from_ragged``.
    """
    ends = np.asarray(dataset_of(group, f"{place}/ends", path)[:n])
    numbers = np.arange(n) if samples is None else np.arange(n)[samples]
    # What lies between the first and the last of the samples is read.
    first, last = (int(numbers.min()), int(numbers.max())) if len(numbers) else (0, -1)
    start = int(ends[first - 1]) if first else 0
    stop = int(ends[last]) if last >= 0 else start
    times, units = (
        np.asarray(dataset_of(group, f"{place}/{name}", path)[start:stop])
        for name in ("times", "units")
    )
    part = ends[first : last + 1]
    if part.dtype.kind in "iu":
        part = part.astype(np.int64) - start
    spikes = from_ragged(times, units, part, n_units, f"{path}: {group.name}/{place}")
    return spikes if samples is None else spikes.select(numbers - first)
