"""What the trainings of a study take along from its configuration, and what they do not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hxloop.errors import ConfigError, OutputError
from hxloop.experiments.registry import load_experiment, study_of
from hxloop.experiments.study_parts import on_backend, prepared_on
from hxloop.runs.folder import RunDirectory
from hxloop.runs.plan import prepare

CHIP = {"solver": "event", "chip": 3}
OWN = ['backend.name="emulated-chip"', 'backend.options={solver="event", chip=3}']


def test_a_calibration_goes_along_to_its_own_chip_and_to_no_other(tmp_path):
    # Regression: calibration, twin and recording of a study were carried to all its substrates.
    file = str(tmp_path / "chip3.h5")
    settings = [f'backend.calibration="{file}"', "backend.twin=true", 'backend.record="runs.h5"']
    config = load_experiment("yin-yang", [*OWN, *settings])
    same = on_backend(config, "emulated-chip", dict(CHIP)).backend
    assert (same.calibration, same.twin, same.record) == (file, True, config.backend.record)
    for name, options in (("ideal", {}), ("emulated-chip", {**CHIP, "chip": 4})):
        other = on_backend(config, name, options).backend
        assert (other.name, other.options) == (name, options)
        assert (other.calibration, other.twin, other.record) == (None, False, None)


def test_neither_does_what_was_read_of_it():
    sizes = ["dataset.train_size=20", "dataset.validation_size=10", "dataset.test_size=10"]
    prepared = prepare(load_experiment("yin-yang", [*OWN, *sizes]))
    calibration, twin = object(), {}
    calibrated = replace(prepared, calibration=calibration, twin=twin)  # type: ignore[arg-type]
    same = prepared_on(calibrated, "emulated-chip", dict(CHIP))
    assert same.calibration is calibration and same.twin is twin
    other = prepared_on(calibrated, "ideal", {})
    assert other.calibration is None and other.twin is None
    assert other.config.backend.name == other.backend.name == "ideal"
    assert other.data is prepared.data


@pytest.mark.parametrize("study", ["open-loop-vs-in-the-loop", "calibration-pays"])
@pytest.mark.parametrize("setting", ['calibration="chip3.h5"', 'record="runs.h5"'])
def test_a_study_that_can_use_no_calibration_says_so_before_it_trains(tmp_path, study, setting):
    config = load_experiment(study, [f"backend.{setting}"])
    run = study_of(config)
    assert run is not None
    with pytest.raises(ConfigError, match=f"backend.{setting[:6]}.* none in the study"):
        run(config, tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    "name", ["calibration-pays", "one-network-everywhere", "open-loop-vs-in-the-loop",
             "seed-paper", "synchronization"],
)  # fmt: skip
def test_two_at_once_in_one_folder_are_refused_in_python_too(tmp_path, name):
    config = load_experiment(name)
    study = study_of(config)
    assert study is not None
    with (
        RunDirectory.reserved(tmp_path / "out"),
        pytest.raises(OutputError, match=r"one can at a time|at this moment|only one"),
    ):
        study(config, tmp_path / "out")
