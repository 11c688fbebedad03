"""Before anything runs: odd options, trials, paths and defaults are converted or refused."""

from __future__ import annotations

import os
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hxloop import (
    LatencyEncoding,
    LayerSpec,
    NetworkSpec,
    NeuronSpec,
    SilentNeuronPolicy,
    SpikeData,
    Trainer,
    TrainingOptions,
    get_backend,
    initial_weights,
    load_dataset,
    record,
)
from hxloop.activity import ActivityWriter, read_activity, write_plain
from hxloop.activity.formats.export import export_activity
from hxloop.analysis.run import analyse_recording
from hxloop.errors import ConfigError, HxloopError, MissingDataError, OutputError, RunInputError
from hxloop.runs.config import (
    EncodingConfig,
    ExperimentConfig,
    NetworkConfig,
    NeuronConfig,
    SilentConfig,
    TrainingConfig,
)
from tests.analysis.recorded_states import recorded_state
from tests.checks.odd_inputs import LOSS, SPEC, W, X, Y, network, output

# --- before anything runs -----------------------------------------------------------------


def test_validation_data_are_checked_before_the_first_epoch() -> None:
    good = SpikeData(X, Y)
    wide = SpikeData(np.ones((4, 5)), Y)
    classes = SpikeData(X, Y + 1)
    for where, index in (("train", 0), ("validation", 1)):
        for bad in (wide, classes, (X, Y), None):
            data = [good, good]
            data[index] = bad
            with pytest.raises(RunInputError, match=f"^{where}"):
                Trainer(network(), LOSS, *data, TrainingOptions())
    with pytest.raises(RunInputError, match=r"^loss: expected a loss"):
        Trainer(network(), "time-to-first-spike", good, good, TrainingOptions())
    with pytest.raises(ConfigError, match="max_shift"):
        Trainer(network(), LOSS, good, good, TrainingOptions(max_shift=1))


@pytest.mark.parametrize("bad", ["3", 1.5, True, -1])
def test_trials_and_seeds_are_whole_everywhere(bad: Any) -> None:
    for call in (
        lambda: network().forward(X, trial=bad),
        lambda: get_backend("ideal").open(SPEC).run([W], X, trial=bad),
        lambda: get_backend("ideal").open(SPEC, seed=bad),
        lambda: get_backend("emulated-chip", solver="event").open(SPEC, seed=bad),
        lambda: initial_weights(SPEC, [1.0], [1.0], bad),
        lambda: load_dataset("yin-yang", "test", seed=bad),
    ):
        with pytest.raises(HxloopError, match=r"trial|seed"):
            call()


def test_options_of_a_backend_that_are_missing_or_of_another_type_are_named() -> None:
    with pytest.raises(ConfigError, match=r"'replay': needs the option 'path'.*--set path="):
        get_backend("replay")
    for options in ({"retries": 1.5}, {"clip_weights": "no"}, {"weight_limit": "3"}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            TrainingOptions(**options)


# --- paths and defaults -------------------------------------------------------------------


def test_paths_are_text_or_paths_with_the_home_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    data = SpikeData(X, Y)
    Trainer(network(), LOSS, data, data, TrainingOptions(epochs=1), run_dir="~/run").fit()
    assert (tmp_path / "run" / "metrics.jsonl").is_file()
    with record(get_backend("ideal").open(SPEC), "~/chip.h5") as session:
        session.run([W], X)
    with get_backend("replay", path="~/chip.h5").open(SPEC) as session:
        np.testing.assert_array_equal(session.run([W], X).output_times, output())
    ActivityWriter("~/log.h5", SPEC)
    assert (tmp_path / "log.h5").is_file()
    for bad in (3, None, b"x", ""):
        with pytest.raises(HxloopError, match="path"):
            record(get_backend("ideal").open(SPEC), bad)
        with pytest.raises(HxloopError, match="path"):
            read_activity(bad)
    with pytest.raises(HxloopError, match="cache_dir"):
        get_backend("emulated-chip", cache_dir=3)
    made = get_backend("emulated-chip", cache_dir="~/cache")
    assert Path(made.cache_dir) == tmp_path / "cache"


def test_mnist_is_found_as_others_lay_it_out(tmp_path, monkeypatch) -> None:
    from hxloop.data import mnist_files as datasets_mnist

    name = "train-images-idx3-ubyte"
    monkeypatch.setenv("HXLOOP_DATA_DIR", "~/data")
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "data"
    for folder in (root / "MNIST" / "raw", root / "raw", root, root / "mnist"):
        for file in (f"{name}.gz", "train-images.idx3-ubyte.gz", "train-images.idx3-ubyte", name):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / file).touch()
            assert datasets_mnist.find_file(name) == folder / file
            os.unlink(folder / file)
            if file.startswith("train-images."):
                with pytest.raises(HxloopError, match=name):
                    (folder / file).write_bytes(b"")
                    datasets_mnist.content_of(folder / file)
                os.unlink(folder / file)


def test_no_home_is_no_raw_error(monkeypatch) -> None:
    from hxloop.data import mnist_files as datasets_mnist

    monkeypatch.setenv("HXLOOP_DATA_DIR", "~nobody-has-this-name/data")
    with pytest.raises(MissingDataError, match=r"HXLOOP_DATA_DIR.*home folder"):
        datasets_mnist.folders()
    monkeypatch.delenv("HXLOOP_DATA_DIR")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert all(folder.is_absolute() for folder in datasets_mnist.folders())


@pytest.mark.parametrize(
    ("section", "source"),
    [(EncodingConfig, LatencyEncoding), (NeuronConfig, NeuronSpec), (NetworkConfig, NetworkSpec),
     (SilentConfig, SilentNeuronPolicy), (TrainingConfig, TrainingOptions)],
)  # fmt: skip
def test_defaults_in_configurations_are_those_in_python(section: Any, source: Any) -> None:
    """The window was 4 in a configuration and 6 in Python."""
    tables = {"silent", "overactive", "spike_penalty", "neuron"}
    shared = [f for f in fields(source) if f.name in section.model_fields and f.name not in tables]
    assert shared
    for each in shared:
        made = each.default_factory is not MISSING
        default = each.default_factory() if made else each.default  # type: ignore[misc]
        assert getattr(section(), each.name) == default, each.name
    assert SPEC.t_window == NetworkConfig().t_window == NetworkSpec(1, (LayerSpec(1),)).t_window


def test_a_configuration_made_in_python_takes_numpy() -> None:
    config = ExperimentConfig.from_mapping(
        {
            "training": {"epochs": np.int64(3), "learning_rate": np.float32(0.5)},
            "network": {"hidden": np.array([4])},
        },
        "test",
    )
    assert (config.training.epochs, config.training.learning_rate) == (3, 0.5)
    assert config.network.hidden == (4,)
    for bad in ({"retries": 1.5}, {"clip_weights": "no"}, {"epochs": True}, {"epochs": "3"}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            ExperimentConfig.from_mapping({"training": bad}, "test")


# --- folders and files in text ------------------------------------------------------------


def test_results_go_where_a_text_says(tmp_path, monkeypatch):
    source = tmp_path / "spikes.npz"
    write_plain(source, [recorded_state("trained", 0)])
    monkeypatch.chdir(tmp_path)
    assert analyse_recording("spikes.npz", "out").out == Path("out")
    assert export_activity("spikes.npz", "again.npz", "npz")["file"] == "again.npz"
    for wrong in (3, b"out", None, ""):
        with pytest.raises(OutputError, match=r"out: expected a path; got"):
            export_activity(source, wrong, "npz")
