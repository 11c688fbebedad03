"""The losses against closed forms, their gradients against differences, their decisions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.errors import ConfigError, RunInputError, UnknownNameError
from hxloop.training.losses import (
    Loss,
    ShiftInvariantTargetLoss,
    TargetTimeLoss,
    TimeToFirstSpikeLoss,
    get_loss,
    loss_names,
)

INF = math.inf
ALL: list[Loss] = [
    TimeToFirstSpikeLoss(),
    TargetTimeLoss(1.0, 2.0),
    TargetTimeLoss(2.0, 1.0),
    ShiftInvariantTargetLoss(1.0, 2.0),
    ShiftInvariantTargetLoss(2.0, 1.0),
]
IDS = [f"{loss.name}-{index}" for index, loss in enumerate(ALL)]
every_loss = pytest.mark.parametrize("loss", ALL, ids=IDS)


def times_of(rows: list[list[float]]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def gradient(loss: Loss, times: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    leaf = times.clone().requires_grad_()
    loss(leaf, labels).backward()
    assert leaf.grad is not None
    return leaf.grad


# --- closed forms -------------------------------------------------------------------------


def test_time_to_first_spike_loss_is_the_formula_with_silent_wrong_neurons_left_out() -> None:
    xi, alpha, beta = 0.3, 0.02, 1.5
    rows, labels = [[1.0, 1.2, INF], [0.7, 0.4, 2.0]], [0, 1]
    expected = []
    for row, label in zip(rows, labels, strict=True):
        total = sum(math.exp(-(t - row[label]) / xi) for t in row if t < INF)
        expected.append(math.log(total) + alpha * (math.exp(row[label] / beta) - 1))
    loss = TimeToFirstSpikeLoss(xi=xi, alpha=alpha, beta=beta)(times_of(rows), torch.tensor(labels))
    assert float(loss) == pytest.approx(np.mean(expected), rel=1e-14)


def test_time_to_first_spike_loss_is_stable_where_the_plain_formula_overflows() -> None:
    # exp(100/0.01) overflows; log(1 + exp(1e4)) is 1e4 to double precision.
    loss = TimeToFirstSpikeLoss(xi=0.01, alpha=0.0)
    value = loss(times_of([[101.0, 1.0]]), torch.tensor([0]))
    assert float(value) == pytest.approx(100 / 0.01, rel=1e-12)


def test_silent_correct_neuron_adds_a_constant_and_no_gradient() -> None:
    loss = TimeToFirstSpikeLoss(silent_loss=7.0)
    times, labels = times_of([[INF, 1.0], [INF, INF]]), torch.tensor([0, 1])
    assert float(loss(times, labels)) == pytest.approx(7.0)
    assert torch.equal(gradient(loss, times, labels), torch.zeros(2, 2, dtype=torch.float64))


def test_target_time_loss_is_half_the_squared_distance() -> None:
    loss = TargetTimeLoss(t_correct=0.9, t_wrong=1.4, t_silent=5.0)
    rows, labels = [[1.0, 1.5, INF], [0.3, 0.8, 1.6]], [1, 2]
    expected = [
        0.5 * sum(((5.0 if t == INF else t) - (0.9 if n == y else 1.4)) ** 2
                  for n, t in enumerate(row))
        for row, y in zip(rows, labels, strict=True)
    ]  # fmt: skip
    value = loss(times_of(rows), torch.tensor(labels))
    assert float(value) == pytest.approx(np.mean(expected), rel=1e-14)


def test_shift_invariant_loss_does_not_see_a_common_shift() -> None:
    loss = ShiftInvariantTargetLoss(t_correct=1.0, t_wrong=1.6)
    times, labels = times_of([[0.4, 1.0, 1.3], [2.0, 0.1, 0.9]]), torch.tensor([0, 1])
    shift = times_of([[0.7], [-0.05]])
    assert float(loss(times + shift, labels)) == pytest.approx(float(loss(times, labels)))
    pattern = times_of([[1.0, 1.6, 1.6], [1.6, 1.0, 1.6]])
    assert float(loss(pattern + shift, labels)) == pytest.approx(0.0, abs=1e-28)
    # For two neurons at distance d instead of D, each is off by (d - D)/2 after centring.
    pair = loss(times_of([[1.0, 1.2]]), torch.tensor([0]))
    assert float(pair) == pytest.approx(0.5 * 2 * ((0.2 - 0.6) / 2) ** 2)


# --- gradients ----------------------------------------------------------------------------


@every_loss
def test_gradient_agrees_with_differences(loss: Loss) -> None:
    rng = np.random.default_rng(5)
    times = torch.tensor(rng.uniform(0.1, 3.0, (6, 4)), requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    assert torch.autograd.gradcheck(lambda t: loss(t, labels), (times,))


@every_loss
def test_gradient_agrees_with_differences_beside_silent_neurons(loss: Loss) -> None:
    full = times_of([[0.5, INF, 1.5], [INF, 0.9, 1.1], [INF, INF, 1.0], [INF, INF, INF]])
    labels = torch.tensor([0, 2, 0, 1])
    spiked = torch.isfinite(full)

    def loss_of_spikes(spikes: torch.Tensor) -> torch.Tensor:
        return loss(full.masked_scatter(spiked, spikes), labels)

    assert torch.autograd.gradcheck(loss_of_spikes, (full[spiked].clone().requires_grad_(),))
    slope = gradient(loss, full, labels)
    assert torch.isfinite(slope).all()
    assert (slope[~spiked] == 0).all()
    assert torch.isfinite(loss(full, labels))


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_descent_on_the_output_times_makes_the_decision_correct(
    loss: Loss, dtype: torch.dtype
) -> None:
    rng = np.random.default_rng(11)
    times = torch.tensor(rng.uniform(0.5, 3.0, (32, 3)), dtype=dtype)
    labels = torch.tensor(rng.integers(0, 3, 32))
    before = float(loss(times, labels))
    assert (loss.decide(times) != labels.numpy()).any()
    for _ in range(400):
        times = times - 0.5 * gradient(loss, times, labels)
        # Output spikes come after the input; without a floor this loss goes on for ever.
        times = times.clamp(min=0.0)
    assert times.dtype == dtype
    assert float(loss(times, labels)) < before
    np.testing.assert_array_equal(loss.decide(times), labels.numpy())


@every_loss
def test_arguments_are_not_written_to(loss: Loss) -> None:
    times, labels = times_of([[0.5, INF, 1.5]]), torch.tensor([0])
    kept = times.clone()
    loss(times, labels)
    array = times.numpy().copy()
    array.flags.writeable = False
    loss.decide(array)
    assert torch.equal(times, kept)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_loss_and_gradient_are_finite_for_all_times(data, dtype) -> None:
    # Regression: inf at t* = 720 (single precision: 95) and at beta = 1e-3; 0 times inf was NaN.
    scales = st.sampled_from([1e-9, 1e-3, 0.2, 1.0, 1e3])
    loss = data.draw(
        st.one_of(
            st.builds(
                TimeToFirstSpikeLoss, xi=scales, beta=scales, alpha=st.sampled_from([0, 5e-3, 1e3])
            ),
            st.builds(TargetTimeLoss, t_correct=st.just(1.0), t_wrong=st.floats(1.5, 1e9)),
            st.builds(
                ShiftInvariantTargetLoss, t_correct=st.just(1.0), t_wrong=st.floats(1.5, 1e9)
            ),
        )
    )
    largest = float(torch.finfo(dtype).max)
    time = st.one_of(
        st.sampled_from([0.0, 0.72, 5.0, 95.0, 720.0, 1e4, 1e30, largest, INF]), st.floats(0, 1e5)
    )
    rows = data.draw(st.lists(st.lists(time, min_size=3, max_size=3), min_size=1, max_size=4))
    times = torch.tensor(rows, dtype=dtype)
    labels = torch.tensor(data.draw(st.lists(st.integers(0, 2), min_size=len(rows),
                                             max_size=len(rows))))  # fmt: skip
    assert torch.isfinite(loss(times, labels))
    slope = gradient(loss, times, labels)
    assert torch.isfinite(slope).all() and (slope[torch.isinf(times)] == 0).all()


@pytest.mark.parametrize(("dtype", "latest"), [(torch.float32, 33.0), (torch.float64, 266.0)])
def test_late_penalty_goes_on_along_its_tangent(dtype, latest) -> None:
    loss = TimeToFirstSpikeLoss(xi=0.2, alpha=0.005, beta=1.0)
    values, slopes = [], []
    for t in (latest - 1.0, latest, latest + 1.0, latest + 2.0, 720.0):
        times = torch.tensor([[t, INF]], dtype=dtype)
        values.append(float(loss(times, torch.tensor([0]))))
        slopes.append(float(gradient(loss, times, torch.tensor([0]))[0, 0]))
    assert values == sorted(values) and slopes == sorted(slopes)
    # Below, the formula; above, a straight line whose slope is that where it begins.
    assert values[1] == pytest.approx(0.005 * math.exp(latest), rel=1e-5)
    assert slopes[1] == pytest.approx(0.005 * math.exp(latest), rel=1e-5)
    assert slopes[2] == slopes[3] == slopes[4]
    assert values[3] - values[2] == pytest.approx(slopes[2], rel=1e-3)


# --- decisions ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "row", "decision"),
    [
        (TimeToFirstSpikeLoss(), [2.0, 1.0], 1),
        (TimeToFirstSpikeLoss(), [1.0, 1.0], 0),  # a tie
        (TimeToFirstSpikeLoss(), [INF, 5.0], 1),
        (TimeToFirstSpikeLoss(), [INF, INF], -1),
        (TargetTimeLoss(1.0, 2.0), [0.2, 1.1], 1),  # the earliest is not the nearest
        (TargetTimeLoss(2.0, 1.0), [1.0, 2.0], 1),  # the labelled neuron spikes last
        (TargetTimeLoss(1.0, 2.0), [0.75, 1.25], 0),  # a tie
        (TargetTimeLoss(1.0, 2.0), [INF, 9.0], 1),
        (TargetTimeLoss(1.0, 2.0), [INF, INF], -1),
        (ShiftInvariantTargetLoss(1.0, 2.0), [5.2, 4.9], 1),
        (ShiftInvariantTargetLoss(2.0, 1.0), [5.2, 4.9], 0),
        (ShiftInvariantTargetLoss(2.0, 1.0), [3.0, 3.0], 0),  # a tie
        (ShiftInvariantTargetLoss(2.0, 1.0), [3.0, INF], 0),  # silent is not late
        (ShiftInvariantTargetLoss(2.0, 1.0), [INF, INF], -1),
    ],
)
def test_decision(loss: Loss, row: list[float], decision: int) -> None:
    for times in (np.array([row]), times_of([row]).requires_grad_()):
        decided = loss.decide(times)
        assert decided.dtype == np.int64
        np.testing.assert_array_equal(decided, [decision])


@pytest.mark.parametrize("targets", [(1.0, 1.5), (1.5, 1.0)])
def test_shift_invariant_decision_is_the_class_of_the_smallest_loss(
    targets: tuple[float, float],
) -> None:
    loss = ShiftInvariantTargetLoss(*targets)
    rows = torch.tensor(np.random.default_rng(3).uniform(0, 4, (50, 4)))
    for row in rows:
        losses = [float(loss(row[None], torch.tensor([label]))) for label in range(4)]
        assert loss.decide(row[None])[0] == int(np.argmin(losses))


def test_decision_rule_says_what_it_does() -> None:
    assert "first" in TimeToFirstSpikeLoss().decision_rule
    assert "nearest to t_correct = 1.25" in TargetTimeLoss(1.25, 2.0).decision_rule
    assert "first" in ShiftInvariantTargetLoss(1.0, 2.0).decision_rule
    assert "last" in ShiftInvariantTargetLoss(2.0, 1.0).decision_rule


# --- bad input ----------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize(
    ("times", "labels", "message"),
    [
        (torch.ones(2), torch.tensor([0, 1]), r"expected output_times \(batch, n\)"),
        (torch.ones(2, 3), torch.tensor([0]), r"got \(2, 3\) and \(1,\)"),
        (torch.ones(0, 3), torch.zeros(0, dtype=torch.long), "empty batch"),
        (torch.ones(1, 0), torch.tensor([0]), r"expected shape \(batch, n\)"),
        (torch.tensor([[1.0, math.nan]]), torch.tensor([0]), "nan at sample 0, neuron 1"),
        (torch.tensor([[-INF, 1.0]]), torch.tensor([0]), "-inf at sample 0, neuron 0"),
        (torch.ones(2, 3), torch.tensor([0, 3]), "expected 0 to 2.* got 0 to 3"),
        (torch.ones(2, 3), torch.tensor([-1, 2]), "got -1 to 2"),
        (torch.ones(2, 3), torch.tensor([0.0, 1.0]), "whole numbers"),
        (torch.ones(2, 3), torch.tensor([True, False]), "whole numbers"),
    ],
)
def test_bad_input_is_refused(
    loss: Loss, times: torch.Tensor, labels: torch.Tensor, message: str
) -> None:
    with pytest.raises(RunInputError, match=message):
        loss(times, labels)


@every_loss
def test_decide_refuses_what_is_not_spike_times(loss: Loss) -> None:
    with pytest.raises(RunInputError, match=r"expected shape \(batch, n\)"):
        loss.decide(np.ones(3))
    with pytest.raises(RunInputError, match="nan at sample 1, neuron 0"):
        loss.decide(np.array([[1.0, 2.0], [np.nan, 1.0]]))


def test_loss_by_name() -> None:
    assert loss_names() == (
        "max-membrane",
        "shift-invariant-target-time",
        "spike-count",
        "target-time",
        "time-to-first-spike",
        "time-weighted-spikes",
    )
    for name in loss_names():
        loss = get_loss(name)
        assert isinstance(loss, Loss)
        assert loss.name == name
    assert get_loss("time-to-first-spike", xi=0.5) == TimeToFirstSpikeLoss(xi=0.5)


def test_int32_labels_are_labels() -> None:
    times = times_of([[0.5, 1.5]])
    loss = TimeToFirstSpikeLoss()
    assert torch.equal(
        loss(times, torch.tensor([1], dtype=torch.int32)), loss(times, torch.tensor([1]))
    )


def test_unknown_name_and_option_list_what_there_is() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown loss 'target_time'.*mean 'target-time'"):
        get_loss("target_time")
    with pytest.raises(UnknownNameError, match=r"option of loss 'time-to-first-spike' 'tau'.*xi"):
        get_loss("time-to-first-spike", tau=1.0)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("time-to-first-spike", {"xi": 0}, "xi: expected a positive finite number"),
        ("time-to-first-spike", {"beta": 0.0}, "beta: expected a positive finite number"),
        ("time-to-first-spike", {"alpha": -1}, "alpha: expected a finite number >= 0"),
        ("time-to-first-spike", {"xi": "small"}, "xi: expected a positive finite number"),
        ("time-to-first-spike", {"xi": True}, "xi: expected a positive finite number"),
        ("target-time", {"t_correct": math.nan}, "t_correct: expected a finite number"),
        ("target-time", {"t_silent": INF}, "t_silent: expected a finite number"),
        ("target-time", {"t_correct": 2.0}, "must differ.*got 2.0 twice"),
        ("shift-invariant-target-time", {"t_wrong": 1.0}, "must differ"),
    ],
)
def test_bad_options_are_refused(name: str, options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_loss(name, **options)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_halves_are_computed_with_in_single_precision(half) -> None:
    times = torch.tensor([[0.5, 1.0, 2.0]], dtype=half, requires_grad=True)
    loss = get_loss("time-to-first-spike")(times, np.array([0]))
    assert loss.dtype == torch.float32
    loss.backward()
    assert times.grad is not None and times.grad.dtype == half
    assert loss.item() == pytest.approx(
        float(get_loss("time-to-first-spike")(times.detach().double(), np.array([0]))), rel=1e-6
    )
