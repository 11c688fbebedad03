"""Activity logs: what is written is read, whole and in parts, and bad files are told."""

from __future__ import annotations

import os
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.activity import ActivityLog, ActivityWriter, RecordedActivity, read_activity
from hxloop.activity.log.chunks import write_dataset
from hxloop.activity.log.schema import network_from_json, network_to_json, state_order
from hxloop.errors import FileFormatError, OutputError, RunInputError, UnknownNameError
from hxloop.network import NetworkSpec
from tests.activity.activity_examples import BATCH, NETWORK, assert_holds, further, run, weights
from tests.activity.activity_files import write


def test_what_is_written_is_read(path):
    states = read_activity(path)
    assert list(states) == ["untrained", "epoch-002", "epoch-010", "trained"]
    for name, state in states.items():
        assert_holds(state, range(3))
        assert (state.name, state.split) == (name, "test")
    assert [state.epoch for state in states.values()] == [1, 3, 2, 0]
    with ActivityLog.open(path) as log:
        assert log.about == {"seed": 3}
        assert all(log.is_complete(name) for name in log.states)


def test_a_file_grows_by_states_and_keeps_the_others_byte_for_byte(path):
    with h5py.File(path) as file:
        before = file["states/trained/layers/0/first_spike_times"].id.read_direct_chunk((0, 0))
    write(path, ["more"], n_runs=1)
    with h5py.File(path) as file:
        after = file["states/trained/layers/0/first_spike_times"].id.read_direct_chunk((0, 0))
        assert before == after
    assert_holds(read_activity(path)["more"], [0])


def test_a_state_of_the_same_name_is_replaced_and_others_are_dropped(path):
    write(path, ["trained"], n_runs=2)
    assert_holds(read_activity(path)["trained"], range(2))
    ActivityWriter(path, NETWORK).drop(["trained", "epoch-010", "unknown"])
    assert list(read_activity(path)) == ["untrained", "epoch-002"]


def test_growing_loses_nothing(tmp_path):
    # 1024 samples and 64 runs fit at first; texts of runs become longer and times more precise.
    path = tmp_path / "activity.h5"
    with ActivityWriter(path, NETWORK) as log, log.state("trained") as state:
        for i in range(70):
            activity, labels, decisions = run(i)
            info = replace(activity.info, versions={"a": "x" * 40 * i})
            state.append(replace(activity, info=info), labels, decisions)
    recorded = read_activity(path)["trained"]
    assert [info.versions["a"] for info in recorded.runs] == ["x" * 40 * i for i in range(70)]
    assert_holds(replace(recorded, runs=tuple(run(i)[0].info for i in range(70))), range(70))


def test_precision_is_kept_and_the_larger_one_where_runs_differ(tmp_path):
    path = tmp_path / "activity.h5"
    with ActivityWriter(path, NETWORK) as log:
        for name, kinds in {"single": ["f4", "f4"], "mixed": ["f4", "f8"]}.items():
            with log.state(name) as state:
                for i, kind in enumerate(kinds):
                    state.append(*run(i, dtype=kind))
    states = read_activity(path)
    assert states["single"].input_times.dtype == np.float32
    assert_holds(states["single"], range(2))
    mixed = states["mixed"].layer_times[1]
    assert mixed.dtype == np.float64
    assert np.array_equal(mixed[:BATCH], run(0, dtype="f4")[0].first_spike_times[1])
    assert np.array_equal(mixed[BATCH:], run(1)[0].first_spike_times[1])


def test_further_spikes_are_kept_with_samples_counted_on(tmp_path):
    path = tmp_path / "activity.h5"
    with ActivityWriter(path, NETWORK) as log, log.state("trained") as state:
        for i in range(4):
            state.append(*run(i), further(i))
        with pytest.raises(RunInputError, match="further spikes in all runs or in none"):
            state.append(*run(4))
    for layer, got in enumerate(read_activity(path)["trained"].further_spikes):
        parts = [further(i)[layer] for i in range(4)]
        shifted = [part.samples + BATCH * i for i, part in enumerate(parts)]
        assert np.array_equal(got.samples, np.concatenate(shifted))
        assert np.array_equal(got.neurons, np.concatenate([part.neurons for part in parts]))
        assert np.array_equal(got.times, np.concatenate([part.times for part in parts]))
    chosen = [25, 3, 3]
    part = read_activity(path, samples=chosen)["trained"].further_spikes
    for layer, got in enumerate(part):
        for number, sample in enumerate(chosen):
            spikes = further(sample // BATCH)[layer]
            for name in ("neurons", "times"):
                expected = getattr(spikes, name)[spikes.samples == sample % BATCH]
                assert np.array_equal(getattr(got, name)[got.samples == number], expected)


@pytest.mark.parametrize(
    "samples",
    [slice(0, 5), slice(-7, None), slice(50, 2, -3), slice(100, 200, 7), [3, 1, 1], [-1]],
)
def test_a_part_is_that_part_of_the_whole(path, samples):
    whole = read_activity(path)["trained"]
    with ActivityLog.open(path) as log:
        expected = whole.layer_times[1][samples]
        assert np.array_equal(log.layer_times("trained", 1, samples), expected)
        assert np.array_equal(log.layer_times("trained", -2, samples), expected)
        if len(expected) == 0:
            with pytest.raises(FileFormatError, match="at least one sample"):
                log.read("trained", samples)
            return
        part = log.read("trained", samples)
    for name in ("input_times", "labels", "decisions"):
        assert np.array_equal(getattr(part, name), getattr(whole.select(samples), name))


def test_a_part_is_read_without_the_rest(tmp_path):
    # The chunks of all other samples are overwritten with rubbish.
    path = tmp_path / "activity.h5"
    with ActivityWriter(path, NETWORK) as log, log.state("trained") as state:
        for i in range(100):
            state.append(*run(i, 100))
    with h5py.File(path, "r+") as file:
        dataset = file["states/trained/layers/0/first_spike_times"]
        assert dataset.id.get_num_chunks() > 1
        chunk = dataset.id.get_chunk_info(1)
    with path.open("rb+") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\xff" * chunk.size)
    with ActivityLog.open(path) as log:
        first = log.layer_times("trained", 0, slice(0, 100))
        assert np.array_equal(first, run(0, 100)[0].first_spike_times[0])
        with pytest.raises(FileFormatError, match="activity"):
            log.layer_times("trained", 0)


def test_any_hdf5_reader_understands_it(path):
    with h5py.File(path) as file:
        assert dict(file.attrs) | {"network": 0, "about": 0, "created_with": 0} == {
            "schema": "hxloop-activity", "version": 1, "time_unit": "tau_syn", "silent": "inf",
            "weight_unit": "unit of v_threshold", "network": 0, "about": 0, "created_with": 0,
        }  # fmt: skip
        times = file["states/trained/layers/2/first_spike_times"]
        assert (times.attrs["unit"], times.compression, times.shuffle) == ("tau_syn", "gzip", True)
        assert file["states/trained/weights.0"].attrs["unit"] == "unit of v_threshold"


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(0, 300),
    columns=st.integers(1, 400),
    kind=st.sampled_from(["f8", "f4", "i8", "S5"]),
    noise=st.booleans(),
    seed=st.integers(0, 99),
)
def test_compressed_datasets_are_read_by_hdf5_itself(rows, columns, kind, noise, seed):
    rng = np.random.default_rng(seed)
    values = rng.random((rows, columns)) if noise else rng.integers(0, 3, (rows, columns))
    values = (values.astype("f8") if kind == "S5" else values).astype(kind)
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        write_dataset(file, "a/b", values.shape, values.dtype, lambda a, b: values[a:b], True)
        assert np.array_equal(file["a/b"][()], values)


def test_networks_survive_their_description():
    assert network_from_json(network_to_json(NETWORK)) == NETWORK
    names = ["z", "trained", "epoch-1000", "epoch-020", "untrained", "b"]
    ordered = ["untrained", "epoch-020", "epoch-1000", "trained", "b", "z"]
    assert sorted(names, key=state_order) == ordered


# --- what is refused ----------------------------------------------------------------------


def test_activity_that_does_not_fit_is_refused_and_leaves_no_trace(tmp_path):
    path = tmp_path / "activity.h5"
    activity, labels, decisions = run(1)
    late = activity.first_spike_times[0].copy()
    late[3, 2] = np.nan
    with ActivityWriter(path, NETWORK) as log, log.state("trained") as state:
        state.append(*run(0))
        with pytest.raises(RunInputError, match="layer 1: the time of sample 3, neuron 2 is nan"):
            times = (late, *activity.first_spike_times[1:])
            state.append(replace(activity, first_spike_times=times), labels, decisions)
        with pytest.raises(RunInputError, match="labels: number 0 is 3; expected 0 to 2"):
            state.append(activity, labels * 0 + 3, decisions)
        with pytest.raises(RunInputError, match=r"decisions: expected int64 \(20,\)"):
            state.append(activity, labels, decisions[:-1])
        with pytest.raises(RunInputError, match="weights of layer 0 are not those of its first"):
            state.append(replace(activity, weights_used=weights(1)), labels, decisions)
        with pytest.raises(RunInputError, match="further spikes of 3 layers; got 1"):
            state.append(activity, labels, decisions, further(1)[:1])
        state.append(*run(1))
    assert_holds(read_activity(path)["trained"], range(2))


@pytest.mark.parametrize("name", ["", "a/b", "../a", ".", "a b"])
def test_odd_names_of_states_are_refused(tmp_path, name):
    with pytest.raises(OutputError, match="expected a name of letters"):
        ActivityWriter(tmp_path / "a.h5", NETWORK).state(name)


def test_another_network_is_refused(path):
    other = NetworkSpec.feed_forward(7, 6, 5, 3)
    with pytest.raises(FileFormatError, match="is a log of the network 7-6-5-3, whose settings"):
        ActivityWriter(path, other)


def damaged(change):
    def damage(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return damage


def set_value(name, place, value):
    def change(file):
        values = file[name][()]
        values[place] = value
        file[name][...] = values

    return damaged(change)


TRAINED = "states/trained"


DAMAGE = {
    "there is no such file": lambda path: path.unlink(),
    "it is empty": lambda path: path.write_bytes(b""),
    "it is neither": lambda path: path.write_text("spikes"),
    "truncated file": lambda path: os.truncate(path, path.stat().st_size // 2),
    "of another program": damaged(lambda file: file.attrs.pop("schema")),
    "expected version 1 to 3 of the layout; got 4": damaged(
        lambda file: file.attrs.modify("version", 4)
    ),
    "description of the network is damaged": damaged(
        lambda file: file.attrs.modify("network", '{"n_inputs": 7}')
    ),
    "layers/1/first_spike_times is missing": damaged(
        lambda file: file.pop(f"{TRAINED}/layers/1/first_spike_times")
    ),
    "weights.2 is missing": damaged(lambda file: file.pop(f"{TRAINED}/weights.2")),
    "runs_done is missing": damaged(lambda file: file.pop(f"{TRAINED}/runs_done")),
    "counts 9 runs; there are at most 3": set_value(f"{TRAINED}/runs_done", 0, 9),
    "layer 2: the time of sample 4, neuron 1 is nan": set_value(
        f"{TRAINED}/layers/1/first_spike_times", (4, 1), np.nan
    ),
    "layer 1: the time of sample 4, neuron 1 is -1": set_value(
        f"{TRAINED}/layers/0/first_spike_times", (4, 1), -1.0
    ),
    "labels: number 5 is 3; expected 0 to 2": set_value(f"{TRAINED}/labels", 5, 3),
    "decisions: number 5 is -2": set_value(f"{TRAINED}/decisions", 5, -2),
    "weights of layer 0 are not all finite": set_value(f"{TRAINED}/weights.0", (0, 0), np.inf),
    "record of a run is damaged": set_value(f"{TRAINED}/runs/info", 1, b"{"),
    "has 60 rows; expected 70": set_value(f"{TRAINED}/runs/ends", (2, 0), 70),
}


@pytest.mark.parametrize("told", DAMAGE)
def test_damaged_files_are_told(path, told):
    DAMAGE[told](path)
    with pytest.raises(FileFormatError) as caught:
        read_activity(path)
    assert str(caught.value).startswith(str(path)) and told in str(caught.value)


def test_a_file_cut_anywhere_is_refused_or_read_as_it_was(path, tmp_path):
    content, cut = path.read_bytes(), tmp_path / "cut.h5"
    for size in range(0, len(content), len(content) // 60):
        cut.write_bytes(content[:size])
        with pytest.raises(FileFormatError):
            read_activity(cut)


def test_unknown_states_and_layers_are_told_with_the_known_ones(path):
    with ActivityLog.open(path) as log:
        with pytest.raises(UnknownNameError, match="no state 'x'; there are: untrained, epoch-002"):
            log.read("x")
        with pytest.raises(UnknownNameError, match="expected a layer from 0 to 2; got 3"):
            log.layer_times("trained", 3)


def test_states_check_themselves():
    activity, labels, decisions = run(0)
    parts = ("trained", activity.input_times, activity.first_spike_times, labels, decisions)
    state = RecordedActivity(*parts, weights())
    assert state.layer_names == ("input", "layer 1", "layer 2", "output")
    assert state.accuracy == np.mean(labels == decisions)
    with pytest.raises(RunInputError, match="expected at least one layer"):
        RecordedActivity("a", activity.input_times, (), labels, decisions)
    with pytest.raises(RunInputError, match="expected weights of shapes"):
        RecordedActivity(*parts, weights()[:2])
    with pytest.raises(RunInputError, match="at least one sample"):
        state.select(slice(0, 0))
