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
from hxloop.network.values import Parameters

FILE_NAME = "weights.safetensors"  # in the folder of a run


def write_weights(
    path: Path,
    weights: Sequence[NDArray[np.float64]],
    metadata: Mapping[str, str],
    dtype: type[np.floating[Any]] = np.float64,
) -> None:
    """Write the arrays of ``Parameters``: ``weights.0``, ``weights.1``, ..., ``(pre, post)`` each.

    Raises:
        OutputError: the folder cannot be written to.
    """
    values = weights if isinstance(weights, Parameters) else Parameters(tuple(weights))
    arrays = {name: np.ascontiguousarray(a, dtype) for name, a in values.named().items()}
    # Of what is read back: all precisions are read as float64.
    described = {**metadata, "digest": Parameters.from_named(arrays).digest}
    described["checksum"] = _checksum(described)
    write_atomically(path, save(arrays, described))


def load_weights(path: Path, network: NetworkSpec, run: str | None = None) -> Parameters:
    """Read a weights file, of earlier versions, too, which called them ``layer.0``, ...

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
            names = list(file.keys())
            arrays = {name: np.asarray(file.get_tensor(name), dtype=np.float64) for name in names}
            parameters = Parameters.from_named(arrays)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileFormatError(
            f"weights {path}: truncated or corrupt ({error}). {_advice(path)}"
        ) from error
    checksum = metadata.pop("checksum", None)
    if metadata.get("digest", parameters.digest) != parameters.digest:
        raise FileFormatError(
            f"weights {path}: corrupt, its digest does not match its data. {_advice(path)}"
        )
    if checksum is not None and checksum != _checksum(metadata):
        raise FileFormatError(
            f"weights {path}: corrupt, the checksum of its metadata does not match. {_advice(path)}"
        )
    shapes = tuple(matrix.shape for matrix in parameters)
    if shapes != network.shapes:
        raise FileFormatError(
            f"weights {path}: expected shapes {network.shapes} for network {network}; got {shapes}"
        )
    if run is not None and metadata.get("run", run) != run:
        raise FileFormatError(
            f"weights {path}: of another training than the one in this folder (other data, loss "
            f"or network, by digest). {_advice(path)}"
        )
    return Parameters.of(network, parameters, where=f"weights {path}: ", error=FileFormatError)


def _advice(path: Path) -> str:
    return f"Write it anew from the last checkpoint: hxloop resume {path.parent}"


def _checksum(metadata: Mapping[str, str]) -> str:
    return sha256_of(json.dumps(dict(metadata), sort_keys=True))
