"""A training of a network with loops, recorded: its log holds all spikes, and can be analysed."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest

from hxloop.activity import RecordedActivity, read_activity, write_plain
from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.all_spikes import when_decided
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.report.raster import raster_data
from hxloop.errors import RunInputError
from hxloop.runs.evaluate import evaluate_run
from hxloop.runs.run import train
from tests.runs.test_config_network import LOOP, config_of

QUICK = AnalysisOptions(n_resamples=50, n_permutations=99, n_null=20)
COUNTS = LOOP.replace("readout = true", "").replace("max-membrane", "spike-count")


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The folder of a training that decides by counting spikes."""
    folder = tmp_path_factory.mktemp("counted") / "run"
    text = COUNTS + "\n[activity]\nsamples = 10\nepochs = [0, 1]\n"
    train(config_of(text), folder)
    return folder


def test_all_spikes_and_delays_of_a_training_are_recorded(counted):
    states = read_activity(counted)
    assert list(states) == ["untrained", "epoch-001"]
    for state in states.values():
        assert len(state) == 10 and state.decision_reads == "spikes"
        assert state.spikes[0].batch == 10 and not state.spikes[0].once
        assert [None if d is None else d.shape for d in state.delays] == [(5, 6), (6,), None]
        # Decided for is the neuron with the most spikes, as is told.
        counts = state.spikes[state.output_index].count
        decided = state.decisions >= 0
        most = counts.max(axis=1)
        assert (counts[np.arange(10), state.decisions] == most)[decided].all()
        assert (most[~decided] == 0).all()
    weights = [state.weights[0] for state in states.values()]
    assert not np.array_equal(*weights)


def test_the_first_samples_of_an_evaluation_are_those_of_all(counted, tmp_path):
    result = evaluate_run(counted, activity=tmp_path / "log.h5")
    state = read_activity(tmp_path / "log.h5")["trained"]
    assert np.array_equal(state.decisions, result.test.decisions)
    n = [spikes.n_spikes / (len(state) * spikes.n_units) for spikes in state.spikes]
    assert n == pytest.approx(result.test.spikes_per_neuron, rel=1e-12)


def test_what_counts_spikes_decides_at_the_end_of_the_window(counted, tmp_path):
    states = read_activity(counted)
    state = states["epoch-001"]
    window = state.network.t_window
    assert (when_decided(state) == np.where(state.decisions >= 0, window, np.inf)).all()
    result = analyse(list(states.values()), options=QUICK)
    described = result["states"]["epoch-001"]
    assert described["decision_reads"] == "spikes"
    assert described["decision_time"] == (window if (state.decisions >= 0).any() else None)
    spread = result["synchrony"]["epoch-001"]["layers"][1]
    if (state.decisions >= 0).all():
        assert spread["causal"] == spread["all"]
    data = raster_data([state], colours={"epoch-001": "#000000"}, layout={})
    assert data["states"][0]["decided"] == window
    json.dumps(result, allow_nan=False)
    write_plain(tmp_path / "a.npz", states.values())
    assert read_activity(tmp_path / "a.npz")["epoch-001"].decision_reads == "spikes"


def test_a_read_out_is_recorded_and_analysed(tmp_path):
    text = LOOP + '\n[activity]\nepochs = ["final"]\n'
    train(config_of(text), tmp_path / "run")
    state = read_activity(tmp_path / "run")["trained"]
    assert state.decision_reads == "membrane"
    assert state.spikes[1].n_spikes == 0 and state.n_outputs == 3
    result = analyse([state], options=QUICK)
    assert result["pathways"]["trained"]["reason"]
    assert result["synchrony"]["trained"]["layers"][2]["all"]["n_spikes"] == 0
    with h5py.File(tmp_path / "run" / "activity.h5") as file:
        assert json.loads(file.attrs["about"])["decision_reads"] == "membrane"


def test_pathways_start_at_a_spike_that_decided():
    rng = np.random.default_rng(0)
    times = rng.uniform(0, 2, (30, 4)), rng.uniform(2, 3, (30, 3))
    state = RecordedActivity(
        "trained", times[0], (times[1],), np.arange(30) % 3, np.arange(30) % 3, (np.ones((4, 3)),)
    )
    counted = replace(state, decision_reads="spikes")
    result = analyse([counted], options=QUICK)
    assert "no single spike did" in result["pathways"]["trained"]["reason"]
    assert (when_decided(counted) == times[1].max()).all()
    with pytest.raises(RunInputError, match="decision_reads: expected one of 'first', 'spikes'"):
        replace(state, decision_reads="luck")
