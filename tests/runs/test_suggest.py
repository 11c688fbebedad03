"""A configuration for somebody's data: it is valid, says why, and learns."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from hxloop.data import OwnData
from hxloop.runs import train
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.suggest import suggestion_for
from tests.data import heidelberg_files

CLASSES = 3


def write(folder: Path, kind: str) -> Path:
    """Data of three classes that a line can tell apart."""
    rng, n = np.random.default_rng(5), 150
    labels = np.arange(n) % CLASSES
    if kind == "spikes":
        return heidelberg_files.write(folder / "a.h5", 120, n_classes=CLASSES)
    width = {"few": 3, "many": 20, "images": 36, "series": 2}[kind]
    centres = np.random.default_rng(6).uniform(0.2, 0.8, (CLASSES, width))
    values = np.clip(centres[labels] + rng.normal(0, 0.03, (n, width)), 0, 1)
    if kind == "few":
        head = ",".join([*(f"f{i}" for i in range(width)), "class"])
        lines = [",".join([*map(str, v), "abc"[c]]) for v, c in zip(values, labels, strict=True)]
        (folder / "a.csv").write_text("\n".join([head, *lines]))
        return folder / "a.csv"
    if kind == "images":
        values = (values.reshape(n, 6, 6) * 255).astype(np.uint8)
    if kind == "series":
        steps = np.sin(np.linspace(0, 3, 12) * (1 + labels[:, None]))
        values = values[:, :, None] + steps[:, None, :]
    np.savez(folder / "a.npz", x=values, y=labels)
    return folder / "a.npz"


@pytest.mark.parametrize(
    ("kind", "encoding"),
    [
        ("few", "population"), ("many", "latency"), ("images", "latency"),
        ("series", "level-crossing"), ("spikes", "spike-trains"),
    ],
)  # fmt: skip
def test_every_kind_of_data_gets_a_configuration_that_learns(
    tmp_path: Path, kind: str, encoding: str
) -> None:
    found = suggestion_for(OwnData(path=write(tmp_path, kind)), "mine")
    assert found.values["encoding"]["name"] == encoding
    values = {**found.values, "activity": {"epochs": []}}
    values["training"] = {**values["training"], "epochs": 20}
    values["network"] = {**values["network"], "hidden": [30]}
    result = train(ExperimentConfig.from_mapping(values, kind))
    assert result.test.accuracy > 0.6  # 0.33 by chance


def test_what_is_written_is_what_was_suggested_and_says_why(tmp_path: Path) -> None:
    found = suggestion_for(OwnData(path=write(tmp_path, "few")), "mine")
    text = found.to_toml()
    assert tomllib.loads(text) == found.values
    said = text.replace("\n# ", " ")
    for part in (
        "108 train, 12 validation, 30 test samples; 3 features",
        "3 classes: a, b, c",
        "3 features: receptive fields",
        "scaled to [0, 1] by the training samples",
    ):
        assert part in said
