"""What a session may not do: write to what it is given, return what cannot be, or hang."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hxloop import (
    Activity,
    LoopNetwork,
    NetworkSpec,
    SpikeData,
    Trainer,
    TrainingOptions,
    check_run,
    evaluate,
    get_backend,
    record,
)
from hxloop.errors import HxloopWarning, RunFailed
from tests.substrate.disturbed_session import DATA, LOSS, SPEC, TIMES, WEIGHTS, Session


def run(**options: Any) -> Activity:
    return LoopNetwork(Session(**options), WEIGHTS).forward(TIMES)[1]


# --- what a session is given ----------------------------------------------------------------


def write_weights(weights, times) -> None:
    weights[0][:] = 0


def write_times(weights, times) -> None:
    times[...] = 0.3


@pytest.mark.parametrize("write", [write_weights, write_times])
def test_a_session_that_writes_to_its_arguments_changes_neither_training_nor_data(write) -> None:
    mine = TIMES.copy()
    data = SpikeData(mine, DATA.labels)
    network = LoopNetwork(Session(before=write), WEIGHTS)
    before = network.weight_arrays()
    for call in (
        lambda: network.forward(mine),
        lambda: evaluate(network, LOSS, data, 4),
        lambda: Trainer(network, LOSS, data, data, TrainingOptions(epochs=1)).fit(),
        lambda: network.with_session(Session(before=write)).forward(mine),
    ):
        with pytest.raises(ValueError, match="read-only"):
            call()
    np.testing.assert_array_equal(mine, TIMES)
    np.testing.assert_array_equal(data.input_times, TIMES)
    for now, then in zip(network.weight_arrays(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_a_recording_hands_on_what_cannot_be_written_to(tmp_path) -> None:
    mine = [matrix.copy() for matrix in WEIGHTS]
    for write in (write_weights, write_times):
        with (
            record(Session(before=write), tmp_path / f"{write.__name__}.h5") as session,
            pytest.raises(ValueError, match="read-only"),
        ):
            session.run(mine, TIMES)
    np.testing.assert_array_equal(mine[0], WEIGHTS[0])


def test_checked_runs_cannot_be_written_to_and_share_the_callers_memory() -> None:
    matrices, times = check_run(SPEC, WEIGHTS, TIMES, Session().capabilities)
    assert np.shares_memory(times, TIMES) and not times.flags.writeable
    assert not any(matrix.flags.writeable for matrix in matrices)


def test_data_are_not_those_of_the_user_any_more() -> None:
    times, labels = TIMES.copy(), DATA.labels.copy()
    data = SpikeData(times, labels)
    times[:], labels[:] = 0.0, 1
    np.testing.assert_array_equal(data.input_times, TIMES)
    np.testing.assert_array_equal(data.labels, DATA.labels)


def test_a_session_may_answer_with_its_own_arguments() -> None:
    """Then what is recorded must not change with the weights in training."""
    seen = []

    def alias(weights, times) -> None:
        seen[:] = [*weights, times]

    def answer(activity: Activity) -> Activity:
        return replace(activity, weights_used=tuple(seen[:-1]), input_times=seen[-1])

    network = LoopNetwork(Session(before=alias, after=answer), WEIGHTS)
    output, activity = network.forward(TIMES)
    with torch.no_grad():
        network.weights[0].zero_()
    np.testing.assert_array_equal(activity.weights_used[0], WEIGHTS[0])
    LOSS(output, torch.tensor(DATA.labels)).backward()
    assert torch.isfinite(network.weights[0].grad).all()


def test_losses_and_observers_that_write_change_nothing() -> None:
    class Writing:
        name, decision_rule = "writing", "first"

        def __call__(self, output, labels):
            labels.zero_()
            return LOSS(output, labels)

        def decide(self, output):
            found = LOSS.decide(output)
            output[...] = 0
            return found

    kept = DATA.labels.copy()

    def observe(activity: Activity, labels, decisions) -> None:
        for array in (activity.input_times, *activity.first_spike_times, labels, decisions):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0

    network = LoopNetwork(Session(), WEIGHTS)
    result = evaluate(network, Writing(), DATA, 4, observer=observe)
    expected = evaluate(network, LOSS, DATA, 4)
    np.testing.assert_array_equal(DATA.labels, kept)
    np.testing.assert_array_equal(result.decisions, expected.decisions)
    np.testing.assert_array_equal(result.first_spike_times[-1], expected.first_spike_times[-1])
    metrics = Trainer(network, Writing(), DATA, DATA, TrainingOptions(epochs=1)).fit().metrics
    assert metrics[0]["train_accuracy"] == expected.accuracy


# --- what cannot have happened ----------------------------------------------------------------


def with_spike(layer: int, value: float, place=(4, 1)):
    def change(activity: Activity) -> Activity:
        layers = [times.copy() for times in activity.first_spike_times]
        layers[layer][place] = value
        return replace(activity, first_spike_times=tuple(layers))

    return change


def with_weight(value: float, place=(1, 2)):
    def change(activity: Activity) -> Activity:
        used = [matrix.copy() for matrix in activity.weights_used]
        used[0][place] = value
        return replace(activity, weights_used=tuple(used))

    return change


def inputs_moved(by: float):
    return lambda activity: replace(activity, input_times=activity.input_times + by)


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (with_spike(0, 0.0), r"spike time 0 in layer 0, sample 4, neuron 1, before any"),
        (with_spike(0, 0.99 * TIMES[4].min()), r"in layer 0, sample 4, neuron 1, before any"),
        (with_spike(1, 0.4), r"in layer 1, sample 4, neuron 1, before any spike"),
        (with_weight(-1.5), r"weights_used\[0\] with -1.5 .* 1.5 was asked for.*same sign"),
        (with_weight(-1e-9), "same sign"),
        (inputs_moved(100.0), r"input time 10\d.* was asked for; expected inputs .* within 0.5"),
        (inputs_moved(1.0), "was asked for"),
    ],
)
def test_what_cannot_have_happened_is_refused(after, message: str) -> None:
    with pytest.raises(RunFailed, match=message) as caught:
        run(after=after)
    assert not caught.value.retryable


def test_a_weight_of_zero_is_held_as_zero_and_none_beyond_the_range() -> None:
    weights = [WEIGHTS[0].copy(), WEIGHTS[1]]
    weights[0][1, 2] = 0.0
    with pytest.raises(RunFailed, match="0 was asked for"):
        LoopNetwork(Session(after=with_weight(0.2)), weights).forward(TIMES)
    with pytest.raises(RunFailed, match="up to the weight_limit of its capabilities, 2"):
        run(after=with_weight(2.1), weight_limit=2.0)
    assert run(after=with_weight(2.0 * (1 + 1e-7)), weight_limit=2.0).weights_used[0][1, 2] > 2
    # Rounded to the next step, clipped and rounded to 0 is what chips do.
    assert run(after=with_weight(0.0)).weights_used[0][1, 2] == 0


def test_a_spike_from_inhibition_alone_is_refused() -> None:
    weights = [WEIGHTS[0].copy(), WEIGHTS[1]]
    weights[0][:, 1] = -1.0
    network = LoopNetwork(Session(after=with_spike(0, 3.0)), weights)
    with pytest.raises(RunFailed, match="layer 0, sample 4, neuron 1"):
        network.forward(TIMES)


def test_a_sample_without_input_has_no_spikes() -> None:
    times = TIMES.copy()
    times[4] = np.inf
    assert torch.isinf(LoopNetwork(Session(), WEIGHTS).forward(times)[0][4]).all()
    with pytest.raises(RunFailed, match="sample 4"):
        LoopNetwork(Session(after=with_spike(0, 3.0)), WEIGHTS).forward(times)


@pytest.mark.parametrize(
    "declared", [{"deterministic": False}, {"spontaneous": True}], ids=["noisy", "spontaneous"]
)
def test_what_is_odd_on_a_chip_is_counted(declared: dict[str, Any]) -> None:
    assert run(after=with_spike(0, 0.01), **declared).info.unprompted_spikes >= 1
    info = run(after=inputs_moved(0.3), **declared).info
    assert info.moved_inputs == TIMES.size
    with pytest.raises(RunFailed, match="input time"):
        run(after=inputs_moved(100.0), **declared)
    for wrong in (with_weight(-1.5), with_weight(5.0)):
        with pytest.raises(RunFailed, match="weights_used"):
            run(after=wrong, weight_limit=2.0, **declared)
    clean = run(**declared).info
    assert (clean.unprompted_spikes, clean.moved_inputs) == (0, 0)


def test_what_is_odd_is_told_in_an_evaluation() -> None:
    network = LoopNetwork(Session(after=inputs_moved(0.3), deterministic=False), WEIGHTS)
    with pytest.warns(HxloopWarning, match="30 input spikes were delivered by ideal more than"):
        result = evaluate(network, LOSS, DATA, 4)
    assert "inputs-moved" in {note.key for note in result.notes}
    early = LoopNetwork(Session(after=with_spike(0, 0.01, (0, 1)), deterministic=False), WEIGHTS)
    with pytest.warns(HxloopWarning, match="1 spikes came before any input"):
        evaluate(early, LOSS, DATA, 10)


def test_resolution_and_latency_are_allowed_for() -> None:
    early = TIMES[4].min() - 0.05
    assert run(after=with_spike(0, early), time_resolution=0.03).info.unprompted_spikes == 0
    with pytest.raises(RunFailed, match="before any"):
        run(after=with_spike(0, early), time_resolution=0.02)
    # With a latency, a spike right after its input is too early.
    with pytest.raises(RunFailed, match="before any"):
        run(after=with_spike(0, TIMES[4].min() + 0.1), latency=0.2)


@pytest.mark.parametrize("preset", ["none", "calibrated", "uncalibrated"])
def test_emulated_chips_do_what_can_be(preset: str) -> None:
    options = {"solver": "event", "imperfections": preset, "weight_lsb": 0.05}
    spec = NetworkSpec.feed_forward(5, 60, 30, 3, t_window=6.0)
    random = np.random.default_rng(1)
    weights = [random.normal(0.4, 0.8, shape) for shape in spec.shapes]
    times = random.uniform(0, 2, (200, 5))
    times[random.uniform(size=times.shape) < 0.1] = np.inf
    for chip in range(3):
        with get_backend("emulated-chip", chip=chip, **options).open(spec, seed=1) as session:
            _, activity = LoopNetwork(session, weights).forward(times)
        assert activity.info.moved_inputs == 0
        if preset != "uncalibrated":
            assert activity.info.unprompted_spikes == 0
