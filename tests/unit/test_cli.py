"""The command line where it is hard: Ctrl-C at any moment, what is kept, studies, plugins."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

import hxloop
from hxloop import backend as backend_module
from hxloop import cli
from hxloop.cli import main
from hxloop.config import ExperimentConfig
from hxloop.experiments.open_loop_vs_in_the_loop import study as study_module
from hxloop.experiments.registry import experiment_names
from hxloop.training import Trainer


def with_set(*settings):
    return [word for setting in settings for word in ("--set", setting)]


SMALL = with_set(
    "dataset.train_size=60",
    "dataset.validation_size=20",
    "dataset.test_size=30",
    "training.batch_size=20",
    "network.hidden=[10]",
)
EVENT = with_set('backend.options.solver="event"')
STUDY = [
    "train", "open-loop-vs-in-the-loop", *SMALL, "--epochs", "1",
    *with_set("study.chips=[1]", 'study.presets=["calibrated"]'),
]  # fmt: skip
COMMANDS = ("train", "resume", "evaluate", "experiments", "backends", "datasets", "bench")


@pytest.fixture
def run(capsys):
    """Runs a command; returns its exit status, stdout and stderr on one line."""

    def run(*words):
        with pytest.raises(SystemExit) as status:
            main([str(word) for word in words])
        out, err = capsys.readouterr()
        return status.value.code, out, " ".join(err.split())

    return run


def made(*words):
    with pytest.raises(SystemExit) as status:
        main([str(word) for word in words])
    assert status.value.code == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two epochs, three batches each; tests copy what they change."""
    folder = tmp_path_factory.mktemp("runs") / "done"
    made("train", "yin-yang", *SMALL, "--epochs", "2", "--out", folder)
    return folder


@pytest.fixture(scope="module")
def on_chip(tmp_path_factory):
    """The same on a noisy chip."""
    folder = tmp_path_factory.mktemp("runs") / "chip"
    made("train", "yin-yang-in-the-loop", *SMALL, *EVENT, "--epochs", "1", "--out", folder)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study of one chip."""
    folder = tmp_path_factory.mktemp("runs") / "study"
    made(*STUDY, "--out", folder)
    return folder


@pytest.fixture
def interrupt_at(monkeypatch):
    """Ctrl-C in the middle of the batch of that number, counted over all trainings."""

    def interrupt_at(number, times=1):
        real, batches = Trainer._step, []

        def step(self, samples):
            real(self, samples)
            batches.append(1)
            if len(batches) == number:
                for _ in range(times):
                    signal.raise_signal(signal.SIGINT)

        monkeypatch.setattr(Trainer, "_step", step)

    return interrupt_at


def one_object(out):
    assert out.count("\n") == 1
    content = json.loads(out)
    assert isinstance(content, dict)
    return content


def contents(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def copied(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def results_of(folder):
    """What a study found, without times of day and durations."""
    results = json.loads((folder / "results.json").read_text())
    for row in [results, results["software"], *results["chips"]]:
        for key in ("finished", "seconds", "seconds_per_epoch"):
            row.pop(key, None)
    return results


# --- the command itself -------------------------------------------------------------------


def test_the_installed_command_is_this_one(tmp_path):
    (point,) = entry_points(group="console_scripts", name="hxloop")
    assert point.load() is main
    script = Path(sys.executable).with_name("hxloop")
    if not script.exists():
        pytest.skip("hxloop is not installed as a script beside this Python")
    done = subprocess.run(
        [script, "trian"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2 and done.stdout == ""
    assert "unknown command 'trian'" in done.stderr and "Did you mean 'train'?" in done.stderr


def test_every_command_explains_itself(run):
    for name in COMMANDS:
        code, out, err = run(name, "--help")
        assert (code, err) == (0, "") and "--json" in out
    code, out, _ = run("--help")
    assert code == 0 and all(name in out for name in COMMANDS)
    assert all(name in run("trian")[2] for name in COMMANDS)


def test_options_of_all_commands(run):
    assert run("--debug", "--version") == (0, f"hxloop {hxloop.__version__}\n", "")
    for name in COMMANDS:
        code, out, err = run(name, "--bogus")
        assert (code, out) == (2, "") and "--bogus" in err and f"hxloop {name} --help" in err


def test_lists_name_everything_once(run):
    code, out, _ = run("experiments", "--json")
    listed = one_object(out)["experiments"]
    assert code == 0 and tuple(entry["name"] for entry in listed) == experiment_names()
    assert all(entry["description"] for entry in listed)
    names = [entry["name"] for entry in one_object(run("backends", "--json")[1])["backends"]]
    assert {"ideal", "emulated-chip"} <= set(names) and names == sorted(names)


def test_messages_are_printed_as_they_are(run):
    # A colon, a letter, a colon is a picture to some terminals' libraries.
    for name in ("run:x:1", "[bold]run", "ru[/n]"):
        code, _, err = run("train", name)
        assert code == 2 and f"unknown experiment {name!r}" in err


def test_debug_shows_the_traceback(tmp_path):
    for words in (["--debug", "resume", tmp_path], ["resume", tmp_path, "--debug"]):
        with pytest.raises(hxloop.errors.FileFormatError):
            main([str(word) for word in words])


# --- train --------------------------------------------------------------------------------


def test_a_run_goes_to_a_folder_of_the_name_of_its_experiment(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        "[dataset]\ntrain_size = 40\nvalidation_size = 10\ntest_size = 10\n[network]\nhidden = [4]"
        "\n[training]\nepochs = 1\n"
    )
    code, out, _ = run("train", "mine.toml", "--seed", "3", "--json")
    trained = one_object(out)
    assert code == 0 and trained["run_dir"] == "runs/mine"
    assert (trained["experiment"], trained["seed"], trained["epochs"]) == ("mine", 3, 1)
    assert 0 <= trained["test_accuracy"] <= 1 and trained["test_samples"] == 10
    code, out, _ = run("evaluate", "runs/mine")
    accuracy = f"{100 * trained['test_accuracy']:.2f} %"
    assert code == 0 and out == f"Test accuracy: {accuracy} of 10 samples\n"


def test_the_report_opens_without_a_network(on_chip):
    page = (on_chip / "report.html").read_text(encoding="utf-8")
    assert len(re.findall(r"<img [^>]*src='data:image/png;base64,", page)) >= 5
    assert not re.search(r"(src|href)=['\"]?(?!'data:)", page)
    assert "url(" not in page and "@import" not in page and "The chip" in page
    for text in ("emulated-chip", "solver event", "weight_limit", "git_commit"):
        assert text in page or text == "weight_limit"


def test_options_of_the_shipped_backend_are_kept_for_it_and_only_for_it(run, tmp_path):
    words = ["train", "yin-yang-in-the-loop", *SMALL, "--epochs", "1"]
    code, _, _ = run(*words, "--backend", "emulated-chip", *EVENT, "--out", tmp_path / "a")
    assert code == 0
    options = ExperimentConfig.load(tmp_path / "a" / "config.toml").backend.options
    assert options == {"chip": 1, "imperfections": "calibrated", "solver": "event"}
    assert run(*words, "--backend", "ideal", "--out", tmp_path / "b")[0] == 0
    backend = ExperimentConfig.load(tmp_path / "b" / "config.toml").backend
    assert (backend.name, backend.options) == ("ideal", {})


@pytest.mark.parametrize(
    "words",
    [
        ["--backend", "nope"],
        ["--set", "network.hidden=[0]"],
        ["--set", "initialisation.means=[1.0]"],
        ["--set", "encoding.t_late=0.1"],
        ["--backend", "emulated-chip", "--set", "network.hidden=[600]"],
        ["--backend", "emulated-chip", "--set", "backend.options.chip=-1"],
        # The same for data that are no images, which was found out in the first batch.
        ["--set", "training.max_shift=1"],
    ],
    ids=lambda words: words[-1],
)
def test_what_cannot_be_trained_does_not_cost_the_run_that_is_there(run, finished, words):
    before = contents(finished)
    code, out, err = run("train", "yin-yang", *SMALL, *words, "--out", finished, "--force")
    assert (code, out) == (2, "") and "should not happen" not in err
    assert contents(finished) == before


def test_a_missing_compiler_does_not_cost_the_run_that_is_there(run, finished, monkeypatch):
    before = contents(finished)
    monkeypatch.setenv("CXX", "no-such-compiler")
    words = ["train", "yin-yang", *SMALL, "--backend", "emulated-chip", "--out", finished]
    cache = with_set(f'backend.options.cache_dir="{finished.parent / "cache"}"')
    code, _, err = run(*words, *cache, "--force")
    assert code == 1 and "no-such-compiler" in err and "solver='event'" in err
    assert contents(finished) == before


def test_the_way_out_of_a_missing_compiler_is_one(run, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    words = ["train", "yin-yang-in-the-loop", *SMALL, "--epochs", "1", "--out", tmp_path / "run"]
    assert run(*words, *EVENT)[0] == 0


# --- evaluate -----------------------------------------------------------------------------


def test_evaluation_gives_what_the_training_gave_and_changes_nothing(run, on_chip):
    before = contents(on_chip)
    trained = json.loads((on_chip / "evaluation.json").read_text())
    code, out, err = run("evaluate", on_chip, "--json")
    again = one_object(out)
    # To the last bit on a noisy chip: the trials of the noise are the same ones.
    assert code == 0 and all(trained[key] == value for key, value in again.items())
    other = one_object(
        run("evaluate", on_chip, *with_set("backend.options.chip=7"), "--json")[1]
    )  # its other options are those of the run, or Brian2 would run
    assert other["chip"] != again["chip"]
    software = one_object(run("evaluate", on_chip, "--backend", "ideal", "--json")[1])
    assert (software["backend"], software["chip"]) == ("ideal", None)
    assert contents(on_chip) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--set", "training.epochs=3"], 2, "expected backend.options.NAME=VALUE"),
        (["--set", "backend.name=ideal"], 2, "expected backend.options.NAME=VALUE"),
        (["--set", "backend.options.chip"], 2, "expected KEY=VALUE"),
        (["--set", "backend.options.="], 2, "expected KEY=VALUE"),
        (["--set", "backend.options.chp=3"], 2, "'chp'.*Did you mean 'chip'?"),
        (["--set", "backend.options.chip=x"], 2, "chip must be a number"),
        (["--backend", "emulated"], 2, "unknown backend 'emulated'.*emulated-chip"),
        (["--backend", "ideal", "--set", "backend.options.chip=1"], 2, "ideal.*'chip'"),
    ],
)
def test_what_an_evaluation_does_not_take(run, on_chip, words, code, said):
    got, out, err = run("evaluate", on_chip, *words)
    assert (got, out) == (code, "") and re.search(said, err)


def test_an_unfinished_run_is_not_evaluated(run, finished, tmp_path):
    copy = copied(finished, tmp_path)
    (copy / "weights.safetensors").unlink()
    code, _, err = run("evaluate", copy)
    assert code == 1 and "Was the training finished?" in err and f"hxloop resume {copy}" in err


# --- resume -------------------------------------------------------------------------------


def test_resuming_a_finished_run_writes_its_files_anew(run, finished, tmp_path):
    copy = copied(finished, tmp_path)
    (copy / "weights.safetensors").write_bytes(b"")
    (copy / "report.html").unlink()
    code, out, _ = run("resume", copy, "--json")
    assert code == 0 and one_object(out)["epochs"] == 2
    before, after = contents(finished), contents(copy)
    assert after.keys() == before.keys()
    for name in ("weights.safetensors", "config.toml", "metrics.jsonl"):
        assert after[name] == before[name]
    first, again = (json.loads(files["evaluation.json"]) for files in (before, after))
    assert first | {"run_dir": str(copy)} == again
    origin = json.loads(after["provenance.json"])
    assert len(origin["resumed"]) == 1
    assert origin["started"] == json.loads(before["provenance.json"])["started"]


def test_resuming_a_run_that_never_started_starts_it(run, finished, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(finished / "config.toml", folder)
    assert run("resume", folder)[0] == 0
    name = "weights.safetensors"
    assert contents(folder)[name] == contents(finished)[name]


def test_a_run_without_its_checkpoint_is_not_started_anew_in_silence(run, finished, tmp_path):
    copy = copied(finished, tmp_path)
    (copy / "checkpoints" / "last.safetensors").unlink()
    before = contents(copy)
    code, _, err = run("resume", copy)
    assert code == 1 and "last.safetensors: no such file" in err
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.toml", "seed = "),
        ("config.toml", "sede = 1\n"),
        ("provenance.json", "{"),
        ("provenance.json", "[]"),
        ("checkpoints/last.safetensors", "{}"),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_changed(run, finished, tmp_path, name, content):
    copy = copied(finished, tmp_path)
    (copy / name).write_text(content)
    before = contents(copy)
    code, out, err = run("resume", copy)
    assert out == "" and code == (2 if name == "config.toml" else 1)
    assert str(copy / name) in err and "should not happen" not in err
    assert contents(copy) == before


# --- Ctrl-C -------------------------------------------------------------------------------


def test_ctrl_c_stops_after_the_batch_and_resume_goes_on_bit_for_bit(
    run, finished, tmp_path, interrupt_at
):
    handler = signal.getsignal(signal.SIGINT)
    interrupt_at(5)  # the second batch of the second epoch
    folder = tmp_path / "run"
    code, out, err = run("train", "yin-yang", *SMALL, "--epochs", "2", "--out", folder)
    assert (code, out) == (130, "") and "Traceback" not in err
    assert "stopping after this batch (Ctrl-C again: at once)" in err
    assert "stopped in epoch 2 of 2, after batch 2" in err and f"hxloop resume {folder}" in err
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (folder / "weights.safetensors").exists()
    code, out, _ = run("resume", folder, "--json")
    assert code == 0
    whole = json.loads((finished / "evaluation.json").read_text())
    varying = {"run_dir", "seconds", "seconds_per_epoch"}
    for key, value in one_object(out).items():
        assert key in varying or value == whole[key]
    name = "weights.safetensors"
    assert contents(folder)[name] == contents(finished)[name]


def test_ctrl_c_twice_stops_at_once_and_the_run_can_go_on(run, finished, tmp_path, interrupt_at):
    handler = signal.getsignal(signal.SIGINT)
    interrupt_at(5, times=2)
    folder = tmp_path / "run"
    code, out, err = run("train", "yin-yang", *SMALL, "--epochs", "2", "--out", folder)
    assert (code, out) == (130, "") and "hxloop resume" in err and "Traceback" not in err
    assert signal.getsignal(signal.SIGINT) is handler
    assert run("resume", folder)[0] == 0
    name = "weights.safetensors"
    assert contents(folder)[name] == contents(finished)[name]


def test_ctrl_c_in_the_last_batch_lets_the_training_finish(run, tmp_path, interrupt_at):
    interrupt_at(3)
    folder = tmp_path / "run"
    assert run("train", "yin-yang", *SMALL, "--epochs", "1", "--out", folder)[0] == 0
    assert (folder / "report.html").is_file()


def test_ctrl_c_before_the_first_batch_costs_nothing(run, finished, monkeypatch):
    before = contents(finished)

    def interrupted(config):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(cli, "prepare", interrupted)
    code, out, err = run("train", "yin-yang", *SMALL, "--out", finished, "--force")
    assert (code, out) == (130, "") and "Traceback" not in err
    assert contents(finished) == before


def test_ctrl_c_at_a_terminal(tmp_path):
    """The real thing, sent to a process that writes a checkpoint after every batch."""
    folder = tmp_path / "run"
    words = [
        "train", "yin-yang", *SMALL, "--epochs", "100000", "--out", str(folder),
        *with_set("training.checkpoint_every=1"),
    ]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", "from hxloop.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        deadline = time.monotonic() + 60
        while not (folder / "metrics.jsonl").exists():
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out) == (130, "") and "Traceback" not in err
    assert f"resume with: hxloop resume {folder}" in " ".join(err.split())
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["last.safetensors"]


# --- plugins ------------------------------------------------------------------------------

BROKEN = {
    "absent": "import a_package_that_is_not_there",
    "unnamed": "raise ImportError('libvendor.so.1: cannot open shared object file')",
    "classless": "",
    "failing": "raise RuntimeError('no licence')",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_backend_is_listed_as_such_and_hides_no_other(run, tmp_path, monkeypatch, kind):
    (tmp_path / f"plugin_{kind}.py").write_text(BROKEN[kind] + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    broken = EntryPoint("broken", f"plugin_{kind}:Backend", backend_module.ENTRY_POINT_GROUP)
    known = list(backend_module.entry_points(group=backend_module.ENTRY_POINT_GROUP))
    monkeypatch.setattr(backend_module, "entry_points", lambda group: [*known, broken])
    code, out, _ = run("backends", "--json")
    assert code == 0
    found = {entry["name"]: entry["description"] for entry in one_object(out)["backends"]}
    assert {"ideal", "emulated-chip", "broken"} <= set(found)
    assert found["broken"].startswith("not usable: ") and "None" not in found["broken"]
    code, out, err = run("train", "yin-yang", "--backend", "broken", "--out", tmp_path / "run")
    assert (code, out) == (1, "") and "'broken'" in err and "should not happen" not in err
    assert not (tmp_path / "run").exists()


# --- the study ----------------------------------------------------------------------------


def test_a_study_leaves_tables_a_figure_and_its_runs(study):
    files = contents(study)
    assert {"config.toml", "results.json", "results.md", "figure.png"} <= set(files)
    assert files["figure.png"].startswith(b"\x89PNG") and len(files["figure.png"]) > 10_000
    results = json.loads(files["results.json"])
    (row,) = results["chips"]
    assert (row["preset"], row["chip"]) == ("calibrated", 1) and results["finished"]
    assert 0 <= row["open_loop"] <= 1 and 0 <= row["in_the_loop"] <= 1
    evaluation = json.loads(files["calibrated-1/evaluation.json"])
    assert (row["in_the_loop"], row["chip_id"]) == (evaluation["test_accuracy"], evaluation["chip"])
    table = files["results.md"].decode()
    assert table.count("| calibrated | 1 |") == table.count("| calibrated | mean |") == 1


def test_the_parts_of_a_study_are_runs_like_others(run, study):
    row = json.loads((study / "results.json").read_text())["chips"][0]
    code, out, _ = run("evaluate", study / "calibrated-1", "--json")
    assert code == 0 and one_object(out)["test_accuracy"] == row["in_the_loop"]
    # Transferred by hand: the open loop.
    options = with_set("backend.options.chip=1", 'backend.options.imperfections="calibrated"')
    words = ["evaluate", study / "software", "--backend", "emulated-chip", *EVENT, *options]
    code, out, _ = run(*words, "--json")
    assert code == 0 and one_object(out)["test_accuracy"] == row["open_loop"]


def test_a_finished_study_is_not_done_again(run, study, monkeypatch):
    monkeypatch.setattr(Trainer, "fit", None)
    before = contents(study)
    for words in ([*STUDY, "--out", study], ["resume", study]):
        code, out, _ = run(*words, "--json")
        result = one_object(out)
        assert code == 0 and result.pop("run_dir") == str(study)
        assert result == json.loads(before["results.json"])
        assert contents(study) == before


@pytest.mark.parametrize("batch", [2, 5], ids=["in software", "on the chip"])
def test_a_study_that_was_stopped_goes_on(run, study, tmp_path, interrupt_at, batch):
    interrupt_at(batch)  # three batches in software, then three on the chip
    folder = tmp_path / "study"
    code, out, err = run(*STUDY, "--out", folder, "--json")
    assert (code, out) == (130, "") and f"Continue with: hxloop resume {folder}" in err
    assert run("resume", folder)[0] == 0
    assert results_of(folder) == results_of(study)
    assert contents(folder)["figure.png"] == contents(study)["figure.png"]


def test_ctrl_c_between_the_trainings_of_a_study_is_not_lost(run, tmp_path, monkeypatch):
    real = study_module.evaluate_prepared

    def interrupted(*arguments):
        signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(study_module, "evaluate_prepared", interrupted)
    code, out, err = run(*STUDY, "--out", tmp_path / "study")
    assert (code, out) == (130, "") and "hxloop resume" in err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("study.chip=1", r"unknown key in \[study\] 'chip'; known: chips, name, presets, start"),
        ("study.chips=1", "study.chips: expected a list without repeats; got 1"),
        ("study.chips=[]", "study.chips: expected a list"),
        ("study.chips=[1, 1]", "without repeats"),
        ("study.chips=[-1]", "chip must be a number >= 0"),
        ("study.chips=[1.5]", "chip must be a number >= 0"),
        ('study.start="there"', "study.start: expected one of .*scratch.*'there'"),
        ('study.presets=["best"]', "preset of imperfections 'best'.*calibrated"),
        ("study.presets=[{dead=0.1}]", "study.presets"),
        ("study.name=mine", "unknown study 'mine'; known: open-loop-vs-in-the-loop"),
        ("study=1", "study: "),
    ],
)
def test_a_study_table_that_makes_no_sense(run, tmp_path, setting, said):
    code, out, err = run(*STUDY, "--set", setting, "--out", tmp_path / "study")
    assert (code, out) == (2, "") and re.search(said, err)
    assert not (tmp_path / "study").exists()


def test_a_folder_with_another_study_is_left_alone(run, study, finished):
    before = contents(study)
    for folder in (study, finished):
        code, _, err = run(*STUDY, "--seed", "9", "--out", folder)
        assert code == 2 and "another configuration" in err and "--force" in err
    assert contents(study) == before


def test_a_study_that_does_not_fit_the_chip_does_not_cost_the_one_that_is_there(run, study):
    before = contents(study)
    big = with_set("network.hidden=[600]")
    code, out, err = run(*STUDY, *big, "--out", study, "--force")
    assert (code, out) == (2, "") and "neuron circuits" in err
    assert contents(study) == before


def test_force_starts_a_study_anew(run, study, tmp_path):
    copy = copied(study, tmp_path)
    (copy / "results.json").write_text("{}")
    assert run(*STUDY, "--out", copy, "--force")[0] == 0
    assert results_of(copy) == results_of(study)


@pytest.mark.parametrize("content", ["", '{"software": ', "[]"])
def test_damaged_results_of_a_study_are_told(run, study, tmp_path, content):
    copy = copied(study, tmp_path)
    (copy / "results.json").write_text(content)
    code, _, err = run("resume", copy)
    assert code == 1 and "results.json" in err and "should not happen" not in err
