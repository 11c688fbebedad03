"""The study synchronization: its options, what is committed of it, and a short run of it."""

from __future__ import annotations

import json
import os

import pytest

from hxloop.errors import ConfigError, FileFormatError
from hxloop.experiments.registry import FOLDER, load_experiment
from hxloop.experiments.study_parts import study_options
from hxloop.experiments.synchronization.figure import write_figure
from hxloop.experiments.synchronization.study import StudyOptions, analyse_again, run
from hxloop.experiments.synchronization.tables import by_kind, markdown_tables
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory

KEPT = FOLDER / "synchronization"
SMALL = [
    "dataset.train_size=400", "dataset.validation_size=100", "dataset.test_size=100",
    "network.hidden=[30, 30, 30]", "network.n_inhibitory=8",
    "training.epochs=2", "training.batch_size=20",
    'activity.epochs=[0, "final"]', "activity.samples=60",
    "study.seeds=[1]", "study.substrate_samples=30", "study.ablation_samples=30",
    'study.substrates=["chip"]',
]  # fmt: skip
SHORT = [*SMALL, "study.eight=[]", "study.chip_epochs=0"]
WHOLE = [
    *SMALL, "study.eight=[20, 20, 20, 20]", "study.eight_inhibitory=5", "study.eight_seeds=[1]",
    "study.chip_epochs=1",
]  # fmt: skip
needs_mnist = pytest.mark.skipif(
    "HXLOOP_DATA_DIR" not in os.environ, reason="needs the MNIST files below HXLOOP_DATA_DIR"
)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"seeds": ()}, "seeds: expected a list without repeats"),
        ({"seeds": (1, 1)}, "seeds: expected a list without repeats"),
        ({"substrates": ("chip", "paper")}, r"substrates: known are chip, .*; got paper"),
        ({"seed": (1,)}, "unknown key .*'seed'.*Did you mean 'seeds'"),
    ],
)
def test_bad_options_are_refused(study, message):
    with pytest.raises(ConfigError, match=message):
        study_options(StudyOptions, ExperimentConfig(study=study))


def test_a_study_without_finished_trainings_is_not_analysed_anew(tmp_path):
    RunDirectory.create(tmp_path / "study").write_config(load_experiment("synchronization"))
    told: list[str] = []
    with pytest.raises(FileFormatError, match="expected a study with a finished training"):
        analyse_again(
            load_experiment("synchronization"), tmp_path / "study", tmp_path / "out",
            say=told.append,
        )  # fmt: skip
    assert "deep-1: not finished, left out" in told and not (tmp_path / "out").exists()


def test_committed_results_are_those_of_the_readme_and_of_the_configuration(tmp_path):
    kept = json.loads((KEPT / "results.json").read_text(encoding="utf-8"))
    readme = (KEPT / "README.md").read_text(encoding="utf-8")
    assert markdown_tables(kept).strip() in readme
    config = load_experiment("synchronization")
    options = study_options(StudyOptions, config)
    kinds = by_kind(kept["networks"])
    assert len(kinds["deep"]) == len(options.seeds) >= 3
    assert len(kinds["eight"]) == len(options.eight_seeds)
    assert kinds["deep"][0]["epochs"] == config.training.epochs
    assert kinds["chip"][0]["epochs"] == options.chip_epochs
    assert kept["finished"]
    write_figure(kept, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 50_000


@needs_mnist
@pytest.mark.parametrize(
    ("options", "networks"),
    [
        (SHORT, ["deep-1"]),
        pytest.param(WHOLE, ["deep-1", "eight-1", "chip"], marks=pytest.mark.slow),
    ],
    ids=["software", "everything"],
)
def test_a_short_version_runs_and_goes_on(tmp_path, options, networks):
    config = load_experiment("synchronization", options)
    told: list[str] = []
    first = run(config, tmp_path, say=told.append)
    assert list(first["networks"]) == networks
    for network in first["networks"].values():
        assert len(network["claims"]) == 6 and network["roles"]["untrained"] == "untrained"
        assert network["epochs"] <= 2
    assert first["substrates"]["overview"]["states"] == ["ideal", "chip"]
    assert [row["fraction"] for row in first["ablation"]["fractions"]]
    assert (tmp_path / "figure.png").is_file()
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == markdown_tables(first)
    # Asked again, it has nothing left to do; without one of its results, just that.
    told.clear()
    assert run(config, tmp_path, say=told.append) == first and not told
    less = {key: value for key, value in first.items() if key != "ablation"}
    (tmp_path / "results.json").write_text(json.dumps(less), encoding="utf-8")
    assert run(config, tmp_path, say=told.append) == first
    # With where it stands among the steps, as users see it.
    assert len(told) == 1 and told[0].endswith("deep-1: silencing what each class relies on")
