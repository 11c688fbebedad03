"""The study calibration-pays: its options, its table, and what is committed of it."""

from __future__ import annotations

import json

import pytest

from hxloop.calibration.workflow import RATIO_BOUNDS
from hxloop.errors import ConfigError
from hxloop.experiments.calibration_pays.figure import write_figure
from hxloop.experiments.calibration_pays.study import StudyOptions, run
from hxloop.experiments.calibration_pays.tables import (
    NETWORKS,
    STATES,
    left_table,
    network_table,
    ratio_table,
    tables,
)
from hxloop.experiments.registry import FOLDER, load_experiment
from hxloop.experiments.study_parts import study_options
from hxloop.runs.config import ExperimentConfig

KEPT = FOLDER / "calibration_pays"


def results(chips=(1, 2)):
    """Made-up results: of chip c, accuracies 0.9 + c/100."""
    networks = list(NETWORKS)

    def tested(chip):
        return {"accuracy": 0.9 + chip / 100, "spike_error": 0.01 * chip}

    rows = [
        {
            "chip": chip,
            "calibration": {
                "ratios": dict.fromkeys(RATIO_BOUNDS, 0.01 * chip),
                "strength_spread": 0.002,
                "failed": [7] * chip,
                "drawn_dead": [],
                "passed_bad": [],
                "left": {"tau_mem": 0.002 * chip, "strength_exc": 0.003},
            },
            "networks": {
                network: {
                    "epochs_to_90": chip if chip == 1 else None,
                    "states": {
                        state: tested(chip)
                        for state in STATES
                        if network == "transfer"
                        or ("uncalibrated" in network) == state.endswith("uncalibrated")
                    },
                }
                for network in networks
            },
        }
        for chip in chips
    ]
    return {"software": {"test_accuracy": 0.98}, "study": {"networks": networks}, "chips": rows}


def test_the_tables_have_means_ranges_and_epochs():
    table = tables(results())
    assert "In software: 98.0 %" in table
    line = "| in the loop, calibrated | calibrated | 91.5 | 91.0 to 92.0 | 1, never | 0.015 |"
    assert line in table
    assert (
        "| transferred | after drift, old calibration | 91.5 | 91.0 to 92.0 |  | 0.015 |" in table
    )
    assert "\n| 2 |" + " 0.020 |" * len(RATIO_BOUNDS) + " 0.20 | 2 | 0 | 0 |\n" in table
    assert "\n| tau_mem | 0.0030 | 0.0630 |\n| strength_exc | 0.0030 | 0.0500 |\n" in table
    assert tables({**results(), "chips": []}) == ""


def test_the_figure_is_drawn(tmp_path):
    write_figure(results(), tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("study", "error", "message"),
    [
        ({"chips": ()}, ConfigError, "chips: expected a list without repeats"),
        ({"chips": (1, 1)}, ConfigError, "chips: expected a list without repeats"),
        ({"hours": 0.0}, ConfigError, "hours: expected a positive finite number"),
        ({"networks": ("transfers",)}, ConfigError, r"'transfers'; known: .*'transfer'"),
        ({"hour": 1.0}, ConfigError, "unknown key .*'hour'"),
    ],
)
def test_bad_options_are_refused(study, error, message):
    config = ExperimentConfig(study=study)
    with pytest.raises(error, match=message):
        study_options(StudyOptions, config)


def test_committed_results_are_those_of_the_readme_and_of_the_configuration():
    kept = json.loads((KEPT / "results.json").read_text(encoding="utf-8"))
    readme = (KEPT / "README.md").read_text(encoding="utf-8")
    config = load_experiment("calibration-pays")
    assert kept["epochs"] == config.training.epochs and kept["seed"] == config.seed
    for table in (network_table, ratio_table, left_table):
        assert table(kept).strip() in readme
    options = study_options(StudyOptions, config)
    assert kept["finished"] and [row["chip"] for row in kept["chips"]] == list(options.chips)
    assert all(set(row["networks"]) == set(options.networks) for row in kept["chips"])
    for row in kept["chips"]:
        for name, bound in RATIO_BOUNDS.items():
            assert row["calibration"]["ratios"][name] <= (bound or 0.3) / 2
        assert row["calibration"]["strength_spread"] <= 0.05
        assert not row["calibration"]["passed_bad"]
    loop = [row["networks"]["loop_calibrated"]["states"] for row in kept["chips"]]
    assert min(states["calibrated"]["accuracy"] for states in loop) >= 0.96
    assert (KEPT / "figure.png").is_file() and "figure.png" in readme


@pytest.mark.slow
def test_a_short_version_runs_and_goes_on(tmp_path):
    small = [
        "dataset.train_size=300", "dataset.validation_size=100", "dataset.test_size=100",
        "training.epochs=2", "training.batch_size=50", "network.hidden=[20]", "study.chips=[1]",
    ]  # fmt: skip
    config = load_experiment("calibration-pays", small)
    first = run(config, tmp_path / "study")
    (row,) = first["chips"]
    states = row["networks"]["transfer"]["states"]
    assert states["calibrated"]["spike_error"] < 0.5 * states["uncalibrated"]["spike_error"]
    assert states["drifted_new"]["spike_error"] < states["drifted_old"]["spike_error"]
    assert run(config, tmp_path / "study") == first
