"""Configurations and run folders, at their edges: every key, every byte, every odd folder."""

from __future__ import annotations

import tomllib
from dataclasses import fields

import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from hxloop.errors import ConfigError, HxloopError
from hxloop.experiments.registry import experiment_names, load_experiment
from hxloop.runs.config import ExperimentConfig, apply_override
from hxloop.runs.plan import prepare
from hxloop.training.options import TrainingOptions

TINY = ["dataset.train_size=10", "dataset.validation_size=5", "dataset.test_size=5",
        "network.hidden=[4]"]  # fmt: skip


def sections(section=ExperimentConfig, path=()):
    """Every table of a configuration by its path, the tables of free options left out."""
    found = {path: section}
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= sections(field.annotation, (*path, name))
    return found


SECTIONS = sections()


LEAVES = [
    ".".join((*path, name))
    for path, section in SECTIONS.items()
    for name in section.model_fields
    if (*path, name) not in SECTIONS
]


def overridden(*overrides):
    values = {}
    for override in overrides:
        apply_override(values, override)
    return ExperimentConfig.from_mapping(values, "test")


def value_of(config, key):
    for name in key.split("."):
        config = config[name] if isinstance(config, dict) else getattr(config, name)
    return config


# --- configurations -----------------------------------------------------------------------


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: ".".join(path) or "top")
def test_an_unknown_key_is_named_with_its_table_and_the_nearest_known_one(path):
    for name in SECTIONS[path].model_fields:
        key = ".".join((*path, name + "x"))
        with pytest.raises(ConfigError) as caught:
            overridden(f"{key}=1")
        told = str(caught.value)
        table = f"unknown key in [{'.'.join(path)}] " if path else "unknown key "
        assert f"{table}'{name}x'" in told and f"Did you mean '{name}'?" in told


def test_a_key_of_another_table_is_named_with_its_table():
    with pytest.raises(ConfigError, match=r"There is training\.epochs and activity\.epochs\."):
        overridden("epochs=3")
    with pytest.raises(ConfigError, match=r"There is network\.neuron\.tau_mem\."):
        overridden("tau_mem=3")
    with pytest.raises(ConfigError) as caught:
        overridden("seeed=3")
    assert "There is" not in str(caught.value)


def test_a_name_is_no_configuration():
    with pytest.raises(ConfigError, match=r"got 'yin-yang'.*load_experiment"):
        prepare("yin-yang")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ('training.epochs="5"', "training.epochs"),
        ("training.epochs=5.0", "training.epochs"),
        ("training.epochs=true", "training.epochs"),
        ("seed=true", "seed"),
        ('training.clip_weights="yes"', "training.clip_weights"),
        ("training.clip_weights=1", "training.clip_weights"),
        ("training.learning_rate=fast", "training.learning_rate"),
        ("training.schedule=1", "training.schedule"),
        ("network.hidden=120", "network.hidden"),
        ('network.hidden="120"', "network.hidden"),
        ("network.hidden=[1.5]", "network.hidden[0]"),
        ("network.hidden=[5, true]", "network.hidden[1]"),
        ("network.neuron.tau_mem=[1.0]", "network.neuron.tau_mem"),
        ('loss.options.xi="a"', "loss.options.xi"),
        ("loss.options=1", "loss.options"),
        ("training=5", "training"),
        ("dataset.train_size=0", "dataset.train_size"),
        ("seed=2020-01-01", "seed"),
    ],
)
def test_a_value_of_the_wrong_type_is_never_converted(override, key):
    with pytest.raises(ConfigError) as caught:
        overridden(override)
    assert f"\n  {key}: " in str(caught.value) and "; got " in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        overridden("seed=-1", "training.epoch=3", 'network.hidden="a"', "loss.options.xi=true")
    assert str(caught.value).count("\n") == 4
    assert "\n  loss.options.xi: expected a number; got true" in str(caught.value)


@pytest.mark.parametrize("key", LEAVES)
def test_odd_values_are_refused_or_work_but_nothing_else(key):
    """Every key with values that TOML can hold and few expect: hxloop's own errors only."""
    odd = ("nan", "inf", "-1", "0", "1.5", "true", "x", "''", "[]", "[nan]", "[-1]", "[1.5, 0.5]",
           "[nan, 0.5]", "{a=1}", "2020-01-01", "1e100", "['a']", "[[1]]")  # fmt: skip
    for value in odd:
        for method in ("normal", "balanced"):
            override = f"{key}={value}"
            try:
                config = load_experiment(
                    "yin-yang", [*TINY, f"initialisation.method={method}", override]
                )
                prepared = prepare(config)
            except HxloopError:
                continue
            assert all(np.isfinite(w).all() for w in prepared.weights), override


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("seed=5", "seed", 5),
        (" seed =5", "seed", 5),
        ("training.learning_rate=1e-2", "training.learning_rate", 0.01),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
        ("loss.name=spike", "loss.name", "spike"),
        ('loss.name="spike"', "loss.name", "spike"),
        ("description=a = b # c", "description", "a = b # c"),
        ("description=", "description", ""),
        ("network.hidden=[5]", "network.hidden", (5,)),
        ("training.clip_weights=false", "training.clip_weights", False),
        ("training={epochs=7}", "training.epochs", 7),
        ("backend.options.chip=3", "backend.options.chip", 3),
        ("backend.options.imperfections.tau_mem=0.1", "backend.options.imperfections",
         {"tau_mem": 0.1}),
        ("study.chips=[1, 2]", "study.chips", (1, 2)),
    ],
)  # fmt: skip
def test_overrides(override, key, value):
    """One value, as it was typed."""
    config = overridden(override)
    assert value_of(config, key) == value
    assert type(value_of(config, key)) is type(value)


@pytest.mark.parametrize("hidden", [(), (5, 6)])
def test_a_depth_of_ones_own_needs_an_initialisation_for_it(hidden):
    depth = f"network.hidden={list(hidden)}"
    with pytest.raises(ConfigError, match=r"initialisation\.method = balanced"):
        overridden(depth)
    assert overridden(depth, "initialisation.method=balanced").network.hidden == hidden


@pytest.mark.parametrize("bad", ["seed", "", "=5", ".seed=5", "training.=5", "training..epochs=5"])
def test_an_override_without_key_or_value(bad):
    with pytest.raises(ConfigError, match="expected KEY=VALUE, for example") as caught:
        overridden(bad)
    assert repr(bad) in str(caught.value)


def test_a_key_below_a_value_and_later_overrides_win():
    with pytest.raises(ConfigError, match="'epochs' is a value, not a table"):
        overridden("training.epochs=5", "training.epochs.more=5")
    assert overridden("seed=1", "seed=2").seed == 2


def test_an_override_holds_one_value():
    # What came after the first line was once dropped without a word.
    with pytest.raises(ConfigError):
        overridden("seed=1\ntraining.epochs=3")


def test_overrides_are_named_where_they_are_wrong(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("seed = 1\n")
    with pytest.raises(ConfigError) as caught:
        ExperimentConfig.load(path, ["seed=2", "sed=3"])
    assert str(caught.value).startswith(f"configuration {path} with seed=2 with sed=3:\n")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        ExperimentConfig.load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        ExperimentConfig.load(tmp_path)
    for content in (b"seed = ", b"seed = 1\nseed = 2", b"[training\n", b"\xff", b"\x00"):
        path = tmp_path / "bad.toml"
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"bad\.toml: not valid TOML"):
            ExperimentConfig.load(path)


def test_an_empty_file_is_the_defaults_under_the_name_of_the_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("")
    assert ExperimentConfig.load(path) == ExperimentConfig(name="mine")


@pytest.mark.parametrize("name", experiment_names())
def test_shipped_experiments_load_under_their_own_name(name):
    config = load_experiment(name)
    assert config.name == name and config.network.hidden
    assert ExperimentConfig.from_mapping(tomllib.loads(config.to_toml()), "again") == config


def test_training_options_are_all_configurable():
    # What is trained is told to the network, and all else to the trainer.
    of_the_network = {"train_neurons"}
    asked = {field.name for field in fields(TrainingOptions)} - {"seed"}
    assert asked | of_the_network == set(SECTIONS[("training",)].model_fields)


NUMBERS = st.floats(0.001, 0.9)


# The characters that TOML can hold: everything but surrogates. What is shown on terminals and pages
# (name, description) may not hold control characters either.
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


SHOWN = TEXT.filter(str.isprintable)


VALUES = {
    "name": SHOWN,
    "description": SHOWN,
    "seed": st.integers(0, 2**62),
    "dataset.train_size": st.integers(1, 10**6),
    "encoding.bias_times": st.lists(NUMBERS, max_size=3),
    "network.hidden": st.lists(st.integers(1, 500), max_size=4),
    "network.neuron.v_leak": st.floats(-5, 0.5),
    "initialisation.means": st.lists(st.floats(-1e300, 1e300), max_size=3),
    "backend.options.text": TEXT,
    "backend.options.table": st.dictionaries(TEXT, st.integers(-9, 9), max_size=2),
    "loss.options.xi": NUMBERS,
    "training.learning_rate": st.floats(1e-300, 1e300),
    "training.max_dw_norm": NUMBERS,
    "training.patience": st.integers(1, 100),
    "training.silent.hidden": NUMBERS,
    "study.chips": st.lists(st.integers(0, 9), max_size=3),
}


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({}, optional=VALUES))
def test_what_is_set_is_held_and_survives_writing(values):
    # Written as a user would, through TOML; an inline table is all that has no text of its own.
    texts = {
        key: tomli_w.dumps({"v": value}).removeprefix("v = ").strip()
        for key, value in values.items()
        if not isinstance(value, dict)
    }
    texts = {key: text for key, text in texts.items() if "\n" not in text}  # long lists
    # Of every depth there may be: see initialisation.method.
    balanced = "initialisation.method=balanced"
    config = overridden(balanced, *(f"{key}={text}" for key, text in texts.items()))
    for key in texts:
        value = values[key]
        assert value_of(config, key) == (tuple(value) if isinstance(value, list) else value)
    again = ExperimentConfig.from_mapping(tomllib.loads(config.to_toml()), "again")
    assert again == config and again.digest == config.digest
    default = overridden(balanced)
    assert (config.digest == default.digest) == (config == default)


def test_the_digest_depends_on_values_not_on_their_order():
    first = overridden("seed=1", "training.epochs=2", "training.learning_rate=1e-2")
    second = overridden("training.learning_rate=0.01", "training.epochs=2", "seed=1")
    assert first == second and first.digest == second.digest
    first = overridden("backend.options.chip=1", "backend.options.solver=event")
    second = overridden("backend.options.solver=event", "backend.options.chip=1")
    assert first == second and first.digest == second.digest
