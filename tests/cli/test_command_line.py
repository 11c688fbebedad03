"""The command line as its users meet it: exit codes, files, errors, Ctrl-C."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import pytest
import typer

import hxloop
from hxloop import HxloopWarning, LatencyEncoding, NeuronSpec, SilentNeuronPolicy, TrainingOptions
from hxloop.cli.app import app
from hxloop.cli.entry import main
from hxloop.errors import ConfigError
from hxloop.experiments.registry import experiment_names, load_experiment
from hxloop.runs import config as config_module
from hxloop.runs.config import ExperimentConfig, apply_override
from tests.cli.command_line import SMALL, contents, one_object

EVENT = ["--set", 'backend.options.solver="event"']


COMMANDS = (
    "train", "resume", "evaluate", "analyse", "export", "experiments", "backends", "datasets",
    "bench", "calibrate", "check-backend",
)  # fmt: skip


# --- what works ---------------------------------------------------------------------------


def test_training_leaves_a_complete_run(run, finished):
    names = {str(path) for path in contents(finished)}
    assert names == {
        "config.toml", "identity.json", "metrics.jsonl", "weights.safetensors", "evaluation.json",
        "provenance.json", "report.html", "activity.h5", "checkpoints/last.safetensors",
    }  # fmt: skip
    metrics = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    assert [m["epoch"] for m in metrics] == [1, 2]
    config = ExperimentConfig.load(finished / "config.toml")
    assert config == load_experiment("yin-yang", [*SMALL[1::2], "training.epochs=2"])
    provenance = json.loads((finished / "provenance.json").read_text())
    assert provenance["packages"]["hxloop"] == hxloop.__version__ and provenance["finished"]
    assert not re.search(r"(src|href)='(?!data:)", (finished / "report.html").read_text())


def test_json_is_one_object_and_news_go_to_stderr(run, tmp_path, finished):
    code, out, err = run(
        "train", "yin-yang", *SMALL, "--epochs", "1", "--out", tmp_path / "a", "--json"
    )
    trained = one_object(out)
    assert code == 0 and "epoch 1/1" in err
    assert {"test_accuracy", "chip", "seed", "run_dir", "seconds_per_epoch"} <= set(trained)
    for words in (["evaluate", finished], ["resume", finished]):
        code, out, _ = run(*words, "--json")
        assert code == 0
        assert (
            one_object(out)["test_accuracy"]
            == json.loads((finished / "evaluation.json").read_text())["test_accuracy"]
        )
    for command in ("experiments", "backends", "datasets"):
        code, out, _ = run(command, "--json")
        assert code == 0 and one_object(out)[command][0]["name"]


def test_a_run_is_evaluated_on_a_chip_and_on_others(run, finished):
    results = []
    for chip in (1, 1, 2):
        code, out, _ = run(
            "evaluate", finished, "--backend", "emulated-chip", *EVENT,
            "--set", f"backend.options.chip={chip}", "--set", "backend.options.weight_lsb=0.05",
            "--json",
        )  # fmt: skip
        assert code == 0
        results.append(one_object(out))
    assert results[0] == results[1] and results[0]["chip"] != results[2]["chip"]


def test_help_version_and_lists(run):
    for command in ((), *((name,) for name in COMMANDS)):
        assert run(*command, "--help")[0] == 0
    assert run("--version") == (0, f"hxloop {hxloop.__version__}\n", "")
    code, out, _ = run("experiments")
    assert code == 0 and all(name in out for name in experiment_names())


# --- wrong words --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "unknown command 'trian'.*train"),
        (["train"], "train: what.*--data PATH"),
        (["resume"], "Missing argument"),
        (["train", "yin-yan"], "unknown experiment 'yin-yan'.*yin-yang"),
        (["train", "no.toml"], "no.toml: cannot be read"),
        (["train", "yin-yang", "--bogus"], "No such option.*--bogus"),
        (
            ["train", "yin-yang", "--epochs", "many"],
            "--epochs: expected a whole number; got .many",
        ),
        (["calibrate", "--chip=x"], "--chip: expected a whole number; got 'x'"),
        (["train", "yin-yang", "--epochs", "0"], "training.epochs.*got 0"),
        (["train", "yin-yang", "--seed", "-1"], "seed.*-1"),
        (["train", "yin-yang", "--backend", "idael"], "unknown backend 'idael'.*ideal"),
        (["train", "yin-yang", "--set", "training.epoch=2"], "unknown key.*'epoch'.*epochs"),
        (["train", "yin-yang", "--set", "trainig.epochs=2"], "unknown key 'trainig'.*training"),
        (["train", "yin-yang", "--set", "training.epochs"], "expected KEY=VALUE"),
        (["train", "yin-yang", "--set", "seed.x=1"], "'seed' is a value, not a table"),
        (["train", "yin-yang", "--set", "training.epochs=2.5"], "training.epochs.*2.5"),
        (["train", "yin-yang", "--set", 'loss.name="mse"'], "unknown loss 'mse'"),
        (["train", "yin-yang", "--set", "loss.options.xj=1"], "option of loss.*'xj'.*xi"),
        (["train", "yin-yang", "--set", 'dataset.name="mnits"'], "unknown data set 'mnits'"),
        (["train", "yin-yang", "--set", "backend.options.a=1"], "ideal.*'a'"),
        (
            ["train", "yin-yang-in-the-loop", "--set", 'backend.options.imperfections="some"'],
            "preset of imperfections 'some'.*calibrated",
        ),
        (["train", "open-loop-vs-in-the-loop", "--set", "study.chip=1"], r"\[study\].*chips"),
        (["evaluate", "here", "--set", "seed=1"], "expected backend.options"),
        (["bench", "everything"], "unknown benchmark 'everything'.*chip"),
        (["bench", "chip", "--set", "bench.epoch=3"], "'epoch'.*epochs"),
        (["bench", "chip", "--set", "bench.epochs=0"], "bench.epochs.*got 0"),
        (["analyse", "x", "--set", "analysis.n_nul=3"], "'n_nul'.*n_null"),
        (["check-backend", "ideal", "--set", "backend.options.x=3"], "ideal.*'x'.*precision"),
        (["check-backend", "ideal", "--set", "backend.name=3"], "expected backend.options.NAME"),
        (["calibrate", "--out", "c.h5", "--set", "seed=3"], "expected backend.options.*target"),
        (
            ["train", "yin-yang", "--set", "network.hidden=[60,60]"],
            "initialisation.method = balanced",
        ),
        (["train", "yin-yang", "--set", "network.hidden=[.5]"], "--set.*write numbers as 0.5"),
        (
            ["train", "yin-yang", "--set", "network.hidden=60"],
            r"a list, like \[60\]; got 60",
        ),
        (["train", "yin-yang", "--set", "training.clip_weights=no"], 'true or false; got "no"'),
        (["train", "yin-yang", "--set", "activity.epochs=[-1]"], "at least 0 or 'final'; got -1"),
        (["train", "yin-yang", "--set", "backend=ideal"], "a table.*its name is backend.name"),
        (["train", "yin-yang", "--set", "encoding.replicate=0"], ": encoding.replicate: expected"),
        (["train", "yin-yang", "--set", "network.neuron.tau_mem=-1"], ": network.neuron.tau_mem"),
        (
            [
                "train",
                "yin-yang",
                "--backend",
                "emulated-chip",
                "--set",
                "backend.options.precision=single",
            ],
            "precision=single is for backend.options.solver=event",
        ),
    ],
)
def test_wrong_words_get_status_2_and_the_right_ones(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert re.search(said, err, re.DOTALL) and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_debug_shows_where_it_happened(tmp_path):
    with pytest.raises(ConfigError):
        main(["train", "yin-yang", "--epochs", "0", "--debug"])


@pytest.mark.parametrize("text", ["epochs = [", "\xff\xfe".encode("latin-1")])
def test_a_configuration_that_is_no_toml(run, tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, _, err = run("train", path)
    assert code == 2 and "mine.toml: not valid TOML" in err


def test_configuration_survives_being_written(tmp_path):
    for name in experiment_names():
        config = load_experiment(name)
        path = tmp_path / f"{name}.toml"
        path.write_text(config.to_toml(), encoding="utf-8")
        assert ExperimentConfig.load(path) == config
        assert ExperimentConfig.load(path).digest == config.digest
        assert load_experiment(name, ["seed=77"]).digest != config.digest


@pytest.mark.parametrize(
    ("section", "options"),
    [
        (config_module.TrainingConfig, TrainingOptions),
        (config_module.SilentConfig, SilentNeuronPolicy),
        (config_module.EncodingConfig, LatencyEncoding),
        (config_module.NeuronConfig, NeuronSpec),
    ],
)
def test_defaults_of_a_configuration_are_those_of_the_library(section, options):
    given, default = section().model_dump(), asdict(options())
    default.pop("seed", None)  # one seed for everything, at the top of a configuration
    later = section.LATER  # are not written down where they are at their default
    assert given == {key: value for key, value in default.items() if key not in later}
    for key in later & {"t_refractory", "delay_rate", "neuron_rate"}:
        assert getattr(section(), key) == default[key]


def test_another_loss_or_backend_leaves_the_options_of_the_former_one_behind():
    with pytest.warns(HxloopWarning, match="left out what was set for time-to-first-spike .xi"):
        config = load_experiment("yin-yang", ["loss.name=target-time", "loss.options.t_wrong=3"])
    assert config.loss.options == {"t_wrong": 3.0}
    with pytest.warns(HxloopWarning, match="backend.name = ideal"):
        config = load_experiment("yin-yang-in-the-loop", ["backend.name=ideal"])
    assert config.backend.options == {}
    same = load_experiment("yin-yang", ["loss.name=time-to-first-spike"])
    assert same.loss.options == {"xi": 0.05}


def test_numbers_are_read_as_everywhere_else():
    for text, value in ((".5", 0.5), ("5.", 5.0), ("-.5e-1", -0.05), ("1e-3", 1e-3)):
        values = {}
        apply_override(values, f"a.b={text}")
        assert values == {"a": {"b": value}}
    apply_override(values, "a.b=chip3.h5")
    assert values == {"a": {"b": "chip3.h5"}}


def test_no_fault_of_a_configuration_is_told_in_the_words_of_the_validator():
    """Every field of every section, with values of every kind."""

    def leaves(model, path=()):
        for name, field in model.model_fields.items():
            section = getattr(field.annotation, "model_fields", None)
            yield (*path, name)
            if section:
                yield from leaves(field.annotation, (*path, name))

    for path in leaves(ExperimentConfig):
        for value in ("text", True, -3, 0.5, ["x"], [None], {"a": "b"}, float("nan")):
            values: dict = {}
            table = values
            for name in path[:-1]:
                table = table.setdefault(name, {})
            table[path[-1]] = value
            try:
                ExperimentConfig.from_mapping(values, "here")
            except ConfigError as error:
                text = str(error)
                assert "here: " in text or "here:\n  " in text
                assert not re.search("Input should|valid integer|pydantic|instance of", text), text
                assert "another value" not in text, text


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_help_keeps_what_stands_in_square_brackets(run, command):
    parsed = typer.main.get_command(app).commands[command]
    code, out, _ = run(command, "--help")
    shown = " ".join(out.split())
    assert code == 0
    for parameter in parsed.params:
        for words in re.findall(r"\[[^]]+\]", parameter.help or ""):
            assert words in shown
