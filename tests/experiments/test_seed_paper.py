"""The published spike times: two programs agree on them; the study says what it lacks."""

from __future__ import annotations

import json
import os

import pytest

from hxloop.errors import ConfigError, MissingDataError
from hxloop.experiments.registry import FOLDER, load_experiment, study_of
from hxloop.experiments.seed_paper.study import SECOND_PROGRAM, markdown, run

FAST = [
    f"study.analysis.{key}={value}"
    for key, value in {"n_resamples": 20, "n_permutations": 49, "n_null": 10}.items()
]
KEPT = json.loads((FOLDER / "seed_paper" / "results.json").read_text(encoding="utf-8"))


@pytest.mark.skipif(
    "HXLOOP_DATA_DIR" not in os.environ, reason="needs the published spikes below HXLOOP_DATA_DIR"
)
def test_two_programs_agree_to_the_digit(tmp_path):
    config = load_experiment("seed-paper", FAST)
    study = study_of(config)
    assert study is run
    said: list[str] = []
    results = study(config, tmp_path / "study", say=said.append)
    assert "measuring trained" in said
    after, before = (results["states"][name]["causal_shorth"] for name in ("trained", "untrained"))
    assert [round(value, 3) for value in after[:-1]] == list(SECOND_PROGRAM)
    # Before training the spread falls from layer 1 on.
    assert before[1:-1] == sorted(before[1:-1], reverse=True)
    # What is random are intervals and tests only.
    assert after == KEPT["states"]["trained"]["causal_shorth"]
    assert before == KEPT["states"]["untrained"]["causal_shorth"]
    folder = tmp_path / "study"
    assert json.loads((folder / "results.json").read_text(encoding="utf-8")) == results
    assert (folder / "results.md").read_text(encoding="utf-8") == markdown(results)
    for name in ("figure.png", "analysis/analysis.json", "analysis/report.html"):
        assert (folder / name).stat().st_size > 10_000
    # What is there is not done again.
    said.clear()
    assert study(config, folder, say=said.append) == results and not said


def test_kept_results_are_those_of_the_readme():
    readme = (FOLDER / "seed_paper" / "README.md").read_text(encoding="utf-8")
    by_layer = markdown(KEPT).partition("\n\n")[0]
    assert by_layer in readme
    for claim in KEPT["claims"]:
        assert f"| {claim['statement']} | {claim['verdict']} |" in readme
    assert "](figure.png)" in readme and "](raster.png)" in readme
    shorth = KEPT["states"]["trained"]["causal_shorth"]
    assert [round(value, 3) for value in shorth[:-1]] == KEPT["second_program"]


def test_missing_spike_times_are_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_DATA_DIR", str(tmp_path))
    with pytest.raises(MissingDataError, match=r"looked for .*fourlayer.*WeHaveToGoDeeper"):
        run(load_experiment("seed-paper"), tmp_path / "out")
    monkeypatch.delenv("HXLOOP_DATA_DIR")
    with pytest.raises(MissingDataError, match="HXLOOP_DATA_DIR is not set"):
        run(load_experiment("seed-paper"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("study.fiel=1", "fiel"),
        ("study.analysis.n_null=1", "at least 2"),
        ("study.analysis.unknown=1", "unknown"),
    ],
)
def test_bad_options_are_refused(tmp_path, override, words):
    with pytest.raises(ConfigError, match=words):
        run(load_experiment("seed-paper", [override]), tmp_path / "out")
