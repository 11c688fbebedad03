"""A run folder holds the delays of its network wherever it holds weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hxloop.activity import ActivityLog
from hxloop.errors import ConfigError
from hxloop.experiments.registry import load_experiment
from hxloop.network import Parameters, Projection
from hxloop.runs import evaluate_prepared, prepare, resume_prepared, train_prepared
from hxloop.runs.folder import RunDirectory
from tests.runs.short_runs import TINY
from tests.runs.short_runs import no_provenance as no_provenance
from tests.runs.short_runs import no_reports as no_reports

CHAIN = (Projection("input", "hidden"), Projection("hidden", "output", delays="axonal"))


@pytest.fixture
def prepared():
    settings = [*TINY[:-2], 'activity.epochs=[0, "final"]', "training.learning_rate=0.05"]
    made = prepare(load_experiment("yin-yang", settings))
    network = replace(made.network, projections=CHAIN)
    weights = Parameters(tuple(made.weights), (None, np.linspace(0.1, 0.4, 4)))
    return replace(made, network=network, weights=weights)


@pytest.mark.usefixtures("no_reports")
def test_delays_are_in_result_weights_file_checkpoint_and_log(tmp_path, prepared):
    result = train_prepared(prepared, tmp_path / "run")
    trained = result.training.parameters
    assert not np.array_equal(trained.delays[1], prepared.weights.delays[1])
    run = RunDirectory.open(tmp_path / "run")
    weights = run.weights(prepared.network)
    assert weights.digest == trained.digest
    evaluated = evaluate_prepared(prepared, weights).test
    assert (evaluated.loss, evaluated.accuracy) == (result.test.loss, result.test.accuracy)
    with ActivityLog(run.activity) as log:
        assert log.parameters("untrained").digest == prepared.weights.digest
        assert log.parameters("trained").digest == trained.digest
    again = resume_prepared(prepared, tmp_path / "run")
    assert again.training.parameters.digest == trained.digest
    assert again.test.loss == result.test.loss


@pytest.mark.usefixtures("no_reports")
def test_a_training_is_not_begun_again_with_other_initial_delays(tmp_path, prepared):
    def fail(trainer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_prepared(prepared, tmp_path / "run", on_trainer=fail)
    given = prepared.weights
    other = replace(prepared, weights=Parameters(given.weights, (None, given.delays[1] + 0.1)))
    with pytest.raises(ConfigError, match="other initial weights"):
        resume_prepared(other, tmp_path / "run")
    resume_prepared(prepared, tmp_path / "run")
