"""A run whose neurons are trained, too: from the configuration to what evaluates and logs it."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from hxloop.activity import ActivityLog
from hxloop.errors import CapacityError, ConfigError
from hxloop.experiments.registry import load_experiment
from hxloop.runs import evaluate_run, resume, train
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.report import training_report
from tests.runs.short_runs import TINY, stopped
from tests.runs.short_runs import no_provenance as no_provenance

SETTINGS = [
    *TINY[:-2], 'activity.epochs=[0, "final"]', 'training.train_neurons=["tau_mem"]',
    "training.neuron_rate=0.1",
]  # fmt: skip
CONFIG = load_experiment("yin-yang", SETTINGS)


@pytest.fixture(scope="module", autouse=True)
def without_reports():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("training_report", "write_report"):
            patch.setattr(training_report, name, lambda *arguments: None)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return folder, train(CONFIG, folder)


def test_the_configuration_is_written_as_it_is_read():
    text = CONFIG.to_toml()
    again = ExperimentConfig.from_mapping(tomllib.loads(text), "here")
    assert again == CONFIG and again.digest == CONFIG.digest
    assert again.training.train_neurons == ("tau_mem",)
    assert again.training_options().neuron_rate == 0.1
    assert load_experiment("yin-yang", TINY).digest != CONFIG.digest


def test_weights_file_log_and_evaluation_have_them(whole):
    folder, result = whole
    trained = result.training.parameters
    run = RunDirectory.open(folder)
    network = CONFIG.network_spec(4, 3)
    assert run.config() == CONFIG
    assert run.weights(network).digest == trained.digest
    own = {name: each["tau_mem"] for name, each in trained.neurons.items()}
    assert [*own] == ["hidden", "output"] and np.ptp(own["hidden"]) > 0
    with ActivityLog(run.activity) as log:
        assert log.parameters("trained").digest == trained.digest
        assert (log.parameters("untrained").neurons["hidden"]["tau_mem"] == 1).all()
    again = evaluate_run(folder).test
    assert (again.loss, again.accuracy) == (result.test.loss, result.test.accuracy)


def test_evaluated_on_what_takes_none_it_is_refused_by_name(whole):
    over = {"name": "emulated-chip", "solver": "event"}
    with pytest.raises(CapacityError, match=r"hidden/tau_mem.*\(feature neuron-parameters\)"):
        evaluate_run(whole[0], "partitioned", {"over": over})


def test_stopped_and_resumed_it_is_the_same(whole, tmp_path):
    folder = stopped(CONFIG, tmp_path / "run", epoch=2)
    result = resume(folder)
    assert result.training.parameters.digest == whole[1].training.parameters.digest


@pytest.mark.parametrize(
    ("name", "told"),
    [("tau", "got 'tau'"), ("hiden/tau_mem", "got 'hiden/tau_mem'"), ("v_reset", "got 'v_reset'")],
)
def test_a_wrong_name_is_refused_before_anything_runs(tmp_path, name, told):
    config = load_experiment("yin-yang", [*TINY, f'training.train_neurons=["{name}"]'])
    with pytest.raises(ConfigError, match=rf"training.train_neurons: expected .*{told}"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_substrate_with_neurons_of_its_own_is_refused_before_it_is_opened(tmp_path):
    parts = "backend={name='partitioned', options={over={name='emulated-chip', solver='event'}}}"
    settings = [*SETTINGS, parts]
    with pytest.raises(CapacityError, match=r"training.train_neurons: .*hidden/tau_mem"):
        train(load_experiment("yin-yang", settings), tmp_path / "run")
