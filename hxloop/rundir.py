"""The folder of a run: what is in it, and never overwriting somebody else's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hxloop.checkpoint import write_atomically
from hxloop.config import ExperimentConfig
from hxloop.errors import FileFormatError, OutputError
from hxloop.network import NetworkSpec


class RunDirectory:
    """Paths and files of one run.

    ``config.toml`` (complete), ``metrics.jsonl``, ``checkpoints/``, ``weights.safetensors``,
    ``evaluation.json``, ``provenance.json``, ``report.html``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path, *, force: bool = False) -> RunDirectory:
        """Make an empty run folder.

        Args:
            path: where.
            force: remove a run that is there already. Only a folder that holds a
                ``config.toml`` is ever removed.

        Raises:
            OutputError: the folder is not empty, or cannot be made.
        """
        try:
            if path.exists() and not path.is_dir():
                raise OutputError(f"{path}: expected a folder; there is a file of that name")
            if path.is_dir() and any(path.iterdir()):
                if not force:
                    raise OutputError(
                        f"{path}: the folder is not empty. Give another --out, or --force to "
                        "replace the run in it."
                    )
                if not (path / "config.toml").is_file():
                    raise OutputError(
                        f"{path}: holds files but no config.toml, so it is not a run folder; "
                        "not even --force removes it. Give another --out."
                    )
                shutil.rmtree(path)
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror}") from error
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run.

        Raises:
            FileFormatError: there is no run in that folder.
        """
        if not (path / "config.toml").is_file():
            raise FileFormatError(f"{path}: not a run folder (no config.toml in it)")
        return cls(path)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    def write_config(self, config: ExperimentConfig) -> None:
        """Write ``config.toml``."""
        write_atomically(self.path / "config.toml", config.to_toml().encode())

    def config(self) -> ExperimentConfig:
        """Read ``config.toml``."""
        return ExperimentConfig.load(self.path / "config.toml")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder."""
        write_atomically(self.path / name, (json.dumps(content, indent=2) + "\n").encode())

    def write_weights(
        self, weights: Sequence[NDArray[np.float64]], metadata: Mapping[str, str]
    ) -> None:
        """Write ``weights.safetensors``: ``layer.0``, ``layer.1``, ..., ``(pre, post)`` each."""
        arrays = {f"layer.{i}": np.ascontiguousarray(w) for i, w in enumerate(weights)}
        write_atomically(self.path / "weights.safetensors", save(arrays, dict(metadata)))

    def weights(self, network: NetworkSpec) -> tuple[NDArray[np.float64], ...]:
        """Read the weights of a network.

        Raises:
            FileFormatError: missing, truncated, corrupt, or of another network.
        """
        return load_weights(self.path / "weights.safetensors", network)


def load_weights(path: Path, network: NetworkSpec) -> tuple[NDArray[np.float64], ...]:
    """Read a weights file.

    Raises:
        FileFormatError: missing, truncated, corrupt, or of another network.
    """
    if not path.is_file():
        raise FileFormatError(
            f"weights {path}: no such file. Was the training finished? If it was interrupted: "
            f"hxloop resume {path.parent}"
        )
    try:
        with safe_open(path, framework="numpy") as file:
            names = sorted(file.keys(), key=lambda name: int(name.rpartition(".")[2]))
            arrays = tuple(np.asarray(file.get_tensor(name), dtype=np.float64) for name in names)
    except (SafetensorError, OSError, ValueError) as error:
        raise FileFormatError(f"weights {path}: truncated or corrupt ({error})") from error
    shapes = tuple(array.shape for array in arrays)
    if shapes != network.shapes:
        raise FileFormatError(
            f"weights {path}: expected shapes {network.shapes} for network {network}; got {shapes}"
        )
    return arrays
