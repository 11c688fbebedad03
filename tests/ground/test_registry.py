"""Another package's data sets and losses are found by entry point, and trained with by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

import hxloop.registry
from hxloop import dataset_names, get_loss, load_dataset, loss_names
from hxloop.cli import main
from hxloop.errors import ConfigError, MissingDependencyError, UnknownNameError
from hxloop.experiments.registry import load_experiment
from hxloop.runs import train

MODULE = "tests.ground.third_party"
POINTS = [
    EntryPoint("blobs", f"{MODULE}:blobs", "hxloop.datasets"),
    EntryPoint("nothing", f"{MODULE}:nothing", "hxloop.datasets"),
    EntryPoint("gone", f"{MODULE}:gone", "hxloop.datasets"),
    EntryPoint("race", f"{MODULE}:Race", "hxloop.losses"),
    EntryPoint("three", f"{MODULE}:NO_LOSS", "hxloop.losses"),
    EntryPoint("absent", "a_package_that_is_not_there:Loss", "hxloop.losses"),
    EntryPoint("target-time", f"{MODULE}:Race", "hxloop.losses"),
]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = hxloop.registry.entry_points
    monkeypatch.setattr(
        hxloop.registry,
        "entry_points",
        lambda group: [*real(group=group), *(p for p in POINTS if p.group == group)],
    )


def test_they_are_trained_with_by_name(tmp_path):
    config = load_experiment(
        "yin-yang",
        ["dataset.name=blobs", "dataset.train_size=100", "dataset.validation_size=50",
         "dataset.test_size=50", "loss.name=race", "loss.options={margin=0.1, soft=false}",
         "network.hidden=[20]", "training.epochs=3", "training.batch_size=25"],
    )  # fmt: skip
    result = train(config, tmp_path / "run")
    assert result.test.accuracy > 0.8  # a half by chance
    assert "blobs" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_they_are_listed_with_those_that_come_along(capsys):
    assert "race" in loss_names() and "time-to-first-spike" in loss_names()
    assert "blobs" in dataset_names() and "yin-yang" in dataset_names()
    with pytest.raises(SystemExit):
        main(["datasets"])
    assert f"of {MODULE}:blobs" in " ".join(capsys.readouterr().out.split())


def test_a_name_that_comes_along_stays_what_it_is():
    assert type(get_loss("target-time", t_correct=1.0, t_wrong=2.0)).__module__.startswith("hxloop")


def test_what_does_not_work_is_told_by_name():
    with pytest.raises(UnknownNameError, match=r"unknown loss 'rac'.*Did you mean 'race'"):
        get_loss("rac")
    with pytest.raises(UnknownNameError, match="option of loss 'race' 'margn'"):
        get_loss("race", margn=1)
    with pytest.raises(ConfigError, match="loss 'three': expected a dataclass"):
        get_loss("three")
    with pytest.raises(MissingDependencyError, match="loss 'absent' needs the package"):
        get_loss("absent")
    with pytest.raises(UnknownNameError, match="unknown data set 'blob'"):
        load_dataset("blob", "train")
    with pytest.raises(
        ConfigError, match=r"data set 'nothing': expected a hxloop.Dataset; .* None"
    ):
        load_dataset("nothing", "train")
    with pytest.raises(ConfigError, match=r"registers .*:gone, which is not there"):
        load_dataset("gone", "train")
