"""``hxloop analyse`` as its users meet it: files, errors, one JSON object."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from hxloop.activity import RecordedActivity, first_output, write_plain
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.run import analyse_recording, default_folder
from hxloop.cli import output as output
from hxloop.cli.entry import main
from hxloop.errors import FileFormatError, OutputError

FAST = AnalysisOptions(n_resamples=20, n_permutations=49, n_null=10)


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """Runs ``hxloop analyse``; returns its exit status, stdout and stderr on one line."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        with pytest.raises(SystemExit) as status:
            main(["analyse", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        return status.value.code, out, " ".join(err.split())

    return run


def recorded(name="trained", n=24, silent=False, classes=3, seed=0) -> RecordedActivity:
    rng = np.random.default_rng(seed)
    layers = [np.full((n, size), np.inf) for size in (8, 6, 6, 3)]
    if not silent:
        layers = [depth + rng.uniform(0, 1, t.shape) for depth, t in enumerate(layers)]
    return RecordedActivity(
        name, layers[0], tuple(layers[1:]), np.arange(n) % classes, first_output(layers[-1])
    )


def written(folder: Path, *states: RecordedActivity) -> Path:
    path = folder / "spikes.npz"
    write_plain(path, states)
    return path


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """A finished analysis of two states; tests copy what they change."""
    folder = tmp_path_factory.mktemp("analysed")
    source = written(folder, recorded("untrained", seed=1), recorded())
    return analyse_recording(source, folder / "out", options=FAST)


def test_folder_holds_everything(analysed):
    names = {path.relative_to(analysed.out).as_posix() for path in analysed.out.rglob("*.*")}
    figures = ("packets", "raster", "separability", "spread")
    expected = {f"figures/{name}.{kind}" for name in figures for kind in ("svg", "png")}
    assert names == {"analysis.json", "report.html"} | expected
    content = (analysed.out / "analysis.json").read_text(encoding="utf-8")
    assert json.loads(content) == analysed.analysis


def test_one_json_object_on_stdout_and_progress_on_stderr(run, tmp_path):
    source = written(tmp_path, recorded(n=12))
    status, out, err = run(source, "--json")
    assert status == 0
    assert json.loads(out) == json.loads((tmp_path / "spikes-analysis/analysis.json").read_text())
    assert out.count("\n") == 1
    assert "reading" in err and "measuring trained" in err
    layers = json.loads(out)["synchrony"]["trained"]["layers"]
    assert [layer["name"] for layer in layers] == ["input", "layer 1", "layer 2", "output"]
    assert {"n_spikes", "median", "std", "iqr", "shorth"} <= set(layers[0]["causal"])


def test_says_in_words_what_was_found(capsys, analysed):
    output.analysed(analysed, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert "Inputs are synchronous by construction." in lines[0]
    assert str(analysed.out / "report.html") in lines[6]


def test_a_second_analysis_replaces_the_first(analysed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(analysed.out, out)
    (out / "report.html").write_text("old")
    analyse_recording(written(tmp_path, recorded()), out, options=FAST)
    assert list(json.loads((out / "analysis.json").read_text())["states"]) == ["trained"]
    assert (out / "report.html").stat().st_size > 4_000_000


def test_nothing_else_is_ever_replaced(tmp_path):
    source = written(tmp_path, recorded())
    (tmp_path / "run").mkdir()
    report = tmp_path / "run" / "report.html"
    report.write_text("of a training")
    with pytest.raises(OutputError, match=r"not empty.*--out"):
        analyse_recording(source, tmp_path / "run", options=FAST)
    with pytest.raises(OutputError, match="there is a file of that name"):
        analyse_recording(source, report, options=FAST)
    assert report.read_text() == "of a training"
    with pytest.raises(OutputError, match="cannot be written"):
        analyse_recording(source, report / "below", options=FAST)


def test_default_folders(tmp_path, monkeypatch):
    run = tmp_path / "run"
    run.mkdir()
    assert default_folder(run) == run / "analysis"
    assert default_folder(run / "activity.h5") == Path("activity-analysis")
    (run / "config.toml").write_text("")
    assert default_folder(run / "activity.h5") == run / "analysis"
    assert default_folder(tmp_path / "a.b.npz") == Path("a.b-analysis")


def test_bad_sources_are_told(run, tmp_path):
    (tmp_path / "empty.h5").write_bytes(b"")
    (tmp_path / "text.csv").write_text("a,b\n")
    (tmp_path / "run").mkdir()
    np.savez(tmp_path / "foreign.npz", a=np.zeros(3))
    content = written(tmp_path, recorded()).read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    np.savez(tmp_path / "pickle.npz", output=np.array([{}], dtype=object))
    for name, words in {
        "missing.npz": "no such file",
        "empty.h5": "empty",
        "text.csv": "expected an activity log",
        "run": "expected the folder of a run",
        "foreign.npz": "no array 'output'",
        "cut.npz": "truncated or corrupt",
        "pickle.npz": "pickle.npz",
    }.items():
        status, out, err = run(tmp_path / name)
        assert (status, out) == (1, ""), name
        assert words in err and "Traceback" not in err, (name, err)
    assert not list(tmp_path.glob("*-analysis"))


def test_a_run_without_activity_says_how_to_record_it(tmp_path):
    (tmp_path / "config.toml").write_text('name = "x"\n')
    with pytest.raises(
        FileFormatError, match=r"recorded no activity.*hxloop evaluate .* --activity"
    ):
        analyse_recording(tmp_path, options=FAST)


@pytest.mark.parametrize(
    "state",
    [recorded(silent=True), recorded(classes=1), recorded(n=1)],
    ids=["all silent", "one class", "one sample"],
)
def test_poor_recordings_are_analysed_as_far_as_they_go(tmp_path, state):
    found = analyse_recording(written(tmp_path, state), tmp_path / "out", options=FAST).analysis
    assert (found["separability"]["trained"]["layers"] is None) == (len(set(state.labels)) == 1)
    assert "cannot be said" in {claim["verdict"] for claim in found["claims"]}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Cannot be said" in page
    figures = page.partition("id='figures'>")[2].partition("</script>")[0]
    json.loads(figures, parse_constant=pytest.fail)  # no NaN, which is no JSON
