"""Inputs that spike more than once: no place of a training drops what comes after the first."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from hxloop.activity import ActivityLog, Spikes
from hxloop.cli.entry import main
from hxloop.data import Dataset, datasets
from hxloop.data.encoding import ENCODINGS
from hxloop.errors import ConfigError, RunInputError
from hxloop.experiments.registry import load_experiment
from hxloop.runs import evaluate_run, prepare
from hxloop.runs.config import EncodingConfig, ExperimentConfig
from hxloop.runs.encoded import spike_data
from hxloop.runs.report.training_report import plane_of
from hxloop.training.initialisation import balanced_populations, balanced_weights
from hxloop.training.notes import data_notes
from hxloop.training.options import SpikeData
from tests.runs.short_runs import TINY
from tests.runs.short_runs import no_provenance as no_provenance

SERIES = """
[dataset]
name = "waves"
[encoding]
name = "level-crossing"
level_step = 0.2
bias_times = []
t_late = 3.0
[network]
hidden = [6]
t_window = 4.0
readout = true
neuron = {t_refractory = 0.5}
[initialisation]
method = "balanced"
[loss]
name = "max-membrane"
[training]
epochs = 1
batch_size = 20
[activity]
samples = 15
"""


def waves(split, size, seed):
    """Two channels, two classes: the one begins where the other ends."""
    rng = np.random.default_rng(len(split))
    labels = np.arange(size or 40) % 2
    phase = 2 * np.pi * (np.linspace(0, 1, 9) + 0.3 * rng.random((len(labels), 1)))
    lines = np.stack([np.sin(phase + np.pi * labels[:, None]), np.cos(phase)], axis=1)
    return Dataset("waves", lines, labels, 2)


@dataclass(frozen=True)
class Burst:
    """A spike for each feature, and one more the later the larger the value is."""

    background = 0.1

    def n_channels(self, n_features):
        return n_features

    def encode(self, samples):
        n, features = np.asarray(samples).shape
        first = np.full((n, features), 0.1)
        both = np.concatenate([first, 0.3 + samples], axis=1)
        units = np.tile(np.arange(features), 2 * n)
        sample = np.repeat(np.arange(n), 2 * features)
        return Spikes.from_events(sample, units, both.ravel(), batch=n, n_units=features)


@pytest.fixture
def burst(monkeypatch):
    monkeypatch.setitem(ENCODINGS, "burst", Burst)
    return [*TINY[:-1], "encoding.name=burst", "training.epochs=1"]


@pytest.fixture
def series(monkeypatch, tmp_path):
    monkeypatch.setitem(datasets.REGISTRY.built_in, "waves", waves)
    path = tmp_path / "waves.toml"
    path.write_text(SERIES, encoding="utf-8")
    return path


@pytest.mark.usefixtures("no_reports")
def test_time_series_are_trained_recorded_and_evaluated(series, tmp_path, capsys):
    folder = tmp_path / "run"
    with pytest.raises(SystemExit) as done:
        main(["train", str(series), "--out", str(folder), "--json"])
    assert done.value.code == 0
    told = json.loads(capsys.readouterr().out)
    prepared = prepare(ExperimentConfig.load(folder / "config.toml"))
    inputs = prepared.data["test"].input_times
    assert prepared.network.n_inputs == 4 and not inputs.once
    with ActivityLog(folder / "activity.h5") as log:
        assert log.inputs("trained") == inputs.select(slice(15))
    again = evaluate_run(folder, activity=tmp_path / "all.h5")
    assert again.test.accuracy == told["test_accuracy"]
    assert again.test.first_sample[0] == inputs.select([0])
    with ActivityLog(tmp_path / "all.h5") as log:
        assert log.inputs("trained") == inputs


def test_every_spike_counts_in_what_balanced_weights_are_found_with(burst):
    prepared = prepare(load_experiment("yin-yang", burst))
    data = prepared.data["train"].input_times
    with pytest.raises(RunInputError, match="at most one spike of each channel"):
        balanced_weights(prepared.network, data, 0.5, 0.9, 0)
    given = prepared.network, data.first, 0.5, 0.9, prepared.config.seed
    ratio = prepared.weights[0] / balanced_populations(*given)[0]
    # The same draw; of twice the spikes smaller weights make as much activity.
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=1e-12)
    assert 0.4 < ratio[0, 0] < 0.9


def test_the_plane_of_yin_yang_is_drawn_whatever_it_is_encoded_with(burst):
    prepared = prepare(load_experiment("yin-yang", burst))
    with prepared.open_session() as session:
        plane = plane_of(prepared, prepared.loop_network(session))
        assert plane is not None and len(np.unique(plane.decisions)) > 1
        data = {**prepared.data, "test": spike_data(prepared.datasets["test"], Burst())}
        first = SpikeData(data["test"].input_times.first, data["test"].labels)
        other = replace(prepared, data={**data, "test": first})
        assert plane_of(other, other.loop_network(session)) is None


def test_an_image_whose_pixels_spike_again_cannot_be_shifted(burst, monkeypatch):
    squares = Dataset("squares", np.full((6, 4), 0.5), np.arange(6) % 2, 2, (), 2)
    monkeypatch.setitem(datasets.REGISTRY.built_in, "squares", lambda *given: squares)
    sizes = [f"dataset.{split}_size=6" for split in ("train", "validation", "test")]
    settings = [*burst, *sizes, "dataset.name=squares"]
    assert prepare(load_experiment("yin-yang", settings)).data["train"].image is None
    with pytest.raises(ConfigError, match="max_shift: the samples of 'squares' are no images"):
        prepare(load_experiment("yin-yang", [*settings, "training.max_shift=1"]))


def test_spikes_that_count_once_with_another_are_counted_and_told():
    data = prepare(load_experiment("yin-yang", TINY)).data["test"]
    spec = prepare(load_experiment("yin-yang", TINY)).network
    assert data.merged == 0 and not data_notes(data, spec)
    lost = SpikeData(data.input_times, data.labels, merged=50)
    (note,) = data_notes(lost, spec, "test")
    assert note.values == {"spikes": 50, "of": 50 + data.input_times.size}
    with pytest.raises(ConfigError, match="SpikeData: merged"):
        SpikeData(data.input_times, data.labels, merged=-1)


def test_keys_of_another_encoding_are_refused_and_not_written():
    written = EncodingConfig(name="level-crossing", level_step=0.5).model_dump()
    assert written["level_step"] == 0.5 and "replicate" not in written
    assert "level_step" not in EncodingConfig().model_dump()
    with pytest.raises(ConfigError, match=r"encoding.replicate: 'level-crossing' has no such key"):
        load_experiment("yin-yang", ["encoding.name=level-crossing", "encoding.replicate=5"])
    with pytest.raises(ConfigError, match=r"encoding.onset: 'latency' has no such key"):
        load_experiment("yin-yang", ["encoding.onset=true"])
    with pytest.raises(ConfigError, match=r"encoding.level_step: expected .*got 0"):
        load_experiment("yin-yang", ["encoding.name=level-crossing", "encoding.level_step=0"])
