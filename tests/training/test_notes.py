"""What is odd is told once, with numbers, and kept where results are."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import (
    HxloopWarning,
    LoopNetwork,
    NetworkSpec,
    NeuronSpec,
    RunInfo,
    SpikeData,
    Trainer,
    TrainingOptions,
    evaluate,
    get_backend,
    get_loss,
)
from hxloop.cli.entry import main
from hxloop.experiments.registry import load_experiment
from hxloop.training.evaluation import highest_of_equals
from hxloop.training.notes import Note, input_notes, tell, weight_notes

SPEC = NetworkSpec.feed_forward(4, 6, 2, t_window=4.0)
LOSS = get_loss("time-to-first-spike")


def keys(notes):
    return {note.key for note in notes}


def the(notes, key):
    (found,) = [note for note in notes if note.key == key]
    return found


def times(n=40, seed=0):
    return np.random.default_rng(seed).uniform(0.15, 2.0, (n, SPEC.n_inputs))


# --- inputs -------------------------------------------------------------------------------


def test_times_in_milliseconds_are_noted_with_the_share_that_never_counts():
    late = 10 * times()
    note = the(input_notes(late, SPEC), "inputs-after-window")
    assert note.values["spikes"] == int((late >= 4).sum()) and note.values["of"] == late.size
    assert f"{note.values['spikes']} of {late.size} input spikes" in note.text
    assert "milliseconds" in note.text
    assert "milliseconds" not in the(input_notes(times() + 2.5, SPEC), "inputs-after-window").text


def test_times_in_seconds_are_noted_as_one_moment():
    note = the(input_notes(6e-6 * times(), SPEC), "inputs-at-once")
    assert note.values["samples"] == 40 and note.values["largest_span"] < 6e-6 * 2
    assert "seconds" in note.text


def test_usual_inputs_are_not_noted():
    for good in (times(), np.where(times() < 0.5, np.inf, times())):
        assert input_notes(good, SPEC) == ()


def test_inputs_that_are_all_alike_or_missing_are_noted():
    assert keys(input_notes(np.tile(times(1), (40, 1)), SPEC)) == {"inputs-alike"}
    none = np.full((10, 4), np.inf)
    assert the(input_notes(none, SPEC), "samples-without-input").values["samples"] == 10
    assert input_notes(times(1), SPEC) == ()


@given(st.floats(0.2, 5), st.floats(0.05, 20), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_notes_of_inputs_count_in_units_of_the_synaptic_time_constant(tau, scale, seed):
    spec = NetworkSpec.feed_forward(4, 2, neuron=NeuronSpec(tau_syn=tau), t_window=4 * tau)
    given_times = tau * scale * times(seed=seed)
    after = int((given_times >= 4 * tau).sum())
    notes = input_notes(given_times, spec)
    assert ("inputs-after-window" in keys(notes)) == (after > 0)
    if after:
        assert the(notes, "inputs-after-window").values["spikes"] == after
    assert "inputs-at-once" in keys(input_notes(1e-5 * given_times / scale, spec))


# --- weights ------------------------------------------------------------------------------


def test_clipped_and_vanished_weights_are_noted_layer_by_layer():
    info = RunInfo("some-chip", clipped_weights=(5, 1), zeroed_weights=(0, 6))
    clipped, zeroed = weight_notes(info, SPEC, 0.8)
    assert "6 of 36 weights (17 %)" in clipped.text and "layer 1: 5 of 24" in clipped.text
    assert "some-chip" in clipped.text and "0.8" in clipped.text
    assert zeroed.key == "weights-rounded-to-zero" and "layer 2: 6 of 12" in zeroed.text
    assert weight_notes(RunInfo("x", clipped_weights=(0, 0)), SPEC) == ()


# --- spikes -------------------------------------------------------------------------------


@given(st.integers(0, 10_000), st.sampled_from(["time-to-first-spike", "target-time"]))
@settings(max_examples=50, deadline=None)
def test_ties_are_the_decisions_that_another_order_of_outputs_would_change(seed, name):
    loss = get_loss(name)
    rng = np.random.default_rng(seed)
    output = rng.choice([0.5, 1.0, 1.25, np.inf], (20, 3))
    score = output if name == "time-to-first-spike" else np.abs(output - 1.0)
    best = score.min(axis=1, keepdims=True)
    tied = ((score == best) & np.isfinite(score)).sum(axis=1) > 1
    assert np.array_equal(loss.decide(output) != highest_of_equals(loss, output), tied)


def result_of(weights, input_times, **options):
    data = SpikeData(input_times, np.arange(len(input_times)) % 2)
    with get_backend("ideal").open(SPEC) as session:
        network = LoopNetwork(session, weights)
        if options:
            return Trainer(network, LOSS, data, data, TrainingOptions(**options)).fit()
        return evaluate(network, LOSS, data, 10)


def test_a_network_that_never_spikes_is_noted_after_the_first_epoch():
    weights = [np.full(shape, 0.01) for shape in SPEC.shapes]
    with pytest.warns(HxloopWarning, match="never decides.*layer 1"):
        result = result_of(weights, times(), epochs=2, batch_size=10)
    assert "layer-never-spikes" in keys(result.notes)
    first, second = (m["notes"] for m in result.metrics)
    assert [note["key"] for note in first] == ["layer-never-spikes"] and second == []
    with pytest.warns(HxloopWarning, match="never decides"):
        assert result_of(weights, times()).accuracy == 0


def test_twin_outputs_are_ties_and_won_by_the_lower_index():
    weights = [np.full((4, 6), 1.0), np.full((6, 2), 1.0)]
    with pytest.warns(HxloopWarning, match="40 of 40 decisions .* lower index"):
        result = result_of(weights, times())
    assert result.ties == 40 and (result.decisions == 0).all()
    assert the(result.notes, "ties").values["right"] == 20


# --- told once, and where it is kept ------------------------------------------------------


def test_a_warning_points_to_the_line_of_the_user():
    with pytest.warns(HxloopWarning) as seen:
        tell([Note("a", "odd")])
    assert seen[0].filename == __file__
    # From another room, too: after a move it was a line of hxloop's.
    with pytest.warns(HxloopWarning) as seen:
        load_experiment("yin-yang", ["loss.name=target-time"])
    assert seen[0].filename == __file__


def test_a_training_tells_each_note_once():
    weights = [np.full(shape, 1.0) for shape in SPEC.shapes]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        result = result_of(weights, times() + 2.5, epochs=3, batch_size=10)
    told = [str(w.message) for w in seen if issubclass(w.category, HxloopWarning)]
    assert sorted(told) == sorted(note.text for note in result.notes)
    assert sum("never count" in text for text in told) == 1


def test_command_line_tells_late_inputs_and_keeps_them(tmp_path, capsys):
    words = ["train", "yin-yang", "--epochs", "1", "--json", "--out", str(tmp_path / "run")]
    sizes = ("dataset.train_size=40", "dataset.validation_size=20", "dataset.test_size=30")
    for setting in (*sizes, "network.hidden=[8]", "encoding.t_late=9", "activity.epochs=[]"):
        words += ["--set", setting]
    with pytest.raises(SystemExit) as status:
        main(words)
    out, err = capsys.readouterr()
    assert status.value.code == 0
    assert err.count("never count") == 1 and "network.t_window = 4" in " ".join(err.split())
    printed = json.loads(out)
    kept = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert printed["notes"] == kept["notes"] and printed["backend"] == "ideal"
    assert "inputs-after-window" in {note["key"] for note in printed["notes"]}
    assert "never count" in (tmp_path / "run" / "report.html").read_text()
    metrics = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert "inputs-after-window" in {note["key"] for note in metrics["notes"]}
