"""The study any-chip, and MNIST in parts: short, and what their READMEs say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hxloop.errors import ConfigError
from hxloop.experiments.any_chip.study import StudyOptions, markdown_table, run
from hxloop.experiments.registry import FOLDER, load_experiment
from hxloop.network import NetworkSpec
from hxloop.runs import Run
from hxloop.substrate import get_backend

SHORT = [
    "dataset.train_size=60", "dataset.validation_size=30", "dataset.test_size=30",
    "training.epochs=1", "training.batch_size=30", "network.hidden=[10]",
    'study.presets=["calibrated"]', "study.ensembles=[2, 0]", "study.test_chips=[1, 2]",
]  # fmt: skip


def test_a_short_study_tests_every_network_on_every_chip_and_goes_on(tmp_path: Path) -> None:
    config = load_experiment("any-chip", SHORT)
    results = run(config, tmp_path / "study")
    assert [row["ensemble"] for row in results["rows"]] == [None, 2, 0]
    assert all(len(row["test_accuracies"]) == 2 for row in results["rows"])
    again: list[str] = []
    assert run(config, tmp_path / "study", say=again.append) == results
    assert not any("epoch" in text for text in again)
    assert (tmp_path / "study" / "figure.png").is_file()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("study.test_chips=[1, 105]", "chips that no training sees; got 105"),
        ("study.ensembles=[]", "ensembles: expected a list"),
        ("study.ensembles=[-1]", "study.ensembles"),
        ("study.chips=[1]", r"\[study\] 'chips'"),
    ],
)
def test_what_makes_no_sense_is_refused(setting: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        StudyOptions.of(load_experiment("any-chip", [setting]))


def read(name: str) -> tuple[Any, str]:
    folder = FOLDER / name
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return results, (folder / "README.md").read_text(encoding="utf-8")


def test_committed_results_are_those_of_the_readme() -> None:
    results, readme = read("any_chip")
    config = load_experiment("any-chip")
    assert results["epochs"] == config.training.epochs
    assert results["study"] == json.loads(json.dumps(vars(StudyOptions.of(config))))
    for line in markdown_table(results).splitlines():
        assert line in readme
    means = {
        (row["preset"], row["ensemble"]): 10 * sum(row["test_accuracies"])
        for row in results["rows"]
    }
    for preset in results["study"]["presets"]:
        assert f"{means[preset, 0] - means[preset, None]:.1f}" in readme


def test_mnist_in_parts_is_what_its_readme_says() -> None:
    results, readme = read("mnist_on_one_chip")
    config = load_experiment("mnist-on-one-chip")
    assert results["epochs"] == config.training.epochs
    assert (
        f"| {results['seed']} | {100 * results['test_accuracy']:.2f} | "
        f"{100 * results['validation_accuracy']:.1f} | {results['epoch']} of" in readme
    )
    for key in ("software", "from_clipped_weights"):
        assert f"{100 * results[key]['test_accuracy']:.2f} %" in readme
    start = Run.open(config.initialisation.run or "")
    assert start.evaluation is not None
    assert start.evaluation["test_accuracy"] == results["software"]["test_accuracy"]
    limit = start.config.training.weight_limit
    assert limit is not None and all(
        abs(each).max() <= limit + 1e-3 for each in start.parameters.weights
    )
    backend: Any = get_backend(config.backend.name, **config.backend.options)
    plan = backend.plan(NetworkSpec.feed_forward(784, 350, 10))
    assert len(plan.parts) == 6 and "in five runs of 73" in readme
    assert f"{plan.seconds_on_chip(50_000, slot_us=180):.0f} s for the 50,000" in readme
