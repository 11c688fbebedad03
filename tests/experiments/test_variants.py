"""Studies of variants: what each of them is, what is trained, what is told."""

from __future__ import annotations

import json

import pytest

from hxloop.errors import CapacityError, ConfigError, MissingDependencyError, UnknownNameError
from hxloop.experiments import variants
from hxloop.experiments.registry import FOLDER, load_experiment
from hxloop.experiments.variants import VariantsOptions, markdown_table, variant
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.evaluate import evaluate_run

BASE = {
    "name": "small",
    "dataset": {"train_size": 40, "validation_size": 20, "test_size": 20},
    "network": {"hidden": [6], "t_window": 4.0},
    "backend": {"name": "emulated-chip", "options": {"chip": 7, "solver": "event"}},
    "loss": {"options": {"xi": 0.05}},
    "training": {"epochs": 1, "batch_size": 20},
    "initialisation": {"method": "balanced"},
    "activity": {"epochs": []},
    "study": {
        "seeds": [1, 2],
        "chip_of_seed": True,
        "variants": {
            "plain": {},
            "software / 8": {
                "backend": {"name": "ideal"},
                "network": {"hidden": [8], "delays": "axonal"},
            },
        },
    },
}


def config_of(**study):
    return ExperimentConfig.from_mapping({**BASE, "study": {**BASE["study"], **study}}, "here")


def test_a_variant_is_the_configuration_but_for_what_it_changes():
    config = config_of()
    plain, software = (variant(config, name, 2) for name in BASE["study"]["variants"])
    assert plain.seed == software.seed == 2 and not plain.study
    assert plain.backend.options == {"chip": 2, "solver": "event"}
    # What was set for the chip means nothing in software; what was set beside it stays.
    assert software.backend.name == "ideal" and software.backend.options == {}
    assert software.network.hidden == (8,) and software.network.t_window == 4.0
    assert software.loss.options == {"xi": 0.05}
    assert variant(config_of(chip_of_seed=False), "plain", 2).backend.options["chip"] == 7


def test_what_a_variant_changes_must_be_there():
    config = config_of(variants={"odd": {"netwrok": {"hidden": [3]}}})
    with pytest.raises(ConfigError, match=r"study.variants.'odd'(.|\n)*netwrok"):
        variant(config, "odd", 1)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        ({"variants": {}}, "expected a table for each variant"),
        ({"variants": {"a": 3}}, "expected a table for each variant"),
        ({"seeds": [1, 1]}, "study.seeds: expected a list without repeats"),
        ({"also_on": ["ideal", "ideal"]}, "study.also_on: expected a list without repeats"),
        ({"speed": 3}, "unknown key in .study. 'speed'"),
    ],
)
def test_bad_options_are_refused(study, message):
    with pytest.raises(ConfigError, match=message):
        VariantsOptions.of(config_of(**study))


def test_all_variants_are_trained_and_evaluated_once_and_told(tmp_path, monkeypatch):
    config, out, said = config_of(also_on=["ideal"]), tmp_path / "study", []

    def not_installed(*_):
        raise MissingDependencyError("backend ideal: not here")

    with monkeypatch.context() as patched:
        patched.setattr(variants, "evaluate_prepared", not_installed)
        results = variants.run(config, out, say=said.append)
    rows = results["trainings"]
    assert [(row["variant"], row["seed"]) for row in rows] == [
        (name, seed) for name in BASE["study"]["variants"] for seed in (1, 2)
    ]
    assert rows[0]["chip"] != rows[1]["chip"] and rows[2]["chip"] is None
    assert [row["parameters"] for row in rows[1:3]] == [5 * 6 + 6 * 3, 5 * 8 + 8 * 3 + 5 + 8]
    assert (out / "figure.png").stat().st_size > 5000
    assert sum("test " in line for line in said) == 4
    assert said.count("  not run: backend ideal: not here") == 2 and rows[0]["also_on"] == {}
    # A study that is taken up again does what is missing, and nothing else.
    kept = json.loads((out / "results.json").read_text())
    assert kept == results
    kept["trainings"].pop()
    (out / "results.json").write_text(json.dumps(kept))
    said.clear()
    again = variants.run(config, out, say=said.append)
    assert sum("test " in line for line in said) == 3
    assert [row["test_accuracy"] for row in again["trainings"]] == [
        row["test_accuracy"] for row in rows
    ]
    # Elsewhere it is the trained weights that are evaluated, and only of what was trained here.
    moved = [row.get("also_on") for row in again["trainings"]]
    assert moved[2:] == [None, None] and "plain, seed 2: as it is on ideal" in said
    there = evaluate_run(out / again["trainings"][1]["run_dir"], "ideal").test
    assert moved[1]["ideal"]["test_accuracy"] == there.accuracy
    assert moved[1]["ideal"]["spikes_per_neuron"] == [round(n, 4) for n in there.spikes_per_neuron]


@pytest.mark.parametrize(
    ("place", "error"), [("nowhere", UnknownNameError), ("emulated-chip", CapacityError)]
)
def test_where_a_network_cannot_run_is_told_before_anything_is_trained(tmp_path, place, error):
    with pytest.raises(error, match=place):
        variants.run(config_of(also_on=[place]), tmp_path / "study")
    assert not (tmp_path / "study").exists()


def test_the_table_has_a_line_for_each_variant():
    def row(name, seed, accuracy):
        return {"variant": name, "seed": seed, "test_accuracy": accuracy, "parameters": 48,
                "spikes_per_neuron": [1.5, 0.5]}  # fmt: skip

    rows = [row("a", 1, 0.9), row("a", 2, 0.8), row("b", 2, 0.5)]
    table = markdown_table({"trainings": rows})
    # The standard deviation of two is their distance over the root of two.
    assert "| a | 48 | 90.0 | 80.0 | **85.0** ± 7.1 | 1.50, 0.50 |" in table
    assert "| b | 48 |  | 50.0 | **50.0** | 1.50, 0.50 |" in table
    rows[2]["also_on"] = {"ideal": {"test_accuracy": 0.6}}
    table = markdown_table({"trainings": rows})
    assert "| seed 2 | mean | on ideal | spikes a neuron |" in table
    assert "| **85.0** ± 7.1 |  | 1.50, 0.50 |" in table
    assert "| **50.0** | **60.0** | 1.50, 0.50 |" in table


KEPT = sorted(
    path.parent for path in FOLDER.glob("*/results.json")
    if load_experiment(path.parent.name.replace("_", "-")).study.get("variants")
)  # fmt: skip


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_committed_results_are_those_of_the_readme_and_of_the_configuration(folder):
    config = load_experiment(folder.name.replace("_", "-"))
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    options = VariantsOptions.of(config)
    assert results["epochs"] == config.training.epochs and results["finished"]
    asked = {(name, seed) for name in options.variants for seed in options.seeds}
    assert {(row["variant"], row["seed"]) for row in results["trainings"]} == asked
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert markdown_table(results) in readme and "figure.png" in readme
    assert (folder / "figure.png").stat().st_size > 5000
