"""Made-up spike trains: a network with a loop, delays and an output in its middle."""

from __future__ import annotations

import numpy as np

from hxloop.activity import Activity, RecordedActivity, RunInfo, Spikes
from hxloop.network import NetworkSpec, NeuronSpec, Parameters, Population, Projection

AGAIN = NeuronSpec(t_refractory=0.25)
# Its second population decides, its third one spikes once.
TRAINS = NetworkSpec(
    4,
    (Population("first", 5, AGAIN, 2), Population("chooser", 3, AGAIN), Population("late", 6)),
    t_window=4.0,
    projections=(
        Projection("input", "first", delays="axonal"),
        Projection("first", "first", delays="synaptic", min_delay=0.1),
        Projection("first", "chooser"),
        Projection("first", "late"),
    ),
    output="chooser",
)


def trains(rng, n, units, most=4):
    """Up to so many spikes of each neuron."""
    counts = rng.integers(0, most + 1, (n, units))
    samples, neurons = (np.repeat(i.ravel(), counts.ravel()) for i in np.indices(counts.shape))
    times = rng.uniform(0, 4, counts.sum())
    return Spikes.from_events(samples, neurons, times, batch=n, n_units=units)


def parameters(seed=0):
    rng = np.random.default_rng(seed)
    weights = tuple(rng.normal(size=shape) for shape in TRAINS.shapes)
    shapes = TRAINS.delay_shapes
    return Parameters(weights, tuple(None if s is None else rng.uniform(0.1, 1, s) for s in shapes))


def train_run(i, n=20):
    """Activity, labels and decisions of run ``i``."""
    rng = np.random.default_rng([7, i])
    spikes = (trains(rng, n, 5), trains(rng, n, 3), trains(rng, n, 6, most=1))
    activity = Activity.of_spikes(
        trains(rng, n, 4), spikes, parameters(), RunInfo("made-up", trial=i)
    )
    return activity, rng.integers(0, 3, n), rng.integers(-1, 3, n)


def recorded(i=0, n=20, name="trained", **changes):
    """Run ``i`` as a state."""
    activity, labels, decisions = train_run(i, n)
    fields = {
        "weights": activity.weights_used, "delays": activity.delays_used, "network": TRAINS,
        "input_trains": activity.inputs, "spike_trains": activity.spikes,
    }  # fmt: skip
    return RecordedActivity(
        name, activity.input_times, activity.first_spike_times, labels, decisions,
        **{**fields, **changes},
    )  # fmt: skip


def joined(parts):
    """Spikes of several runs, one after the other."""
    starts = np.cumsum([0, *(part.batch for part in parts)])
    return Spikes.from_events(
        np.concatenate([part.samples + start for part, start in zip(parts, starts, strict=False)]),
        np.concatenate([part.units for part in parts]),
        np.concatenate([part.times for part in parts]),
        batch=int(starts[-1]),
        n_units=parts[0].n_units,
    )


def assert_holds_trains(state, runs, n=20):
    """The state holds these runs, in order, and nothing else."""
    activities = [train_run(i, n)[0] for i in runs]
    assert state.inputs == joined([activity.inputs for activity in activities])
    for layer, got in enumerate(state.spikes):
        assert got == joined([activity.spikes[layer] for activity in activities])
        assert np.array_equal(got.first, state.layer_times[layer])
    assert np.array_equal(state.inputs.first, state.input_times)
    assert np.array_equal(state.labels, np.concatenate([train_run(i, n)[1] for i in runs]))
    assert np.array_equal(state.decisions, np.concatenate([train_run(i, n)[2] for i in runs]))
    assert_same_parameters(state.parameters, parameters())
    assert state.network == TRAINS


def assert_same_parameters(got, expected):
    got, expected = got.named(), expected.named()
    assert got.keys() == expected.keys()
    assert all(np.array_equal(got[name], expected[name]) for name in expected)
