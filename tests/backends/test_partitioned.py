"""Networks in parts: what is joined is what the whole network does, gradient included."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hxloop import LoopNetwork, NetworkSpec, get_backend
from hxloop.activity import Spikes
from hxloop.backends.ideal import IdealBackend, IdealSession
from hxloop.backends.partitioned import PartitionedBackend
from hxloop.errors import CapacityError, ConfigError, RunFailed
from hxloop.network import NeuronSpec
from tests.backends.test_partition_plan import skipping

CHIP = {"name": "emulated-chip", "solver": "event", "imperfections": "calibrated"}
QUIET = {**CHIP, "imperfections": {"threshold_trial": 0.0}}
NETWORK = NetworkSpec.feed_forward(6, 10, 7, 3, t_window=4.0)
RNG = np.random.default_rng(3)
WEIGHTS = [RNG.normal(0.65, 0.6, shape) for shape in NETWORK.shapes]
TIMES = RNG.uniform(0, 1.5, (5, 6))


def in_parts(over: Any, **options: Any) -> PartitionedBackend:
    """Three inputs a circuit: 10, 7, 3 neurons in runs of 4 + 4 + 2, 2 + 2 + 2 + 1 and 2 + 1."""
    return PartitionedBackend(over=over, **{"circuits": 8, "inputs": 3, **options})


def run(
    backend: Any, *, network: Any = NETWORK, weights: Any = WEIGHTS, inputs: Any = TIMES
) -> Any:
    with backend.open(network, seed=1) as session:
        return session.run(weights, inputs, trial=0)


def test_parts_of_an_ideal_network_are_the_network_bit_for_bit() -> None:
    whole, parts = run(get_backend("ideal")), run(in_parts({"name": "ideal"}))
    assert np.isfinite(whole.output_times).any() and np.isinf(whole.output_times).any()
    for a, b in zip(whole.first_spike_times, parts.first_spike_times, strict=True):
        assert np.array_equal(a, b)
    for a, b in zip(whole.weights_used, parts.weights_used, strict=True):
        assert np.array_equal(a, b)
    assert parts.info.backend == "partitioned" and parts.info.trial is None


def test_the_gradient_does_not_change() -> None:
    found = []
    for backend in (get_backend("ideal"), in_parts({"name": "ideal"})):
        with backend.open(NETWORK) as session:
            loop = LoopNetwork(session, WEIGHTS)
            times, _ = loop(TIMES)
            times[times.isfinite()].sum().backward()
            found.append([matrix.grad.numpy().copy() for matrix in loop.weights])
    assert any(gradient.any() for gradient in found[0])
    for a, b in zip(*found, strict=True):
        assert np.array_equal(a, b)


def test_all_spikes_of_a_network_that_skips_layers() -> None:
    network = skipping(7, 6)
    weights = [RNG.normal(0.8, 0.3, shape) for shape in network.shapes]
    inputs = Spikes.from_events(
        np.repeat([0, 1], 10), np.tile(np.arange(5), 4), np.linspace(0.1, 2.0, 20),
        batch=2, n_units=5,
    )  # fmt: skip
    given = {"network": network, "weights": weights, "inputs": inputs}
    whole, parts = run(get_backend("ideal"), **given), run(in_parts({"name": "ideal"}), **given)
    assert max(spikes.count.max() for spikes in whole.spikes) > 1
    assert list(whole.spikes) == list(parts.spikes)
    assert parts.inputs == inputs


def test_counts_and_weights_on_a_chip_are_those_of_the_whole_network() -> None:
    quiet = {**CHIP, "imperfections": "none"}
    strong = [8 * matrix for matrix in WEIGHTS]
    whole = run(get_backend(**{"name": quiet["name"], **quiet}), weights=strong)
    parts = run(in_parts(quiet), weights=strong)
    assert sum(whole.info.clipped_weights) > 0 and whole.info.rounded_inputs > 0
    for name in ("clipped_weights", "zeroed_weights", "rounded_inputs", "seed", "trial"):
        assert getattr(parts.info, name) == getattr(whole.info, name), name
    assert np.array_equal(parts.input_times, whole.input_times)
    # Later layers get what the clock made of the spikes; on one chip they get the spikes.
    assert np.array_equal(parts.first_spike_times[0], whole.first_spike_times[0])


def test_parts_share_the_circuits_and_their_fixed_pattern_but_no_noise() -> None:
    alike = [np.repeat(matrix[:, :1], matrix.shape[1], axis=1) for matrix in WEIGHTS]
    first = run(in_parts(QUIET), weights=alike).first_spike_times[0]
    # Neurons 0, 4 and 8 begin a run each: they are the same circuits.
    assert np.array_equal(first[:, 0], first[:, 4]) and np.array_equal(first[:, 0], first[:, 8])
    assert not np.array_equal(first[:, 0], first[:, 1])
    noisy = run(in_parts(CHIP), weights=alike).first_spike_times[0]
    assert not np.array_equal(noisy[:, 0], noisy[:, 4])
    with in_parts(CHIP).open(NETWORK, seed=1) as session:
        circuits = session.circuits
    assert [each.shape[0] for each in circuits] == [10, 7, 3]
    assert np.array_equal(circuits[0][0], circuits[0][4])


def test_noise_is_that_of_seed_and_trial() -> None:
    with in_parts(CHIP).open(NETWORK, seed=1) as session:
        runs = [session.run(WEIGHTS, TIMES, trial=trial).output_times for trial in (3, 4, 3)]
    assert np.array_equal(runs[0], runs[2]) and not np.array_equal(runs[0], runs[1])


def test_a_hop_delays_what_the_next_run_gets_and_so_it_is_reported() -> None:
    latency = 0.25
    still, moved = (
        run(in_parts({"name": "ideal"})),
        run(in_parts({"name": "ideal"}, latency=latency)),
    )
    late = still.first_spike_times[0] + latency
    assert np.array_equal(moved.first_spike_times[0], np.where(late > 4.0, np.inf, late))
    # What comes after is the answer to these very spikes.
    rest = NetworkSpec.feed_forward(10, 7, 3, t_window=4.0)
    given = {"network": rest, "weights": WEIGHTS[1:], "inputs": moved.first_spike_times[0]}
    after = run(in_parts({"name": "ideal"}, latency=latency), **given)
    assert np.array_equal(after.output_times, moved.output_times)
    first = still.first_spike_times[0]
    too_late = np.isfinite(first) & (first + 3.0 > 4.0)
    lost = run(in_parts({"name": "ideal"}, latency=3.0)).info.discarded_spikes
    assert lost >= too_late.sum() > still.info.discarded_spikes == 0


def test_chips_side_by_side_each_with_a_pattern_of_its_own() -> None:
    alike = [np.repeat(matrix[:, :1], matrix.shape[1], axis=1) for matrix in WEIGHTS]
    two = run(in_parts([QUIET, {**QUIET, "chip": 1}]), weights=alike)
    own = [run(in_parts({**QUIET, "chip": i}), weights=alike).first_spike_times[0] for i in (0, 1)]
    got = two.first_spike_times[0]  # runs 0 and 2 on chip 0, run 1 on chip 1
    for neurons, chip in ((slice(0, 4), 0), (slice(4, 8), 1), (slice(8, 10), 0)):
        assert np.array_equal(got[:, neurons], own[chip][:, neurons])
    assert two.info.chip_id.count("+") == 1


class Faulty(IdealSession):
    """Fails in the run whose number it is told."""

    fails = -1
    runs = 0

    def _simulate(self, *given: Any) -> Any:
        Faulty.runs += 1
        if Faulty.runs == Faulty.fails:
            raise RunFailed("the link is gone", retryable=True)
        return super()._simulate(*given)


class FaultyBackend(IdealBackend):
    """The ideal substrate, at times."""

    session = Faulty


def test_a_part_that_fails_leaves_no_half_of_an_activity(monkeypatch: pytest.MonkeyPatch) -> None:
    good = run(get_backend("ideal"))
    monkeypatch.setattr(Faulty, "runs", 0)
    monkeypatch.setattr(Faulty, "fails", 5)
    with in_parts(FaultyBackend()).open(NETWORK, seed=1) as session:
        with pytest.raises(RunFailed, match="the link is gone") as raised:
            session.run([-w for w in WEIGHTS], TIMES)
        assert raised.value.retryable
        assert "run 4 of 9" in raised.value.__notes__[0] and "chip 0" in raised.value.__notes__[0]
        again = session.run(WEIGHTS, TIMES)
    assert np.array_equal(again.output_times, good.output_times)


def test_where_there_is_room_for_one_session_one_is_open_at_a_time() -> None:
    with in_parts(CHIP, reopen=True).open(NETWORK, seed=1) as session:
        got = session.run(WEIGHTS, TIMES, trial=0)
        assert session.n_open == 1
    assert np.array_equal(got.output_times, run(in_parts(CHIP)).output_times)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"over": []}, ConfigError, "at least one substrate"),
        ({"over": {"chip": 1}}, ConfigError, "table with the name of a backend"),
        ({"over": {"name": "emulated-chip", "chips": 1}}, LookupError, "unknown option"),
        ({"over": CHIP, "circuits": 0}, ConfigError, "circuits"),
        ({"over": CHIP, "latency": -1.0}, ConfigError, "latency"),
        ({"over": [CHIP, {**CHIP, "enforce_limits": False}]}, ConfigError,
         r"one kind; number 0 \(emulated-chip\) has max_neurons 512, number 1 .* has None"),
        ({"over": [CHIP, {**CHIP, "weight_lsb": 0.1}]}, ConfigError, "has weight_limit"),
    ],
)  # fmt: skip
def test_bad_options_are_refused(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        PartitionedBackend(**options)


def test_networks_that_cannot_be_played_are_refused_when_opened() -> None:
    with pytest.raises(
        CapacityError, match=r"partitioned.*'hidden1' has 6 inputs.*takes 6 circuits"
    ):
        in_parts(CHIP, inputs=1, circuits=5).open(NETWORK)
    with pytest.raises(CapacityError, match="delays"):
        in_parts({"name": "ideal"}).open(NetworkSpec.feed_forward(6, 10, 3, delays="axonal"))
    with pytest.raises(CapacityError, match="several chips"):
        in_parts([CHIP, {**CHIP, "chip": 1}]).open(NETWORK, calibration=object())  # type: ignore[arg-type]


def test_it_travels_and_opens_from_a_configuration() -> None:
    backend = pickle.loads(pickle.dumps(in_parts(CHIP, tick=0.01)))
    assert backend == in_parts(CHIP, tick=0.01)
    spiking = replace(
        NETWORK,
        layers=tuple(replace(x, neuron=NeuronSpec(t_refractory=1.0)) for x in NETWORK.layers),
    )
    with backend.open(spiking, seed=1) as session:
        # Three shapes of parts a layer at most share sessions: whole runs, and what is left.
        assert session.n_open == 6
        assert session.plan.network is spiking
