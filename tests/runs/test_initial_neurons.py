"""Parameters that neurons have each for itself from the start: drawn, not trained unless asked."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest

from hxloop.errors import CapacityError, ConfigError
from hxloop.experiments.registry import load_experiment
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.runs import evaluate_run, resume, train
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.plan import plan
from hxloop.runs.report import training_report
from hxloop.training.own_neurons import drawn_neurons
from tests.runs.short_runs import TINY, stopped
from tests.runs.short_runs import no_provenance as no_provenance

DRAWN = 'initialisation.neurons={tau_mem = [0.8, 1.3], "output/v_threshold" = [0.9, 1.1]}'
CONFIG = load_experiment("yin-yang", [*TINY, DRAWN])


@pytest.fixture(autouse=True)
def without_reports(monkeypatch):
    for name in ("training_report", "write_report"):
        monkeypatch.setattr(training_report, name, lambda *arguments: None)


def test_the_key_is_written_where_it_is_used_only():
    again = ExperimentConfig.from_mapping(tomllib.loads(CONFIG.to_toml()), "here")
    assert again == CONFIG and again.digest == CONFIG.digest
    plain = load_experiment("yin-yang", TINY)
    assert "neurons" not in plain.to_toml() and plain.digest != CONFIG.digest


def test_they_are_kept_through_a_training_and_its_resumption(tmp_path):
    drawn = plan(CONFIG).neurons
    assert list(drawn) == ["hidden", "output"] and list(drawn["output"]) == [
        "tau_mem", "v_threshold",
    ]  # fmt: skip
    assert np.ptp(drawn["hidden"]["tau_mem"]) > 0.1
    assert ((drawn["hidden"]["tau_mem"] > 0.8) & (drawn["hidden"]["tau_mem"] < 1.3)).all()
    whole = train(CONFIG, tmp_path / "whole").training.parameters
    for population, own in drawn.items():
        for name, values in own.items():
            np.testing.assert_array_equal(whole.neurons[population][name], values)
    network = CONFIG.network_spec(4, 3)
    assert RunDirectory.open(tmp_path / "whole").weights(network).digest == whole.digest
    result = resume(stopped(CONFIG, tmp_path / "run", epoch=2))
    assert result.training.parameters.digest == whole.digest
    assert evaluate_run(tmp_path / "run").test.accuracy == result.test.accuracy


def test_a_backend_that_takes_none_refuses_them_before_anything_is_read():
    parts = "backend={name='partitioned', options={over={name='emulated-chip', solver='event'}}}"
    settings = [parts, "initialisation.neurons={tau_mem=[0.9, 1.1]}"]
    chip = load_experiment("yin-yang-in-the-loop", settings)
    with pytest.raises(CapacityError, match=r"initialisation.neurons.*tau_mem of hidden"):
        plan(chip)


def test_they_are_not_drawn_over_those_of_another_run():
    both = ["initialisation.method=from-run", "initialisation.run=/nowhere"]
    with pytest.raises(ConfigError, match=r"'from-run' begins with the neurons of that run"):
        plan(load_experiment("yin-yang", [*TINY, DRAWN, *both]))


def test_each_draw_has_a_stream_of_its_own():
    network = NetworkSpec.feed_forward(3, 5, 2, neuron=NeuronSpec(t_refractory=0.5))
    one = drawn_neurons(network, {"hidden/tau_mem": (0.8, 1.2)}, 3)
    more = drawn_neurons(network, {"v_reset": (-0.5, 0.0), "tau_mem": (0.8, 1.2)}, 3)
    np.testing.assert_array_equal(one["hidden"]["tau_mem"], more["hidden"]["tau_mem"])
    assert (one["hidden"]["tau_mem"] != drawn_neurons(
        network, {"hidden/tau_mem": (0.8, 1.2)}, 4)["hidden"]["tau_mem"]).all()  # fmt: skip
    # That of one population counts, in whatever order they stand.
    for spans in ({"tau_syn": (2.0, 2.0), "output/tau_syn": (3.0, 3.0)},
                  {"output/tau_syn": (3.0, 3.0), "tau_syn": (2.0, 2.0)}):  # fmt: skip
        found = drawn_neurons(network, spans, 0)
        assert set(found["hidden"]["tau_syn"]) == {2.0} and set(found["output"]["tau_syn"]) == {3.0}


WRONG = [
    ({"tau": (1.0, 1.0)}, "got 'tau'"),
    ({"v_reset": (0.0, 0.1)}, "got 'v_reset'"),
    ({"tau_mem": (1.2, 0.8)}, r"expected \[lowest, highest\]; got \[1.2, 0.8\]"),
    ({"tau_mem": (-1.0, 0.0)}, "expected positive time constants"),
    ({"v_threshold": (-1.0, 0.0)}, "expected v_leak below v_threshold"),
    ({"tau_mem": (1.0, float("nan"))}, r"tau_mem\[1\]"),
]


@pytest.mark.parametrize(("spans", "message"), WRONG)
def test_spans_that_make_no_sense_are_refused(spans, message):
    with pytest.raises(ConfigError, match=message):
        drawn_neurons(NetworkSpec.feed_forward(3, 5, 2), spans, 0)
