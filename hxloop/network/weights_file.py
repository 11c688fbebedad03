"""``weights.safetensors``: the weights of a network, in a file that other programs read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hxloop.errors import FileFormatError
from hxloop.files import sha256_of, write_atomically
from hxloop.network.spec import NetworkSpec


def write_weights(
    path: Path,
    weights: Sequence[NDArray[np.float64]],
    metadata: Mapping[str, str],
    dtype: type[np.floating[Any]] = np.float64,
) -> None:
    """Write ``layer.0``, ``layer.1``, ..., ``(pre, post)`` each.

    Raises:
        OutputError: the folder cannot be written to.
    """
    arrays = {f"layer.{i}": np.ascontiguousarray(w, dtype) for i, w in enumerate(weights)}
    # Of what is read back: all precisions are read as float64.
    digest = _digest([array.astype(np.float64) for array in arrays.values()])
    described = {**metadata, "digest": digest}
    described["checksum"] = _checksum(described)
    write_atomically(path, save(arrays, described))


def load_weights(
    path: Path, network: NetworkSpec, run: str | None = None
) -> tuple[NDArray[np.float64], ...]:
    """Read a weights file.

    Args:
        path: the file.
        network: whose weights they must be.
        run: digest of the training that they must be of, see ``hxloop.runs.identity.run_digest``;
            None: any. A file that does not say is taken.

    Raises:
        FileFormatError: missing, truncated, corrupt, or of another network or training.
    """
    if not path.is_file():
        raise FileFormatError(
            f"weights {path}: no such file. Was the training finished? If it was interrupted: "
            f"hxloop resume {path.parent}"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = dict(file.metadata() or {})
            names = sorted(file.keys(), key=lambda name: int(name.rpartition(".")[2]))
            arrays = tuple(np.asarray(file.get_tensor(name), dtype=np.float64) for name in names)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileFormatError(
            f"weights {path}: truncated or corrupt ({error}). {_advice(path)}"
        ) from error
    checksum = metadata.pop("checksum", None)
    if metadata.get("digest", _digest(arrays)) != _digest(arrays):
        raise FileFormatError(
            f"weights {path}: corrupt, its digest does not match its data. {_advice(path)}"
        )
    if checksum is not None and checksum != _checksum(metadata):
        raise FileFormatError(
            f"weights {path}: corrupt, the checksum of its metadata does not match. {_advice(path)}"
        )
    shapes = tuple(array.shape for array in arrays)
    if shapes != network.shapes:
        raise FileFormatError(
            f"weights {path}: expected shapes {network.shapes} for network {network}; got {shapes}"
        )
    if run is not None and metadata.get("run", run) != run:
        raise FileFormatError(
            f"weights {path}: of another training than the one in this folder (other data, loss "
            f"or network, by digest). {_advice(path)}"
        )
    return arrays


def _advice(path: Path) -> str:
    return f"Write it anew from the last checkpoint: hxloop resume {path.parent}"


def _digest(arrays: Sequence[NDArray[np.float64]]) -> str:
    return sha256_of(*(part for array in arrays for part in (f"{array.shape} ", array)))


def _checksum(metadata: Mapping[str, str]) -> str:
    return sha256_of(json.dumps(dict(metadata), sort_keys=True))
