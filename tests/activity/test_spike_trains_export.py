"""All spikes of networks with loops and delays in npz, Neo and NWB, there and back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import TimeBase
from hxloop.activity import (
    ActivityWriter,
    RecordedActivity,
    Spikes,
    read_activity,
    read_plain,
    to_neo,
    write_nwb,
    write_plain,
)
from hxloop.activity.formats.export import export_activity
from hxloop.activity.log.schema import network_to_json
from hxloop.activity.ragged import from_ragged
from hxloop.errors import FileFormatError, RunInputError
from hxloop.network import NetworkSpec, NeuronSpec
from tests.activity.activity_examples import further, run
from tests.activity.train_examples import (
    TRAINS,
    assert_holds_trains,
    assert_same_parameters,
    recorded,
    train_run,
    trains,
)


@st.composite
def states(draw):
    """States of a chain without a description, of one with it, or of the network with loops."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, most = draw(st.integers(1, 5)), draw(st.integers(0, 5))
    kind = draw(st.sampled_from(["unknown", "chain", "loops"]))
    if kind == "loops":
        return recorded(draw(st.integers(0, 9)), n, draw(st.sampled_from(["trained", "recorded"])))
    sizes = draw(st.lists(st.integers(1, 4), min_size=2, max_size=4))
    neuron = NeuronSpec(t_refractory=draw(st.floats(0, 3)))
    network = NetworkSpec.feed_forward(*sizes, neuron=neuron) if kind == "chain" else None
    inputs, *layers = (trains(rng, n, size, most) for size in sizes)
    return RecordedActivity(
        draw(st.sampled_from(["trained", "recorded", "epoch-003"])),
        inputs.first,
        tuple(spikes.first for spikes in layers),
        rng.integers(0, sizes[-1], n),
        rng.integers(-1, sizes[-1], n),
        network=network,
        input_trains=inputs,
        spike_trains=tuple(layers),
    )


@settings(max_examples=60, deadline=None)
@given(state=states())
def test_npz_there_and_back(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    write_plain(path, [state])
    (got,) = read_plain(path).values()
    assert got.name == state.name and got.network == state.network
    assert got.inputs == state.inputs and got.spikes == state.spikes
    assert np.array_equal(got.output_times, state.output_times)
    for field in ("labels", "decisions", "input_times"):
        assert np.array_equal(getattr(got, field), getattr(state, field))
    if state.weights is not None:
        assert_same_parameters(got.parameters, state.parameters)


def test_npz_of_several_states_and_a_part(tmp_path):
    path = tmp_path / "a.npz"
    write_plain(path, [recorded(0, name="untrained"), recorded(1, name="trained")])
    found = read_activity(path)
    assert_holds_trains(found["untrained"], [0])
    assert_holds_trains(found["trained"], [1])
    part = read_activity(path, ["trained"], [7, 2])["trained"]
    assert part.spikes == tuple(each.select([7, 2]) for each in train_run(1)[0].spikes)


def test_neo_holds_every_spike_of_a_network_with_loops(tmp_path):
    state = recorded(2, 6)
    block = to_neo(state, TimeBase(1e-2), samples=[4, 1], units="s")
    assert [group.name for group in block.groups] == ["input", "first", "chooser", "late"]
    for layer, (group, spikes) in enumerate(
        zip(block.groups, (state.inputs, *state.spikes), strict=True)
    ):
        n = spikes.n_units
        held = [
            (position, train.annotations["neuron"], float(time))
            for position in range(2)
            for train in group.spiketrains[position * n : (position + 1) * n]
            for time in train.magnitude
        ]
        samples, units, times = zip(*held, strict=True) if held else ((), (), ())
        back = Spikes.from_events(samples, units, np.array(times) * 100, batch=2, n_units=n)
        expected = spikes.select([4, 1])
        assert np.array_equal(back.count, expected.count), layer
        np.testing.assert_allclose(back.times, expected.times, rtol=1e-14)


def test_nwb_holds_every_spike_of_a_network_with_loops(tmp_path):
    from pynwb import NWBHDF5IO

    state = recorded(3, 5)
    write_nwb(tmp_path / "a.nwb", state, TimeBase(1e-2))
    with NWBHDF5IO(tmp_path / "a.nwb", "r") as io:
        file = io.read()
        first_digest = file.identifier
        trials, units = file.trials.to_dataframe(), file.units.to_dataframe()
    starts = trials.start_time.to_numpy()
    for name, spikes in zip(state.layer_names, (state.inputs, *state.spikes), strict=True):
        of_layer = units[units.layer == name]
        assert len(of_layer) == spikes.n_units
        when = [np.asarray(train) for train in of_layer.spike_times]
        all_times = np.concatenate(when)
        samples = np.searchsorted(starts, all_times, side="right") - 1
        neurons = np.repeat(of_layer.neuron.to_numpy(), [len(train) for train in when])
        back = Spikes.from_events(
            samples, neurons, (all_times - starts[samples]) * 100, batch=5, n_units=spikes.n_units
        )
        assert np.array_equal(back.count, spikes.count)
        np.testing.assert_allclose(back.times, spikes.times, rtol=0, atol=1e-11)
    # Two recordings with the same first spikes are two.
    once = replace(state, input_trains=None, spike_trains=None)
    write_nwb(tmp_path / "b.nwb", once, TimeBase(1e-2))
    with NWBHDF5IO(tmp_path / "b.nwb", "r") as io:
        assert io.read().identifier != first_digest


def test_what_a_format_has_no_place_for_is_told(tmp_path):
    source = tmp_path / "activity.h5"
    with ActivityWriter(source, TRAINS) as log, log.state("trained", split="test") as state:
        state.append(*train_run(0))
    activity = train_run(0)[0]
    n = sum(spikes.n_spikes for spikes in (activity.inputs, *activity.spikes))
    nwb = export_activity(source, tmp_path / "a.nwb", "nwb")
    assert nwb["left_out"] == ["delays", "network", "runs", "weights"] and nwb["spikes"] == n
    npz = export_activity(source, tmp_path / "a.npz", "npz")
    assert npz["left_out"] == ["runs", "split"] and npz["spikes"] == n
    assert_holds_trains(read_activity(tmp_path / "a.npz")["trained"], [0])


def test_further_spikes_of_earlier_logs_are_in_every_format(tmp_path):
    activity, labels, decisions = run(1)
    state = RecordedActivity(
        "trained", activity.input_times, activity.first_spike_times, labels, decisions,
        further_spikes=further(1),
    )  # fmt: skip
    assert sum(spikes.n_spikes for spikes in state.spikes) == sum(
        int(np.isfinite(first).sum()) + len(more.times)
        for first, more in zip(state.layer_times, further(1), strict=True)
    )
    write_plain(tmp_path / "a.npz", [state])
    assert read_plain(tmp_path / "a.npz")["trained"].spikes == state.spikes


def arrays(**changes):
    rng = np.random.default_rng(0)
    inputs, output = trains(rng, 6, 4), trains(rng, 6, 3)
    content = {
        "input": inputs.first, "output": output.first, "label": rng.integers(0, 3, 6),
        "spikes.output.times": output.times, "spikes.output.units": output.units,
        "spikes.output.ends": output.offsets[1:],
    }  # fmt: skip
    return content | {
        name: change(content[name]) if name in content else change
        for name, change in changes.items()
    }


BAD = {
    "'spikes.output': spike 0 (sample": {"spikes.output.times": lambda times: times[::-1].copy()},
    "expected 0 to 2; got 9": {"spikes.output.units": lambda units: units * 0 + 9},
    "expected floating-point times and whole": {
        "spikes.output.units": lambda units: units.astype(float)
    },
    "and int64 (6,)": {"spikes.output.times": lambda times: times.astype(int)},
    "where the last sample ends; got": {"spikes.output.ends": lambda ends: ends + 1},
    "sample 1 ends before it begins": {"spikes.output.ends": lambda ends: ends[::-1].copy()},
    "expected spikes of 3 neurons in 6 samples": {
        "spikes.output.ends": lambda ends: np.append(ends, ends[-1])
    },
    "the first of all spikes of sample": {"output": lambda output: output + 0.5},
    "'network': expected text": {"network": np.ones(3)},
    "description of the network is damaged": {"network": np.array("{}")},
    "'network' has 3 populations; expected 1": {
        "network": np.array(network_to_json(NetworkSpec.feed_forward(4, 3, 3, 3)))
    },
}  # fmt: skip


@pytest.mark.parametrize("told", BAD)
def test_lists_that_make_no_sense_are_refused(tmp_path, told):
    np.savez(tmp_path / "a.npz", **arrays(**BAD[told]))
    with pytest.raises(FileFormatError) as caught:
        read_activity(tmp_path / "a.npz")
    assert str(caught.value).startswith(str(tmp_path / "a.npz")) and told in str(caught.value)


def test_a_list_without_its_other_columns_is_told(tmp_path):
    content = arrays()
    del content["spikes.output.ends"]
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(FileFormatError, match=r"no array 'spikes\.output\.ends'"):
        read_activity(tmp_path / "a.npz")


def test_ragged_lists_of_nothing():
    none = np.empty(0)
    assert from_ragged(none, none.astype(int), np.zeros(3, int), 2, "x").n_spikes == 0
    with pytest.raises(FileFormatError, match="in one axis each"):
        from_ragged(none[None], none.astype(int), np.zeros(3, int), 2, "x")


def test_states_of_trains_check_themselves():
    state = recorded()
    with pytest.raises(RunInputError, match="expected one of them"):
        replace(state, further_spikes=further(1))
    with pytest.raises(RunInputError, match="delays without the network"):
        replace(state, network=None)
    slow = tuple(None if delay is None else -delay for delay in state.delays)
    with pytest.raises(RunInputError, match="delays of projection 0 are not all finite and 0"):
        replace(state, delays=slow)
