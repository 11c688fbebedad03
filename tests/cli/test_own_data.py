"""Training on files of one's own from the command line."""

import json
import tomllib

import pytest

from tests.cli.command_line import one_object
from tests.runs.test_suggest import write


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "few")
    return tmp_path


SHORT = ["--set", "network.hidden=[10]", "--set", "activity.epochs=[]", "--epochs", "1"]


def test_new_writes_a_file_that_trains_from_anywhere(place, run):
    (place / "configs").mkdir()
    status, written, _ = run("new", "configs/mine", "--data", "a.csv")
    assert status == 0 and "Train: hxloop train configs/mine.toml" in written
    file = place / "configs" / "mine.toml"
    assert tomllib.loads(file.read_text())["dataset"] == {"path": "../a.csv"}
    status, _, said = run("new", "configs/mine", "--data", "a.csv")
    assert status != 0 and "is there already" in said
    written = one_object(run("train", file, *SHORT, "--out", "one", "--json")[1])
    made = one_object(run("train", "--data", "a.csv", *SHORT, "--out", "two", "--json")[1])
    assert written["test_accuracy"] == made["test_accuracy"]
    known = json.loads((place / "one" / "identity.json").read_text())["data"]["test"]
    assert known["name"] == "a" and known["scaling"]["method"] == "feature"


def test_a_file_that_changed_since_is_noticed(place, run):
    assert run("train", "--data", "a.csv", *SHORT, "--out", "one")[0] == 0
    lines = (place / "a.csv").read_text().splitlines()
    (place / "a.csv").write_text("\n".join([lines[0], *lines[:0:-1]]))
    status, _, said = run("evaluate", "one")
    assert status == 2 and "a.csv changed since?" in said


def test_an_experiment_is_trained_on_other_data(place, run):
    result = one_object(run("train", "yin-yang", "--data", "a.csv", *SHORT, "--json")[1])
    assert result["test_samples"] == 30
    config = tomllib.loads((place / "runs" / "yin-yang" / "config.toml").read_text())
    assert config["dataset"]["name"] == "a" and config["loss"]["options"] == {"xi": 0.05}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train"], "Expected an experiment"),
        (["new", "x"], "Expected --data PATH"),
        (["train", "yin-yang", "--label", "class"], "--label: of which data"),
        (["train", "--data", "a.csv", "--label", "kind"], "unknown column 'kind'"),
        (["train", "--data", "b.csv"], "expected a file or folder"),
        (["train", "yin-yang", "--set", "dataset.label=x"], "expected dataset.path, too"),
        (["train", "--data", "a.csv", "--set", "dataset.scaling=log"], "dataset.scaling: expected"),
    ],
)
def test_what_makes_no_sense_is_told_in_the_words_that_were_typed(place, run, words, expected):
    status, _, said = run(*words)
    assert status in (1, 2) and expected in said


def test_a_report_is_written_when_it_is_asked_for(place, run):
    words = ["train", "--data", "a.csv", *SHORT, "--out", "one"]
    status, out, _ = run(*words, "--no-report")
    assert status == 0 and "Report:" not in out and not (place / "one" / "report.html").exists()
    # All else is there, and what is finished writes it later.
    assert run("evaluate", "one")[0] == 0
    status, out, _ = run("resume", "one")
    assert status == 0 and "Report:" in out and (place / "one" / "report.html").exists()
