"""What another package registers is found by entry point, and trained with by name."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest

import hxloop.analysis.measures.null_registry as nulls
import hxloop.registry
from hxloop import dataset_names, get_loss, load_dataset, loss_names
from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.report import curves, words
from hxloop.cli import main
from hxloop.data import encoding_names, get_encoding
from hxloop.errors import ConfigError, HxloopError, MissingDependencyError, UnknownNameError
from hxloop.experiments.registry import load_experiment
from hxloop.runs import resume, train
from hxloop.runs.config import EncodingConfig, ExperimentConfig, InitialisationConfig
from hxloop.runs.plan import prepare
from hxloop.training.initialisation import get_initialisation, initialisation_names
from tests.analysis.recorded_states import recorded_state

MODULE = "tests.ground.third_party"
POINTS = [
    EntryPoint("blobs", f"{MODULE}:blobs", "hxloop.datasets"),
    EntryPoint("nothing", f"{MODULE}:nothing", "hxloop.datasets"),
    EntryPoint("gone", f"{MODULE}:gone", "hxloop.datasets"),
    EntryPoint("race", f"{MODULE}:Race", "hxloop.losses"),
    EntryPoint("three", f"{MODULE}:NO_LOSS", "hxloop.losses"),
    EntryPoint("absent", "a_package_that_is_not_there:Loss", "hxloop.losses"),
    EntryPoint("target-time", f"{MODULE}:Race", "hxloop.losses"),
    EntryPoint("both", f"{MODULE}:Both", "hxloop.encodings"),
    EntryPoint("weights", f"{MODULE}:Even", "hxloop.encodings"),
    EntryPoint("even", f"{MODULE}:Even", "hxloop.initialisations"),
    EntryPoint("at-once", f"{MODULE}:at_once", "hxloop.null_models"),
    EntryPoint("crooked", f"{MODULE}:Crooked", "hxloop.initialisations"),
]


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = hxloop.registry.entry_points
    monkeypatch.setattr(
        hxloop.registry,
        "entry_points",
        lambda group: [*real(group=group), *(p for p in POINTS if p.group == group)],
    )


def test_they_are_trained_with_by_name(tmp_path):
    config = load_experiment(
        "yin-yang",
        ["dataset.name=blobs", "dataset.train_size=100", "dataset.validation_size=50",
         "dataset.test_size=50", "loss.name=race", "loss.options={margin=0.1, soft=false}",
         "network.hidden=[20]", "training.epochs=3", "training.batch_size=25"],
    )  # fmt: skip
    result = train(config, tmp_path / "run")
    assert result.test.accuracy > 0.8  # a half by chance
    assert "blobs" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


CODED = [
    "dataset.name=blobs", "dataset.train_size=100", "dataset.validation_size=50",
    "dataset.test_size=50", "network.hidden=[20]", "training.epochs=6", "training.batch_size=25",
    "encoding.name=both", "encoding.options={span=1.5}",
    "initialisation.method=even", "initialisation.options={drive=4.0}",
]  # fmt: skip


def test_an_encoding_and_an_initialisation_are_trained_with_by_name(tmp_path):
    config = load_experiment("yin-yang", CODED)
    plan = prepare(config)
    assert plan.network.n_inputs == 5 and plan.data["train"].input_times.max() <= 1.5
    assert plan.weights[0].mean() == pytest.approx(4.0 / 5, rel=0.1)
    folder = tmp_path / "run"
    assert train(config, folder).test.accuracy > 0.8  # a half by chance
    # What is written is what was chosen, and read again it is the same.
    text = (folder / "config.toml").read_text(encoding="utf-8")
    assert "t_late" not in text and "stdevs" not in text and "span = 1.5" in text
    assert ExperimentConfig.load(folder / "config.toml").digest == config.digest
    assert resume(folder, epochs=7).test.accuracy > 0.8


def test_a_configuration_that_chooses_none_is_written_as_before_there_was_a_choice():
    assert {"name", "options"}.isdisjoint(EncodingConfig().model_dump())
    assert set(InitialisationConfig().model_dump()) == {
        "method", "means", "stdevs", "spread", "active"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["encoding.name=bot"], "unknown encoding 'bot'.*Did you mean 'both'"),
        (["encoding.name=both", "encoding.options={spam=1}"], "option of encoding 'both' 'spam'"),
        (["encoding.name=weights"], r"'weights': expected what hxloop.data.Encoding asks for"),
        (["encoding.options={t_late=3}"], r"expected none for 'latency', .* keys of \[encoding\]"),
        (["initialisation.method=eve"], "unknown initialisation.method 'eve'.*Did you mean 'even'"),
        (["initialisation.method=balanced", "initialisation.options={spread=1}"],
         r"initialisation.options: expected none for 'balanced'.*spread, active; got spread"),
        (["initialisation.method=crooked"], "method 'crooked': expected a sequence of 2 matrices"),
    ],
)  # fmt: skip
def test_what_is_chosen_wrongly_is_told(overrides, message):
    with pytest.raises(HxloopError, match=message):
        prepare(load_experiment("yin-yang", ["dataset.train_size=20", *overrides]))


def test_encodings_and_initialisations_are_made_by_name():
    assert encoding_names() == (
        "both", "latency", "level-crossing", "population", "spike-trains", "weights",
    )  # fmt: skip
    assert get_encoding("latency", replicate=2).n_channels(4) == 10
    assert initialisation_names() == ("balanced", "crooked", "even", "from-run", "normal")
    with pytest.raises(UnknownNameError, match=r"option of initialisation.method 'normal' 'mean'"):
        get_initialisation("normal", mean=1)


def test_they_are_listed_with_those_that_come_along(capsys):
    assert "race" in loss_names() and "time-to-first-spike" in loss_names()
    assert "blobs" in dataset_names() and "yin-yang" in dataset_names()
    with pytest.raises(SystemExit):
        main(["datasets"])
    assert f"of {MODULE}:blobs" in " ".join(capsys.readouterr().out.split())


def test_a_name_that_comes_along_stays_what_it_is():
    assert type(get_loss("target-time", t_correct=1.0, t_wrong=2.0)).__module__.startswith("hxloop")


def test_what_does_not_work_is_told_by_name():
    with pytest.raises(UnknownNameError, match=r"unknown loss 'rac'.*Did you mean 'race'"):
        get_loss("rac")
    with pytest.raises(UnknownNameError, match="option of loss 'race' 'margn'"):
        get_loss("race", margn=1)
    with pytest.raises(ConfigError, match="loss 'three': expected a dataclass"):
        get_loss("three")
    with pytest.raises(MissingDependencyError, match="loss 'absent' needs the package"):
        get_loss("absent")
    with pytest.raises(UnknownNameError, match="unknown data set 'blob'"):
        load_dataset("blob", "train")
    with pytest.raises(
        ConfigError, match=r"data set 'nothing': expected a hxloop.Dataset; .* None"
    ):
        load_dataset("nothing", "train")
    with pytest.raises(ConfigError, match=r"registers .*:gone, which is not there"):
        load_dataset("gone", "train")


def test_a_measure_is_assessed_with_a_null_model_of_another_package(monkeypatch):
    options = AnalysisOptions(n_resamples=20, n_permutations=99, n_null=2, contrast_samples=2)
    states = [recorded_state("trained", 1, weights=False)]
    found = analyse(states, options=options)
    layers = found["synchrony"]["trained"]["layers"]
    for layer in layers:
        assert list(layer["null"]) == ["uniform", "jittered", "class_permuted", "at-once"]
        # All spikes at once: no width at all.
        assert layer["null"]["at-once"]["shorth"] == 0.0
    for layer in layers[:-1]:  # every sample is wider, but where only the decision's spike is left
        assert layer["null"]["at-once"]["dominance"] == 1.0
        assert layer["null"]["at-once"]["p_value"] == 1 / 1000
    assert "<th>at-once</th>" in words.null_tables(found)
    lines = {line.name: line.values for line in curves.spread_curves(found)[0].lines}
    assert lines["trained, at-once"] == [0.0] * len(layers)
    # What comes along is what it is without the other one.
    monkeypatch.setattr(hxloop.registry, "entry_points", lambda group: [])
    for layer in layers:
        del layer["null"]["at-once"]
    assert analyse(states, options=options) == found


def test_a_null_model_that_does_not_work_is_told(monkeypatch):
    wrong = EntryPoint("too-few", f"{MODULE}:too_few", "hxloop.null_models")
    monkeypatch.setattr(hxloop.registry, "entry_points", lambda group: [wrong])
    times = np.array([[0.1, np.inf], [0.2, 0.3]])
    volleys = nulls.Volleys(
        times=times, start=times[:, 0], decided=np.ones(2), is_input=True, jitter=0.1
    )
    assert nulls.null_model_names() == ("uniform", "jittered", "class_permuted", "too-few")
    with pytest.raises(ConfigError, match=r"'too-few': expected spike times \(2, 2\)"):
        nulls.draw_null("too-few", volleys, np.random.default_rng(0))
    with pytest.raises(UnknownNameError, match="unknown null model 'too-fw'"):
        nulls.draw_null("too-fw", volleys, np.random.default_rng(0))
