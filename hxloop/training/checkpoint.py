"""Checkpoints: one safetensors file with everything that training needs to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from hxloop.errors import FileFormatError
from hxloop.files import sha256_of, write_atomically
from hxloop.files.json_text import parse_json
from hxloop.text import Brief

SCHEMA = "hxloop-checkpoint-1"
# What a trainer writes into its folder.
CHECKPOINTS = "checkpoints"
CHECKPOINT = "last.safetensors"
METRICS = "metrics.jsonl"


@dataclass(frozen=True, repr=False)
class Checkpoint(Brief):
    """Tensors by name, and a JSON-able state.

    Attributes:
        tensors: weights, best weights, moments of the optimiser.
        state: epoch, batch, counters: plain numbers, strings, lists and mappings.
    """

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint; whatever happens, ``path`` holds the old one or the new one.

    Raises:
        OutputError: the folder cannot be written to.
    """
    tensors = {name: tensor.detach().contiguous() for name, tensor in checkpoint.tensors.items()}
    state = json.dumps(checkpoint.state)
    metadata = {"schema": SCHEMA, "state": state, "digest": _digest(tensors, state)}
    write_atomically(path, save(tensors, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FileFormatError: missing, truncated, corrupt, or not a checkpoint of this version.
    """
    advice = "Resume from another checkpoint of the run, or train again with --force."
    if not path.is_file():
        raise FileFormatError(f"checkpoint {path}: no such file. {advice}")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileFormatError(
            f"checkpoint {path}: truncated or corrupt ({error}). {advice}"
        ) from error
    if metadata.get("schema") != SCHEMA:
        raise FileFormatError(
            f"checkpoint {path}: expected schema {SCHEMA!r}; got {metadata.get('schema')!r}. "
            + advice
        )
    state = metadata.get("state", "")
    if metadata.get("digest") != _digest(tensors, state):
        raise FileFormatError(
            f"checkpoint {path}: corrupt, its digest does not match its data. {advice}"
        )
    return Checkpoint(tensors, parse_json(state))


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    parts: list[str | NDArray[np.uint8]] = [state]
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        parts.append(f"{name} {tensor.dtype} {tuple(tensor.shape)} ")
        parts.append(tensor.reshape(-1).view(torch.uint8).numpy(force=True))
    return sha256_of(*parts)
