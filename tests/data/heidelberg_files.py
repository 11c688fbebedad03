"""Small files in the format of the official ones: classes that fire in channels of their own."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from hxloop.files import hdf5


def write(
    path: Path, n: int, n_classes: int = 20, seed: int = 0, *, sealed: bool = True, **changes
) -> Path:
    """A file; ``changes``: datasets by name, in the place of those that would be written.

    A seal, which official files do not have, saves the process that looks through those without.
    """
    rng, spikes = np.random.default_rng(seed), 30
    labels = np.arange(n) % n_classes
    times = [np.sort(rng.uniform(0, 1.2, spikes)).astype(np.float16) for _ in range(n)]
    width = 700 // n_classes
    units = [(label * width + rng.integers(0, width, spikes)).astype(np.uint16) for label in labels]
    content = {"spikes/times": times, "spikes/units": units, "labels": labels.astype(np.uint16),
               "extra/speaker": rng.integers(0, 12, n).astype(np.uint8),
               "extra/keys": [f"word {i}".encode() for i in range(n_classes)]}  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, value in {**content, **changes}.items():
            if value is None:
                continue
            if isinstance(value, list) and value and isinstance(value[0], np.ndarray):
                kind = h5py.vlen_dtype(value[0].dtype)
                rows = file.create_dataset(name, (len(value),), dtype=kind, chunks=(8,))
                for index, row in enumerate(value):
                    rows[index] = row
            else:
                file[name] = value
    if sealed:
        hdf5.seal(path)
    return path
