"""Recorded activity in Neo and NWB: every spike at its place, in physical time."""

from __future__ import annotations

import builtins
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from hxloop import TimeBase
from hxloop.activity import ActivityWriter, RecordedActivity, read_activity, to_neo, write_nwb
from hxloop.activity.formats.export import export_activity
from hxloop.errors import ConfigError, MissingDependencyError, OutputError, UnknownNameError
from tests.activity.activity_examples import NETWORK, further, run

MS = TimeBase(1e-3)


@pytest.fixture
def state():
    activity, labels, decisions = run(1)
    return RecordedActivity(
        "trained", activity.input_times, activity.first_spike_times, labels, decisions,
        network=NETWORK, epoch=4, split="test", further_spikes=further(1),
    )  # fmt: skip


def expected_train(state, layer, sample, neuron):
    """Spike times of one neuron in one sample, computed one by one; layer 0 is the input."""
    first = (state.input_times, *state.layer_times)[layer][sample, neuron]
    times = [first] if np.isfinite(first) else []
    if layer:
        more = state.further_spikes[layer - 1]
        for s, n, t in zip(more.samples, more.neurons, more.times, strict=True):
            times += [t] if (s, n) == (sample, neuron) else []
    return np.sort(times)


@pytest.mark.parametrize(("units", "scale"), [("ms", 10.0), ("s", 0.01)])
def test_neo_holds_every_spike(state, units, scale):
    block = to_neo(state, TimeBase(1e-2), samples=[2, 5], units=units)
    assert block.annotations["epoch"] == 4 and block.name == "trained"
    assert [group.name for group in block.groups] == ["input", "layer 1", "layer 2", "output"]
    sizes = NETWORK.sizes
    assert [len(group.spiketrains) for group in block.groups] == [2 * n for n in sizes]
    for segment, sample in zip(block.segments, (2, 5), strict=True):
        assert segment.annotations["sample"] == sample
        assert segment.annotations["label"] == state.labels[sample]
        assert segment.annotations["decision"] == state.decisions[sample]
        assert len(segment.spiketrains) == sum(sizes)
        for train in segment.spiketrains:
            layer, neuron = train.annotations["layer_index"], train.annotations["neuron"]
            assert train.annotations["layer"] == block.groups[layer].name
            times = expected_train(state, layer, sample, neuron) * scale
            np.testing.assert_allclose(train.magnitude, times, rtol=1e-15)
            assert str(train.units.dimensionality) == units
            assert float(train.t_start) == 0
            assert float(train.t_stop) == pytest.approx(4.0 * scale, rel=1e-15)
    kinds = [train.annotations["population"] for train in block.segments[0].spiketrains]
    assert kinds == (
        ["input"] * 7 + ["excitatory"] * 4 + ["inhibitory"] * 2
        + ["excitatory"] * 3 + ["inhibitory"] * 2 + [""] * 3
    )  # fmt: skip


def test_elephant_takes_the_trains(state):
    from elephant.spike_train_dissimilarity import van_rossum_distance
    from quantities import ms

    alone = replace(state, further_spikes=None)
    trains = to_neo(alone, MS, samples=[0, 1]).segments[0].spiketrains[-3:]
    distances = van_rossum_distance(trains, time_constant=2.0 * ms)
    times = alone.output_times[0]
    for i, a in enumerate(times):
        for j, b in enumerate(times):
            spikes = float(np.isfinite(a)) + float(np.isfinite(b))
            shared = 2 * np.exp(-abs(a - b) / 2) if spikes == 2 else 0.0
            # Normalised by elephant so that one spike against none is at the distance 1.
            assert distances[i, j] ** 2 == pytest.approx(spikes - shared, abs=1e-6)


def test_neo_without_a_network_lasts_until_the_last_spike(state):
    block = to_neo(replace(state, network=None, further_spikes=None), MS)
    latest = max(t[np.isfinite(t)].max() for t in (state.input_times, *state.layer_times))
    assert float(block.segments[0].spiketrains[0].t_stop) == pytest.approx(latest, rel=1e-15)
    with pytest.raises(ConfigError, match="expected units 'ms' or 's'; got 'h'"):
        to_neo(state, MS, units="h")


def test_nwb_is_valid_and_holds_every_spike(state, tmp_path):
    from pynwb import NWBHDF5IO, validate

    path = tmp_path / "a.nwb"
    started = datetime(2026, 1, 2, tzinfo=UTC)
    write_nwb(path, state, TimeBase(1e-2), started=started)
    assert not validate(path=str(path))
    with NWBHDF5IO(path, "r") as io:
        file = io.read()
        assert file.session_start_time == started
        trials, units = file.trials.to_dataframe(), file.units.to_dataframe()
    assert np.array_equal(trials.label, state.labels)
    assert np.array_equal(trials.decision, state.decisions)
    lengths = trials.stop_time - trials.start_time
    np.testing.assert_allclose(lengths, NETWORK.t_window * 1e-2, rtol=1e-12)
    assert (trials.start_time[1:].to_numpy() > trials.stop_time[:-1].to_numpy()).all()
    assert units.groupby("layer", sort=False).size().tolist() == list(NETWORK.sizes)
    names = list(state.layer_names)
    for unit in units.itertuples():
        trains = [
            start + 1e-2 * expected_train(state, names.index(unit.layer), sample, unit.neuron)
            for sample, start in enumerate(trials.start_time)
        ]
        np.testing.assert_allclose(unit.spike_times, np.concatenate(trains), rtol=0, atol=1e-12)
    assert (
        units.population[units.layer == "layer 2"].tolist()
        == ["excitatory"] * 3 + ["inhibitory"] * 2
    )
    with pytest.raises(OutputError, match=r"ends in \.nwb"):
        write_nwb(tmp_path / "a.h5", state, MS)
    with pytest.raises(OutputError, match="cannot write"):
        write_nwb(tmp_path / "missing" / "a.nwb", state, MS)


def test_without_pynwb_it_is_told_what_to_install(state, tmp_path, monkeypatch):
    real = builtins.__import__

    def no_pynwb(name, *arguments):
        if name.startswith("pynwb"):
            raise ImportError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", no_pynwb)
    with pytest.raises(MissingDependencyError, match=r"pip install 'hxloop\[nwb\]'"):
        write_nwb(tmp_path / "a.nwb", state, MS)


def test_exports_of_a_log(tmp_path):
    source = tmp_path / "activity.h5"
    with ActivityWriter(source, NETWORK) as log:
        for name in ("untrained", "epoch-001"):
            with log.state(name) as state:
                state.append(*run(0))
    out = tmp_path / "out.npz"
    result = export_activity(source, out, "npz", samples=4)
    spikes = [times[:4] for times in (run(0)[0].input_times, *run(0)[0].first_spike_times)]
    assert result == {
        "format": "npz", "states": ["untrained", "epoch-001"], "samples": 4, "file": str(out),
        "spikes": 2 * sum(int(np.isfinite(times).sum()) for times in spikes),
        "left_out": ["network"],
    }  # fmt: skip
    exported = read_activity(out)["epoch-001"]
    assert np.array_equal(exported.layer_times[1], run(0)[0].first_spike_times[1][:4])
    with pytest.raises(OutputError, match="is there already"):
        export_activity(source, out, "npz")
    export_activity(tmp_path, out, "npz", state="untrained", force=True)
    assert list(read_activity(out)) == ["untrained"]
    with pytest.raises(UnknownNameError, match="choose one with --state: untrained, epoch-001"):
        export_activity(source, tmp_path / "a.nwb", "nwb")
    with pytest.raises(UnknownNameError, match="unknown format 'csv'; known: nwb, npz"):
        export_activity(source, out, "csv")
    with pytest.raises(ConfigError, match="at least 1; got 0"):
        export_activity(source, tmp_path / "b.npz", "npz", samples=0)
