"""NEST, NEURON and Brian2 through PyNN, against the ideal substrate."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch

from hxloop import (
    LatencyEncoding,
    LoopNetwork,
    NetworkSpec,
    NeuronSpec,
    SpikeData,
    Trainer,
    TrainingOptions,
    get_backend,
    get_loss,
    initial_weights,
    yin_yang,
)
from hxloop.errors import CapacityError, RunFailed, RunInputError, SessionClosedError

SIMULATORS = {
    "pynn-nest": {},
    "pynn-neuron": {"dt": 1 / 50},
    "pynn-brian2": {"dt": 1 / 50},
}
NETWORK = NetworkSpec.feed_forward(5, 12, 3, t_window=4.0)
WEIGHTS = initial_weights(NETWORK, (1.5, 0.8), (0.8, 0.8), seed=1)


def inputs(batch, seed=0, silent=0.1):
    rng = np.random.default_rng(seed)
    times = rng.uniform(0.0, 2.0, (batch, 5))
    times[rng.random(times.shape) < silent] = np.inf
    return times


# One session for each simulator, for all tests that need no network of their own.
OPEN = {}


@pytest.fixture(scope="module", params=sorted(SIMULATORS))
def simulator(request):
    yield request.param
    if request.param in OPEN:
        OPEN.pop(request.param).close()


@pytest.fixture
def session(simulator):
    if simulator not in OPEN:
        OPEN[simulator] = get_backend(simulator, **SIMULATORS[simulator]).open(NETWORK, seed=3)
    return OPEN[simulator]


def another(simulator, network=NETWORK, **options):
    """A session with a network of its own: closes the common one, which is then opened anew."""
    if simulator in OPEN:
        OPEN.pop(simulator).close()
    return get_backend(simulator, **(SIMULATORS[simulator] | options)).open(network)


# Brian2 takes seconds to build a network: what is the same code for all is not tested on it twice.
slow_brian2 = pytest.param("pynn-brian2", marks=pytest.mark.slow)
only = lambda *names: pytest.mark.parametrize("simulator", names, indirect=True)  # noqa: E731


def ideal(network, weights, times):
    with get_backend("ideal").open(network) as reference:
        return reference.run(weights, times)


def compare(activity, network, resolution):
    """Layer by layer against exact times, for inputs as delivered and weights as held.

    ``time_resolution`` holds for a membrane that crosses the threshold; one that only grazes it
    multiplies an error, or decides otherwise: rare, and on a time grid only.
    """
    reference = ideal(network, activity.weights_used, activity.input_times)
    previous = activity.input_times
    for index, (found, layer) in enumerate(
        zip(activity.first_spike_times, network.layers, strict=True)
    ):
        one = NetworkSpec(network.sizes[index], (layer,), network.t_window)
        exact = ideal(one, [activity.weights_used[index]], previous).output_times
        both = np.isfinite(found) & np.isfinite(exact)
        error = np.abs(found[both] - exact[both])
        assert both.any()
        assert np.quantile(error, 0.95) <= resolution
        otherwise = np.isfinite(found) != np.isfinite(exact)
        assert otherwise.mean() <= (0 if resolution < 1e-5 else 0.02)
        previous = found
    return reference


def test_spike_times_agree_with_the_ideal_substrate(session):
    activity = session.run(WEIGHTS, inputs(40))
    reference = compare(activity, NETWORK, session.capabilities.time_resolution)
    for found, exact in zip(activity.first_spike_times, reference.first_spike_times, strict=True):
        assert np.isfinite(exact).mean() > 0.2
        both = np.isfinite(found) & np.isfinite(exact)
        # The delay and the mean half step are gone: what is left has no sign.
        assert (
            abs(np.median(found[both] - exact[both])) <= 0.25 * session.capabilities.time_resolution
        )


@only("pynn-nest")
def test_nest_is_exact_and_makes_no_wrong_decision(session):
    activity = session.run(WEIGHTS, inputs(60, seed=4))
    reference = ideal(NETWORK, WEIGHTS, inputs(60, seed=4))
    for found, exact in zip(activity.first_spike_times, reference.first_spike_times, strict=True):
        assert np.array_equal(np.isfinite(found), np.isfinite(exact))
        both = np.isfinite(exact)
        assert np.abs(found[both] - exact[both]).max() <= 1e-6
    assert np.array_equal(activity.input_times, inputs(60, seed=4))
    assert activity.info.rounded_inputs == 0


def test_what_is_reported_of_a_run(session, simulator):
    times = inputs(6)
    times[0] = [0.0, 0.0, 4.0, np.inf, 4.5]
    times.setflags(write=False)
    weights = [matrix.copy() for matrix in WEIGHTS]
    for matrix in weights:
        matrix.setflags(write=False)
    activity = session.run(weights, times, trial=3)
    info = activity.info
    assert info.backend == simulator
    package = {"pynn-nest": "nest-simulator", "pynn-neuron": "neuron", "pynn-brian2": "brian2"}[
        simulator
    ]
    assert set(info.versions) >= {"hxloop", "PyNN", package}
    assert info.duration_seconds > 0
    assert info.clipped_weights == (0, 0)
    assert info.lost_spikes == 0
    for used, given in zip(activity.weights_used, weights, strict=True):
        assert np.array_equal(used, given)
        assert used is not given
    # As delivered: on the grid where there is one, and never by more than half a step.
    step = SIMULATORS[simulator].get("dt", 0.0)
    inside = times <= NETWORK.t_window
    assert np.abs(activity.input_times[inside] - times[inside]).max() <= step / 2 + 1e-12
    assert np.array_equal(activity.input_times[~inside], times[~inside])
    if step:
        steps = activity.input_times[inside] / step
        assert np.abs(steps - np.rint(steps)).max() < 1e-9
        assert 0 < info.rounded_inputs <= inside.sum() - 3  # 0, 0 and 4 were on the grid


def test_a_b_a_and_no_sample_feels_its_neighbours(session):
    first, second = inputs(9, seed=1), inputs(9, seed=2)
    a = session.run(WEIGHTS, first)
    session.run([-WEIGHTS[0], WEIGHTS[1]], second)
    again = session.run(WEIGHTS, first)
    order = np.random.default_rng(0).permutation(9)
    shuffled = session.run(WEIGHTS, first[order])
    few = session.run(WEIGHTS, first[3:5])
    # What is left of the sample before; on a grid, the same steps give the same spikes.
    tolerance = 1e-7
    for x, y, z, w in zip(
        a.first_spike_times, again.first_spike_times, shuffled.first_spike_times,
        few.first_spike_times, strict=True,
    ):  # fmt: skip
        assert np.array_equal(x, y)
        np.testing.assert_allclose(z, x[order], rtol=0, atol=tolerance)
        np.testing.assert_allclose(w, x[3:5], rtol=0, atol=tolerance)


def test_silence_and_simultaneous_inputs(session):
    silent = session.run(WEIGHTS, np.full((2, 5), np.inf))
    assert all(np.isinf(times).all() for times in silent.first_spike_times)
    nothing = session.run([np.zeros_like(matrix) for matrix in WEIGHTS], inputs(2))
    assert all(np.isinf(times).all() for times in nothing.first_spike_times)
    inhibitory = session.run([-np.abs(WEIGHTS[0]), WEIGHTS[1]], inputs(2))
    assert all(np.isinf(times).all() for times in inhibitory.first_spike_times)
    together = session.run(WEIGHTS, np.full((3, 5), 1.0))
    compare(together, NETWORK, session.capabilities.time_resolution)


def test_strong_weights_spike_once_and_late_spikes_are_counted(session):
    strong = [np.full(shape, 8.0) for shape in NETWORK.shapes]
    times = inputs(5, silent=0)
    activity = session.run(strong, times)
    compare(activity, NETWORK, session.capabilities.time_resolution)
    assert activity.info.discarded_spikes == 0
    # A last input just before the window's end drives all neurons beyond it.
    late = np.full((5, 5), 3.9)
    activity = session.run([np.full(shape, 0.6) for shape in NETWORK.shapes], late)
    assert all(np.isinf(times).all() for times in activity.first_spike_times)
    if activity.info.discarded_spikes:
        assert activity.info.discarded_spikes >= 5 * 12
    # And the sample after is not disturbed by what is still going on.
    mixed = late.copy()
    mixed[1::2] = times[1::2]
    found = session.run(strong, mixed)
    compare(found, NETWORK, session.capabilities.time_resolution)


def test_gradient_agrees_with_the_ideal_substrate(session):
    labels = torch.tensor([0, 1, 2] * 4)
    loss = get_loss("time-to-first-spike")
    cosines = []
    for seed in range(3):
        times = torch.from_numpy(np.rint(inputs(12, seed, silent=0) * 50) / 50)
        gradients = []
        for opened in (session, get_backend("ideal").open(NETWORK)):
            network = LoopNetwork(opened, WEIGHTS)
            output, _ = network(times)
            loss(output, labels).backward()
            gradients.append(torch.cat([w.grad.ravel() for w in network.weights]).numpy())
        found, exact = gradients
        cosines.append(found @ exact / np.sqrt((found @ found) * (exact @ exact)))
    if simulator == "pynn-nest":
        assert min(cosines) > 1 - 1e-6
    else:  # the gradient of a grazing spike is as wrong as its time: in one batch or the other
        assert np.median(cosines) > 0.95


def test_only_one_session_for_a_simulator(session, simulator):
    with pytest.raises(CapacityError, match="one network in a process"):
        get_backend(simulator).open(NETWORK)
    assert session.run(WEIGHTS, inputs(2)).batch == 2


def test_a_run_that_dies_is_reported_and_the_next_one_works(session, simulator, monkeypatch):
    before = session.run(WEIGHTS, inputs(3))

    def dies(*args):
        raise ZeroDivisionError("the simulator broke down")

    with monkeypatch.context() as patch:
        patch.setattr(importlib.import_module(f"pyNN.{simulator[5:]}"), "run", dies)
        with pytest.raises(RunFailed, match="broke down") as caught:
            session.run(WEIGHTS, inputs(3))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert not caught.value.retryable
    after = session.run(WEIGHTS, inputs(3))
    for x, y in zip(before.first_spike_times, after.first_spike_times, strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("ratio", "n_inputs"), [(2.0, 1), pytest.param(1.7, 3, marks=pytest.mark.slow)]
)
def test_other_time_constants_potentials_and_sizes_after_reopening(simulator, ratio, n_inputs):
    neuron = NeuronSpec(tau_mem=ratio, v_leak=0.1, v_threshold=0.6, v_reset=-0.5)
    network = NetworkSpec.feed_forward(n_inputs, 4, 1, neuron=neuron, t_window=3.0)
    row = np.array([[1.5, 2.0, 3.0, -1.0]])
    weights = [np.tile(row, (n_inputs, 1)), np.full((4, 1), 1.0)]
    times = np.linspace(0, 1, 3)[:, None] + np.linspace(0, 0.3, n_inputs)
    with another(simulator, network) as opened:
        activity = opened.run(weights, times)
        compare(activity, network, opened.capabilities.time_resolution)
        assert np.isfinite(activity.output_times).all()
        opened.close()
        opened.close()
        with pytest.raises(SessionClosedError):
            opened.run(weights, times)


@only("pynn-neuron")
def test_closing_neuron_frees_the_cells(simulator):
    """Cells that are not freed are integrated in all later sessions: each is slower."""
    counts = []
    for _ in range(2):
        with another(simulator) as opened:
            opened.run(WEIGHTS, inputs(2))
            from neuron import h

            counts.append(len(list(h.allsec())))
    remaining = len(list(h.allsec()))
    assert counts[0] == counts[1] == remaining + 12 + 3


@only("pynn-nest", "pynn-neuron", slow_brian2)
def test_weights_beyond_the_range_are_clipped_and_counted_or_refused(simulator):
    weights = [np.full(shape, 0.4) for shape in NETWORK.shapes]
    weights[0][:2, 0] = [3.0, -3.0]
    with another(simulator, weight_limit=2.0) as opened:
        assert opened.capabilities.weight_limit == 2.0
        activity = opened.run(weights, inputs(2))
        assert activity.info.clipped_weights == (2, 0)
        assert activity.weights_used[0][:2, 0].tolist() == [2.0, -2.0]
    with (
        another(simulator, weight_limit=2.0, clip_weights=False) as opened,
        pytest.raises(RunInputError, match="2 weights lie beyond"),
    ):
        opened.run(weights, inputs(2))


@only("pynn-neuron", slow_brian2)
def test_the_error_falls_linearly_with_the_time_step(simulator):
    errors = []
    for dt in (1 / 25, 1 / 100):
        with another(simulator, dt=dt) as opened:
            activity = opened.run(WEIGHTS, np.rint(inputs(10) * 25) / 25)
        exact = ideal(NETWORK, WEIGHTS, activity.input_times).first_spike_times[0]
        found = activity.first_spike_times[0]
        both = np.isfinite(found) & np.isfinite(exact)
        errors.append(np.quantile(np.abs(found[both] - exact[both]), 0.9))
    assert 2.5 < errors[0] / errors[1] < 6.5  # 4 for a linear fall, 16 for a quadratic one


def test_training_through_the_simulator_learns(simulator):
    size, epochs = (60, 4) if simulator == "pynn-nest" else (20, 2)
    network = NetworkSpec.feed_forward(5, 20, 3, t_window=4.0)
    samples = yin_yang(size, 42)
    data = SpikeData(LatencyEncoding().encode(samples.samples), samples.labels)
    options = TrainingOptions(epochs=epochs, batch_size=20, learning_rate=0.01)
    with another(simulator, network) as opened:
        loop = LoopNetwork(opened, initial_weights(network, (1.5, 0.5), (0.8, 0.8), seed=0))
        result = Trainer(loop, get_loss("time-to-first-spike"), data, data, options).fit()
    losses = [metrics["train_loss"] for metrics in result.metrics]
    assert losses[-1] < losses[0]
