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

from hxloop.activity import LOG_NAME
from hxloop.config import ExperimentConfig
from hxloop.errors import FileFormatError, OutputError
from hxloop.files import sha256_of, write_atomically
from hxloop.network import NetworkSpec


class RunDirectory:
    """Paths and files of one run.

    ``config.toml`` (complete), ``metrics.jsonl``, ``checkpoints/``, ``weights.safetensors``,
    ``evaluation.json``, ``provenance.json``, ``activity.h5``, ``report.html``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def check(path: Path, *, force: bool = False) -> None:
        """Refuse a folder that ``create`` would refuse, and change nothing.

        Raises:
            OutputError: see ``create``.
        """
        try:
            if path.exists() and not path.is_dir():
                raise OutputError(f"{path}: expected a folder; there is a file of that name")
            if not path.is_dir() or not any(path.iterdir()):
                return
        except PermissionError as error:
            raise OutputError(f"{path}: cannot be read: {error.strerror}") from error
        is_run = (path / "config.toml").is_file()
        if not force:
            raise OutputError(
                f"{path}: the folder is not empty. Give another --out, or --force to replace the "
                "run in it" + (f", or continue it: hxloop resume {path}" if is_run else ".")
            )
        if not is_run:
            raise OutputError(
                f"{path}: holds files but no config.toml, so it is not a run folder; not even "
                "--force removes it. Give another --out."
            )

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
        cls.check(path, force=force)
        try:
            # What is in the folder, not the folder: it may be a link, or the current one.
            for old in path.iterdir() if path.is_dir() else ():
                if old.is_dir() and not old.is_symlink():
                    shutil.rmtree(old)
                else:
                    old.unlink()
            (path / "checkpoints").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """An existing run.

        Raises:
            FileFormatError: there is no run in that folder.
        """
        if not (path / "config.toml").is_file():
            raise FileFormatError(
                f"{path}: expected the folder of a run; there is no config.toml in it"
            )
        return cls(path)

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.path / "report.html"

    @property
    def activity(self) -> Path:
        """The activity log."""
        return self.path / LOG_NAME

    @property
    def started(self) -> bool:
        """Whether there is anything of a training to go on from."""
        metrics = self.path / "metrics.jsonl"
        folder = self.path / "checkpoints"
        return metrics.is_file() or (folder.is_dir() and any(folder.glob("*.safetensors")))

    def write_config(self, config: ExperimentConfig) -> None:
        """Write ``config.toml``."""
        write_atomically(self.path / "config.toml", config.to_toml().encode())

    def config(self) -> ExperimentConfig:
        """Read ``config.toml``."""
        return ExperimentConfig.load(self.path / "config.toml")

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a JSON file into the folder."""
        write_atomically(self.path / name, (json.dumps(content, indent=2) + "\n").encode())

    def write_text(self, name: str, content: str) -> None:
        """Write a text file into the folder."""
        write_atomically(self.path / name, content.encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the folder.

        Raises:
            FileFormatError: missing, truncated or corrupt.
        """
        path = self.path / name
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise FileFormatError(f"{path}: truncated or corrupt: {error}") from error
        if not isinstance(content, dict):
            raise FileFormatError(f"{path}: expected a JSON object; got {type(content).__name__}")
        return content

    def write_weights(
        self,
        weights: Sequence[NDArray[np.float64]],
        metadata: Mapping[str, str],
        dtype: type[np.floating[Any]] = np.float64,
    ) -> None:
        """Write ``weights.safetensors``: ``layer.0``, ``layer.1``, ..., ``(pre, post)`` each."""
        arrays = {f"layer.{i}": np.ascontiguousarray(w, dtype) for i, w in enumerate(weights)}
        # Of what is read back: all precisions are read as float64.
        digest = _digest([array.astype(np.float64) for array in arrays.values()])
        described = {**metadata, "digest": digest}
        write_atomically(self.path / "weights.safetensors", save(arrays, described))

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
            digest = (file.metadata() or {}).get("digest")
            names = sorted(file.keys(), key=lambda name: int(name.rpartition(".")[2]))
            arrays = tuple(np.asarray(file.get_tensor(name), dtype=np.float64) for name in names)
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        raise FileFormatError(
            f"weights {path}: truncated or corrupt ({error}). {_advice(path)}"
        ) from error
    if digest is not None and digest != _digest(arrays):
        raise FileFormatError(
            f"weights {path}: corrupt, its digest does not match its data. {_advice(path)}"
        )
    shapes = tuple(array.shape for array in arrays)
    if shapes != network.shapes:
        raise FileFormatError(
            f"weights {path}: expected shapes {network.shapes} for network {network}; got {shapes}"
        )
    return arrays


def _advice(path: Path) -> str:
    return f"Write it anew from the last checkpoint: hxloop resume {path.parent}"


def _digest(arrays: Sequence[NDArray[np.float64]]) -> str:
    return sha256_of(*(part for array in arrays for part in (f"{array.shape} ", array)))
