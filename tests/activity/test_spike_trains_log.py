"""Activity logs of networks whose neurons spike more than once: all of it, and whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import h5py
import numpy as np
import pytest

from hxloop.activity import Activity, ActivityLog, ActivityWriter, RunInfo, Spikes, read_activity
from hxloop.errors import FileFormatError, RunInputError
from hxloop.network import NetworkSpec
from tests.activity.activity_examples import NETWORK, run
from tests.activity.train_examples import (
    TRAINS,
    assert_holds_trains,
    parameters,
    train_run,
    trains,
)

STATE = "states/trained"
FIRST = f"{STATE}/layers/0/spikes"


@pytest.fixture
def path(tmp_path):
    with ActivityWriter(tmp_path / "a.h5", TRAINS) as log, log.state("trained") as state:
        for i in range(3):
            state.append(*train_run(i))
    return tmp_path / "a.h5"


def test_all_spikes_and_delays_there_and_back(path):
    state = read_activity(path)["trained"]
    assert_holds_trains(state, range(3))
    assert state.layer_names == ("input", "first", "chooser", "late")
    assert state.n_outputs == 3
    assert np.array_equal(state.output_times, state.layer_times[1])
    with h5py.File(path) as file:
        assert file.attrs["version"] == 2
        group = file[STATE]
        assert "input_times" not in group and "first_spike_times" not in group["layers/0"]
        assert "spikes" not in group["layers/2"]  # these spike once
        ends = group["layers/0/spikes/ends"][()]
        assert ends[-1] == len(group["layers/0/spikes/times"]) == group["runs/ends"][-1, 1]


@pytest.mark.parametrize(
    "samples", [slice(0, 5), slice(-7, None), slice(50, 2, -3), [30, 1, 1], [-1], [0]]
)
def test_a_part_is_that_part_of_the_whole(path, samples):
    whole = read_activity(path)["trained"]
    with ActivityLog.open(path) as log:
        part = log.read("trained", samples)
        assert log.inputs("trained", samples) == whole.inputs.select(samples) == part.inputs
        for layer in range(3):
            expected = whole.spikes[layer].select(samples)
            assert log.spikes("trained", layer, samples) == expected == part.spikes[layer]
            assert np.array_equal(log.layer_times("trained", layer, samples), expected.first)
        assert np.array_equal(log.input_times("trained", samples), part.inputs.first)
    chosen = whole.select(samples)
    assert chosen.inputs == part.inputs and chosen.spikes == part.spikes


def test_a_log_grows_past_its_room_and_is_packed(tmp_path):
    for compress in (False, True):
        path = tmp_path / f"{compress}.h5"
        with ActivityWriter(path, TRAINS, compress=compress) as log:
            with log.state("trained", n_samples=20 * 40) as state:
                for i in range(40):
                    state.append(*train_run(i))
            with log.state("more") as state:
                state.append(*train_run(1))
        states = read_activity(path)
        assert_holds_trains(states["trained"], range(40))
        assert_holds_trains(states["more"], [1])


WRITES = """
import sys
from hxloop.activity import ActivityWriter
from tests.activity.train_examples import TRAINS, train_run
with ActivityWriter(sys.argv[1], TRAINS) as log, log.state("trained") as state:
    for i in range(10**6):
        state.append(*train_run(i))
        print(i + 1, flush=True)
"""


def test_a_killed_writer_leaves_all_counted_runs(tmp_path):
    path = tmp_path / "a.h5"
    for told_runs in (1, 7):
        command = [sys.executable, "-c", WRITES, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            told = 0
            while told < told_runs:
                told = int(writer.stdout.readline())
            time.sleep(0.01)
            writer.send_signal(signal.SIGKILL)
            last = writer.stdout.read().split()
        told = int(last[-1]) if last else told
        with ActivityLog.open(path) as log:
            assert not log.is_complete("trained")
            runs = log.n_samples("trained") // 20
        assert runs in (told, told + 1)
        assert_holds_trains(read_activity(path)["trained"], range(runs))


def test_a_network_that_spikes_once_writes_version_1_also_with_given_trains(tmp_path):
    activity, labels, decisions = run(0)
    given = Activity.of_spikes(
        Spikes.from_first(activity.input_times), activity.spikes, activity.parameters, activity.info
    )
    for name, each in {"dense": activity, "trains": given}.items():
        with ActivityWriter(tmp_path / name, NETWORK) as log, log.state("trained") as state:
            state.append(each, labels, decisions)
    assert (tmp_path / "dense").read_bytes() == (tmp_path / "trains").read_bytes()
    with h5py.File(tmp_path / "dense") as file:
        assert file.attrs["version"] == 1
    state = read_activity(tmp_path / "dense")["trained"]
    assert state.spike_trains is None and state.inputs.once
    assert np.array_equal(state.spikes[1].first, activity.first_spike_times[1])


def test_input_channels_that_spike_again_before_neurons_that_do_not(tmp_path):
    network = NetworkSpec.feed_forward(4, 3)
    rng = np.random.default_rng(1)
    weights = (np.ones((4, 3)),)
    dense = rng.uniform(0, 4, (20, 3))

    def activity(inputs):
        return Activity(inputs.first, (dense,), weights, RunInfo("made-up"), inputs)

    several, once = activity(trains(rng, 20, 4)), activity(trains(rng, 20, 4, most=1))
    labels = rng.integers(0, 3, 20)
    with ActivityWriter(tmp_path / "a.h5", network) as log:
        with log.state("trained") as state:
            state.append(several, labels, labels)
            state.append(once, labels, labels)
        with log.state("once", input_trains=True) as state:
            state.append(once, labels, labels)
            state.append(several, labels, labels)
        with log.state("not-told") as state:
            state.append(once, labels, labels)
            with pytest.raises(RunInputError, match="expected one spike of a channel"):
                state.append(several, labels, labels)
    states = read_activity(tmp_path / "a.h5")
    assert states["trained"].inputs.select(slice(0, 20)) == several.inputs
    assert states["once"].inputs.select(slice(20, 40)) == several.inputs
    assert states["not-told"].inputs == once.inputs and len(states["not-told"]) == 20


def test_spikes_that_do_not_fit_are_refused_and_leave_no_trace(tmp_path):
    activity, labels, decisions = train_run(0)
    rng = np.random.default_rng(3)
    other = trains(rng, 20, 5)
    several = trains(rng, 20, 6)
    late = replace(
        activity,
        spike_trains=(*activity.spikes[:2], several),
        first_spike_times=(*activity.first_spike_times[:2], several.first),
    )
    cases = {
        "late: number": late,
        "the first of all spikes of sample": replace(
            activity, spike_trains=(other, *activity.spikes[1:])
        ),
        "expected spike_trains of 3 layers; got 2": replace(
            activity, spike_trains=activity.spikes[:2]
        ),
        "expected spikes of 4 neurons in 20 samples": replace(activity, input_trains=other),
        "expected Spikes; got": replace(activity, input_trains=[1, 2]),
        "expected delays of shapes": replace(
            activity, delays_used=(np.ones(3), *activity.delays_used[1:])
        ),
        "weights of shapes": replace(activity, weights_used=activity.weights_used[:3]),
    }
    with ActivityWriter(tmp_path / "a.h5", TRAINS) as log, log.state("trained") as state:
        for told, wrong in cases.items():
            with pytest.raises(RunInputError, match=told):
                state.append(wrong, labels, decisions)
        state.append(activity, labels, decisions)
        slower = replace(activity, delays_used=tuple(
            None if delay is None else delay + 1 for delay in activity.delays_used
        ))  # fmt: skip
        with pytest.raises(RunInputError, match="delays of layer 0 are not those of its first"):
            state.append(slower, labels, decisions)
    assert_holds_trains(read_activity(tmp_path / "a.h5")["trained"], [0])


def changed(place, index, value):
    def change(file):
        file[place][index] = value

    return change


def swapped(file):
    times = file[f"{FIRST}/times"]
    times[0], times[1] = times[1], times[0]


def doubled(file):
    for name in ("times", "units"):
        file[f"{FIRST}/{name}"][1] = file[f"{FIRST}/{name}"][0]


def of_other_type(file):
    ends = file[f"{FIRST}/units"][()]
    del file[f"{FIRST}/units"]
    file[f"{FIRST}/units"] = ends.astype(float)


DAMAGE = {
    "is out of order; expected the spikes of a sample by time": swapped,
    "spikes twice at": doubled,
    "units: expected 0 to 4; got 9 at spike 3": changed(f"{FIRST}/units", 3, 9),
    "expected 0 to 4; got -1": changed(f"{FIRST}/units", 3, -1),
    "is at nan; expected a finite time": changed(f"{FIRST}/times", 0, np.nan),
    "is at -1.0; expected a finite time": changed(f"{FIRST}/times", 0, -1.0),
    "sample 4 ends before it begins": changed(f"{FIRST}/ends", 4, 0),
    "runs/ends counts": changed(f"{FIRST}/ends", 59, 1),
    "expected floating-point times and whole numbers": of_other_type,
    "spikes/units is missing": lambda file: file.pop(f"{FIRST}/units"),
    "runs/ends has another shape": lambda file: file.pop(f"{STATE}/input"),
    "first_spike_times is missing": lambda file: file.pop(f"{STATE}/layers/2/first_spike_times"),
}


@pytest.mark.parametrize("told", DAMAGE)
def test_damaged_lists_are_told(path, told):
    with h5py.File(path, "r+") as file:
        DAMAGE[told](file)
    with pytest.raises(FileFormatError) as caught:
        read_activity(path)
    assert str(caught.value).startswith(str(path)) and told in str(caught.value)


def test_a_file_cut_anywhere_is_refused(path, tmp_path):
    content, cut = path.read_bytes(), tmp_path / "cut.h5"
    for size in range(0, len(content), len(content) // 20):
        cut.write_bytes(content[:size])
        with pytest.raises(FileFormatError):
            read_activity(cut)


def test_a_run_cut_off_in_its_lists_is_told(tmp_path):
    path = tmp_path / "a.h5"
    with ActivityWriter(path, TRAINS) as log:
        state = log.state("trained")
        for i in range(2):
            state.append(*train_run(i))
        state.abandon()
    with h5py.File(path) as file:
        times = file[f"{FIRST}/times"]
        place = times.id.get_offset() + 8 * (file[f"{STATE}/runs/ends"][1, 1] - 1)
    with open(path, "r+b") as file:
        os.pwrite(file.fileno(), b"\xff" * 4, place)
    with pytest.raises(FileFormatError, match="run 1 is damaged"):
        read_activity(path)


def test_the_log_of_another_network_is_refused(path):
    with pytest.raises(FileFormatError, match="is a log of the network 4-5-3-6"):
        ActivityWriter(path, replace(TRAINS, output="late"))
    assert parameters().named().keys() == {
        "weights.0", "weights.1", "weights.2", "weights.3", "delays.0", "delays.1"
    }  # fmt: skip
