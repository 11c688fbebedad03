"""What there is by name, told about one by one; runs listed and compared."""

import json
import shutil

import pytest

from tests.cli.command_line import contents, one_object


def test_hxloop_alone_prints_help(run):
    status, out, _ = run()
    assert status == 0 and "Usage: hxloop" in out and "compare" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backends", "emulated-chip"], ["backend.options", "chip [0]", "delay_neurons [false]"]),
        (["losses"], ["time-to-first-spike", "max-membrane"]),
        (["losses", "time-to-first-spike"], ["xi [0.2]", "scale on which times are compared"]),
        (["encodings", "population"], ["keys of [encoding]", "fields [8]", "channels of each"]),
        (["datasets", "wine"], ["wine", "cultivars"]),
        (["experiments", "yin-yang"], ["[training.silent]", "# record: not set", "hidden = [120]"]),
    ],
)
def test_one_is_told_about_with_its_options(run, words, said):
    status, out, _ = run(*words)
    assert status == 0
    for part in said:
        assert part in out


def test_every_option_of_every_backend_has_a_meaning(run):
    for kind, listed in (
        ("backends", "backends"),
        ("losses", "losses"),
        ("encodings", "encodings"),
    ):
        for entry in one_object(run(kind, "--json")[1])[listed]:
            if entry["description"].startswith("not usable"):
                continue
            found = one_object(run(kind, entry["name"], "--json")[1])
            missing = [option["name"] for option in found["options"] if not option["meaning"]]
            assert missing == [], entry["name"]


@pytest.mark.parametrize("kind", ["backends", "losses", "encodings", "datasets", "experiments"])
def test_an_unknown_name_is_told_with_those_there_are(run, kind):
    status, _, said = run(kind, "nonsense")
    assert status == 2 and "unknown" in said and "known:" in said


def test_runs_are_listed_and_compared(run, finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(finished, tmp_path / "runs" / "one")
    shutil.copytree(finished, tmp_path / "runs" / "two")
    config = tmp_path / "runs" / "two" / "config.toml"
    config.write_text(config.read_text().replace("learning_rate = 0.01", "learning_rate = 0.02"))
    status, out, _ = run("runs")
    assert status == 0 and [line.split()[0] for line in out.splitlines()] == [
        "run", "runs/one", "runs/two"
    ]  # fmt: skip
    assert len(one_object(run("runs", "--json")[1])["runs"]) == 2
    before = contents(tmp_path / "runs")
    status, out, _ = run("compare", "runs/one", "runs/two")
    assert status == 0 and "training.learning_rate" in out and "Page: compare.html" in out
    assert contents(tmp_path / "runs") == before
    page = (tmp_path / "compare.html").read_text()
    assert "runs/two" in page and "0.02" in page and "<script" not in page
    status, _, said = run("compare", "runs/one", "runs/two")
    assert status == 2 and "--force" in said
    found = one_object(run("compare", "runs/one", "runs/two", "--force", "--json")[1])
    assert found["differing"] == ["training.learning_rate"] and json.dumps(found)
    status, _, said = run("compare", "runs/one")
    assert (status == 2 and "--force" in said) or "two runs at least" in said
    (tmp_path / "runs" / "two" / "config.toml").write_text("nonsense")
    status, out, said = run("runs")
    assert status != 0 or "runs/two" in out
