"""The loss owns the decision rule: the analysis takes the decisions recorded with the activity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.activity import ActivityLog, RecordedActivity, read_activity, read_plain, write_plain
from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathways import pathways_from_runs
from hxloop.analysis.measures.synchrony import decision_times
from hxloop.analysis.report.page import AnalysisReport, analysis_page
from hxloop.analysis.report.raster import raster_data
from hxloop.analysis.report.static import raster
from hxloop.errors import RunInputError
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import evaluate_run, train
from hxloop.training.losses import TargetTimeLoss, get_loss

INF = np.inf
QUICK = AnalysisOptions(n_resamples=50, n_permutations=99, n_null=20, contrast_samples=2)
LATE = TargetTimeLoss(t_correct=3.0, t_wrong=1.0)


def late_state(n: int = 40) -> RecordedActivity:
    """The neuron of the class spikes last, at 3, driven by hidden neuron 0 or 1 alone."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    inputs = rng.random((n, 3)) * 0.2
    hidden = np.full((n, 4), INF)
    hidden[np.arange(n), labels] = 2.5
    hidden[:, 2:] = 0.5 + 0.1 * rng.random((n, 2))
    output = np.where(labels[:, None] == np.arange(2), 3.0, 1.0) + 0.1 * rng.random((n, 2))
    weights = (np.ones((3, 4)), np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]))
    decisions = LATE.decide(output)
    return RecordedActivity(
        "trained", inputs, (hidden, output), labels, decisions, weights,
        decision_rule=LATE.decision_rule, class_names=("early bird", "owl"),
    )  # fmt: skip


def test_the_earliest_output_is_not_taken_for_the_decision() -> None:
    state = late_state()
    assert state.accuracy == 1.0
    assert (decision_times(state.output_times, state.decisions) >= 3.0).all()
    result = analyse([state], options=QUICK)
    described = result["states"]["trained"]
    own = state.output_times[np.arange(40), state.labels]
    assert described["decision_time"] == pytest.approx(own.mean())
    assert described["decision_rule"] == LATE.decision_rule
    # The hidden neuron of the class spikes at 2.5: after the wrong output, before the right one.
    hidden = result["synchrony"]["trained"]["layers"][1]["causal"]
    assert hidden["n_spikes"] == 3.0
    strongest = result["pathways"]["trained"]["from_runs"]["layers"][1]["strongest"]
    assert [members[0][0] for members in strongest] == [0, 1]
    assert result["class_names"] == ["early bird", "owl"]


def test_pathways_start_at_the_winner() -> None:
    state = late_state()
    layers = (state.input_times, *state.layer_times)
    credit, lost = pathways_from_runs(layers, state.weights, winners=state.decisions)
    first, _ = pathways_from_runs(layers, state.weights)
    assert (lost == 0).all()
    assert (credit[1][np.arange(40), state.labels] > 0.5).all()
    assert (first[1][:, :2] == 0).all()


def test_figures_show_the_decision_of_the_rule() -> None:
    state = late_state()
    result = analyse([state], options=QUICK)
    data = raster_data([state], colours={"trained": "#000000"}, layout={})
    places = [sample["index"] for sample in data["samples"]]
    assert data["states"][0]["decisions"] == state.decisions[places].tolist()
    axes = raster(result, [state]).axes
    lines = [line.get_xdata()[0] for line in axes[0].lines if line.get_linestyle() == ":"]
    assert lines == [pytest.approx(state.output_times[0, 0])]
    assert "decision early bird" in axes[0].get_title()


def test_a_winner_without_a_spike_has_no_causal_spikes_and_its_credit_is_lost() -> None:
    state = late_state()
    output = state.output_times.copy()
    output[0, state.decisions[0]] = INF
    decided = decision_times(output, state.decisions)
    assert np.isinf(decided[0]) and np.isfinite(decided[1:]).all()
    layers = (state.input_times, state.layer_times[0], output)
    credit, lost = pathways_from_runs(layers, state.weights, winners=state.decisions)
    assert lost[0] == 1.0 and credit[1][0].sum() == 0 and (lost[1:] == 0).all()
    analyse([replace(state, layer_times=layers[1:])], options=QUICK)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    loss=st.sampled_from(
        [
            get_loss("time-to-first-spike"),
            TargetTimeLoss(),
            LATE,
            TargetTimeLoss(t_correct=1.5, t_wrong=1.0),
            get_loss("shift-invariant-target-time", t_correct=2.0, t_wrong=1.0),
        ]
    ),
)
def test_decision_times_are_those_of_every_losss_rule(seed: int, loss) -> None:
    rng = np.random.default_rng(seed)
    output = rng.uniform(0, 4, (12, 3))
    output[rng.random(output.shape) < 0.3] = INF
    decisions = loss.decide(output)
    times = decision_times(output, decisions)
    for row, decision, time in zip(output, decisions, times, strict=True):
        assert time == (row[decision] if decision >= 0 else INF)
    if loss.name == "time-to-first-spike":
        assert np.array_equal(times, decision_times(output))


@pytest.mark.parametrize(
    ("decisions", "message"),
    [
        (np.zeros(3, int), "expected 2 whole numbers"),
        (np.zeros(2), "whole numbers"),
        (np.array([0, 4]), "that of sample 1 is 4; expected an output neuron, 0 to 2"),
    ],
)
def test_decisions_that_are_none_are_refused(decisions, message) -> None:
    with pytest.raises(RunInputError, match=message):
        decision_times(np.ones((2, 3)), decisions)


def test_pages_name_classes_and_the_rule_and_send_nothing_anywhere() -> None:
    state = late_state()
    names = ("<b>early</b>", "owl")
    state = replace(state, class_names=names)
    result = analyse([state], options=QUICK)
    page = analysis_page(AnalysisReport("late", "", result, [state], {}))
    own = page[page.index("<main>") : page.index("</main>")]
    assert LATE.decision_rule in own and "first output spike" not in own
    assert "<b>early</b>" not in own and "&lt;b&gt;early&lt;/b&gt;" in own and "owl" in own
    script = page[page.rindex("<script>") :]
    assert "showSendToCloud: false" in script and '"sendChartToCloud"' in script


def test_a_verdict_says_what_it_is_of() -> None:
    result = analyse([late_state(), replace(late_state(), name="untrained")], options=QUICK)
    for claim in result["claims"]:
        assert claim["of"] or claim["verdict"] == "cannot be said", claim["key"]
    by_key = {claim["key"]: claim for claim in result["claims"]}
    assert "silhouette" in by_key["separability"]["of"]
    assert "read-out" in by_key["separability"]["of"]
    assert "absent or weaker" in by_key["learned"]["statement"]


def test_rule_and_names_survive_files(tmp_path) -> None:
    write_plain(tmp_path / "spikes.npz", [late_state()])
    again = read_plain(tmp_path / "spikes.npz")["trained"]
    assert again.decision_rule == LATE.decision_rule
    assert again.class_names == ("early bird", "owl")
    assert np.array_equal(again.decisions, late_state().decisions)


def test_a_training_records_the_rule_of_its_loss(tmp_path) -> None:
    config = ExperimentConfig.from_mapping(
        {
            "name": "late",
            "dataset": {
                "name": "yin-yang", "train_size": 60, "validation_size": 30, "test_size": 30,
            },
            "network": {"hidden": [10], "t_window": 6.0},
            "loss": {"name": "target-time", "options": {"t_correct": 2.0, "t_wrong": 1.0}},
            "training": {"epochs": 1, "batch_size": 30},
        },
        "test",
    )  # fmt: skip
    train(config, tmp_path / "run")
    rule = get_loss("target-time", t_correct=2.0, t_wrong=1.0).decision_rule
    with ActivityLog.open(tmp_path / "run" / "activity.h5") as log:
        assert log.about["decision_rule"] == rule
        state = log.read("trained")
    assert state.decision_rule == rule
    evaluate_run(tmp_path / "run", activity=tmp_path / "more.h5", state="again")
    assert read_activity(tmp_path / "more.h5")["again"].decision_rule == rule
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert rule in page and "first output spike" not in page
