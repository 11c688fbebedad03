"""The command line as its users meet it: exit codes, files, errors, Ctrl-C."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.metadata import EntryPoint

import numpy as np
import pytest
import typer

import hxloop
from hxloop import HxloopWarning, LatencyEncoding, NeuronSpec, SilentNeuronPolicy, TrainingOptions
from hxloop.backends.emulated.brian2 import build as brian2_build
from hxloop.cli.app import app
from hxloop.cli.entry import main
from hxloop.cli.words import in_commands
from hxloop.errors import ConfigError, FileFormatError, OutputError
from hxloop.experiments.registry import experiment_names, load_experiment
from hxloop.network import NetworkSpec
from hxloop.runs import config as config_module
from hxloop.runs.config import ExperimentConfig, apply_override
from hxloop.runs.folder import RunDirectory, load_weights
from hxloop.substrate import registry as backend_module

SMALL = [
    word
    for setting in (
        "dataset.train_size=60",
        "dataset.validation_size=20",
        "dataset.test_size=30",
        "training.batch_size=20",
        "network.hidden=[8]",
    )
    for word in ("--set", setting)
]
EVENT = ["--set", 'backend.options.solver="event"']
COMMANDS = (
    "train", "resume", "evaluate", "analyse", "export", "experiments", "backends", "datasets",
    "bench", "calibrate", "check-backend",
)  # fmt: skip


@pytest.fixture
def run(capsys):
    """Runs a command; returns its exit status, stdout and stderr on one line."""

    def run(*words):
        with pytest.raises(SystemExit) as status:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status.value.code, out, " ".join(err.split())

    return run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run; tests copy what they change."""
    folder = tmp_path_factory.mktemp("runs") / "done"
    with pytest.raises(SystemExit) as status:
        main(["train", "yin-yang", *SMALL, "--epochs", "2", "--out", str(folder)])
    assert status.value.code == 0
    return folder


def one_object(out):
    assert out.count("\n") == 1
    return json.loads(out)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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
        ([], "a command is missing; known: .*train"),
        (["trian"], "unknown command 'trian'.*train"),
        (["train"], "Missing argument"),
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
    assert given == default


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


# --- folders ------------------------------------------------------------------------------


def test_a_run_is_replaced_only_by_force(run, finished, tmp_path):
    before = contents(finished)
    again = ["train", "yin-yang", *SMALL, "--epochs", "1", "--out", finished]
    code, _, err = run(*again)
    assert code == 2 and "--force" in err and f"hxloop resume {finished}" in err
    # Not even by force, where the new one cannot run.
    big = ["--backend", "emulated-chip", "--set", "network.hidden=[600]", "--force"]
    code, _, err = run(*again, *big)
    assert code == 2 and "needs 615 neuron circuits" in err and "enforce_limits" in err
    assert contents(finished) == before
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("years of work")
    code, _, err = run("train", "yin-yang", *SMALL, "--out", mine, "--force")
    assert code == 2 and "not a run folder" in err
    assert (mine / "thesis.txt").read_text() == "years of work"


def test_force_replaces_a_run(run, tmp_path):
    words = ["train", "yin-yang", *SMALL, "--epochs", "1", "--out", tmp_path / "r"]
    assert run(*words)[0] == 0
    assert run(*words, "--seed", "5", "--force")[0] == 0
    assert ExperimentConfig.load(tmp_path / "r" / "config.toml").seed == 5


def test_a_folder_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        code, _, err = run("train", "yin-yang", *SMALL, "--out", out)
        assert code == 2 and str(out) in err
    with pytest.raises(OutputError):
        RunDirectory.create(tmp_path / "file" / "below")


def test_what_is_not_a_run_is_neither_resumed_nor_evaluated(run, tmp_path):
    for command in ("resume", "evaluate"):
        code, _, err = run(command, tmp_path)
        assert code == 1 and "there is no config.toml in it" in err
        code, _, err = run(command, tmp_path / "nowhere")
        assert code == 1 and "nowhere: expected the folder of a run; there is no such folder" in err


def test_a_finished_run_says_that_nothing_is_left_to_train(run, finished, tmp_path):
    code, _, err = run("resume", copy_of(finished, tmp_path))
    assert code == 0 and "nothing is left to train" in err and "--epochs N" in err


def test_a_wrong_backend_is_told_before_a_folder_that_is_there(run, finished):
    code, _, err = run("train", "yin-yang", *SMALL, "--backend", "idael", "--out", finished)
    assert code == 2 and "unknown backend" in err and "--force" not in err


# --- damaged files ------------------------------------------------------------------------


def copy_of(finished, tmp_path):
    copy = tmp_path / "copy"
    for name, data in contents(finished).items():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_bytes(data)
    return copy


@pytest.mark.parametrize("name", ["weights.safetensors", "checkpoints/last.safetensors"])
def test_truncated_and_corrupt_files_are_told(run, finished, tmp_path, name):
    copy = copy_of(finished, tmp_path)
    whole = (copy / name).read_bytes()
    damaged = [whole[:length] for length in (0, 7, 8, 100, len(whole) // 2, len(whole) - 1)]
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    command = "evaluate" if name.startswith("weights") else "resume"
    for data in [*damaged, bytes(flipped)]:
        (copy / name).write_bytes(data)
        code, _, err = run(command, copy)
        assert code == 1 and name in err and re.search("truncated|corrupt", err)
    # The last checkpoint still has everything.
    if command == "evaluate":
        assert run("resume", copy)[0] == 0 and run("evaluate", copy)[0] == 0


def test_a_pickle_is_not_loaded(tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"\x80\x04\x95\x1d\x00cos\nsystem\n(S'touch pwned'\ntR.")
    with pytest.raises(FileFormatError, match="truncated or corrupt"):
        load_weights(path, NetworkSpec.feed_forward(2, 2))


def test_weights_of_another_network(finished):
    with pytest.raises(FileFormatError, match=r"expected shapes \(\(2, 2\),\).*got \(\(5, 8\)"):
        load_weights(finished / "weights.safetensors", NetworkSpec.feed_forward(2, 2))


def test_weights_round_trip_exactly(tmp_path):
    folder = RunDirectory.create(tmp_path / "run")
    weights = [np.random.default_rng(0).normal(size=(3, 4)), np.full((4, 2), 1e-300)]
    folder.write_weights(weights, {})
    read = folder.weights(NetworkSpec.feed_forward(3, 4, 2))
    assert all(np.array_equal(a, b) for a, b in zip(weights, read, strict=True))


def test_corrupt_provenance_is_told(run, finished, tmp_path):
    copy = copy_of(finished, tmp_path)
    (copy / "provenance.json").write_text('{"started": ')
    code, _, err = run("resume", copy)
    assert code == 1 and "provenance.json: truncated or corrupt" in err


# --- interruption -------------------------------------------------------------------------


def test_ctrl_c_keeps_a_checkpoint_and_says_how_to_go_on(run, tmp_path):
    folder = tmp_path / "run"
    words = ["train", "yin-yang", *SMALL, "--epochs", "4000", "--out", str(folder)]
    process = subprocess.Popen(
        [sys.executable, "-c", f"from hxloop.cli.entry import main; main({words!r})"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (folder / "checkpoints" / "last.safetensors").exists():
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and out == ""
    assert f"resume with: hxloop resume {folder}" in " ".join(err.split())
    assert "Traceback" not in err
    done = len((folder / "metrics.jsonl").read_text().splitlines())
    config = (folder / "config.toml").read_text()
    (folder / "config.toml").write_text(config.replace("epochs = 4000", f"epochs = {done + 2}"))
    code, out, _ = run("resume", folder, "--json")
    assert code == 0 and one_object(out)["epochs"] == done + 2


# --- what is missing ----------------------------------------------------------------------


def test_missing_compiler_names_both_ways_out(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    code, _, err = run(
        "train", "yin-yang-in-the-loop", *SMALL, "--epochs", "1", "--out", tmp_path / "run",
        "--set", f'backend.options.cache_dir="{tmp_path / "cache"}"',
    )  # fmt: skip
    assert code == 1 and "compiler" in err
    # In the words of the command line, to be typed behind --set as they stand.
    assert "backend.options.codegen=numpy" in err and "backend.options.solver=event" in err
    assert brian2_build  # the module whose search is being tested


def test_a_backend_whose_package_is_missing(run, monkeypatch):
    broken = EntryPoint("broken", "a_package_that_is_not_there:Backend", "hxloop.backends")
    known = backend_module.entry_points(group="hxloop.backends")
    monkeypatch.setattr(
        backend_module, "entry_points", lambda group: [*known, broken], raising=True
    )
    code, out, _ = run("backends")
    assert code == 0 and re.search(r"broken +not usable: .*a_package_that_is_not_there", out)
    code, _, err = run("train", "yin-yang", "--backend", "broken")
    assert code in (1, 2) and "a_package_that_is_not_there" in err and "pip install" in err


def test_what_was_typed_is_told_as_it_was_typed():
    typed = "configuration my.toml with chip=3 with solver='event':"
    told = in_commands(f"{typed}\n  unknown key 'chip'. Use solver='event'")
    assert told == f"{typed}\n  unknown key 'chip'. Use backend.options.solver=event"
