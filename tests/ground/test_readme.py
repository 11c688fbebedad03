"""What the README shows, run as it stands there; what other texts show, at least understood."""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from sklearn.datasets import load_iris

from hxloop.cli.app import app
from hxloop.cli.entry import main
from hxloop.conformance import CHECKS
from hxloop.experiments.registry import load_experiment
from hxloop.network.nir import to_nir, write_nir
from tests.calibration.test_preset_fit import recorded

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
_SHELL = [text for language, text in _FENCED if not language]
LINES = [line for text in _SHELL for line in text.splitlines() if line.startswith("hxloop ")]
# What is added to a line, so that it takes seconds: the words that stand there stay.
_SMALL = (
    "--epochs 1 --set dataset.train_size=60 --set dataset.validation_size=20 "
    "--set dataset.test_size=60 --set training.batch_size=20 --set activity.samples=60"
)
_QUICK = "--set calibration.search=prediction --set calibration.repeats=2 --set "
SMALLER = {
    "train yin-yang-in-the-loop": f"{_SMALL} --set backend.options.solver=event",
    "train yin-yang --init-from": f"{_SMALL} --set backend.options.solver=event",
    "train flowers.toml --backend emulated-chip": "--epochs 1 --set backend.options.solver=event",
    "train flowers.toml": "--epochs 1",
    "train runs/theirs": f"{_SMALL} --set backend.options.solver=event",
    "train": _SMALL,
    "sweep --out": "--workers 1",
    "sweep": "--workers 1 --set training.epochs=1 --set backend.options.solver=event "
    + _SMALL.removeprefix("--epochs 1 "),
    "analyse": "--set analysis.n_null=5 --set analysis.n_permutations=99 --set "
    "analysis.n_resamples=50 --set analysis.van_rossum_samples=20",
    "check-backend": "--set backend.options.solver=event",
    "bench": "--set bench.repetitions=1",
    "calibrate": f"{_QUICK}calibration.scales=false --set calibration.refine_steps=0 --set "
    "calibration.max_failed=1.0",
}
NEEDS = {"pynn-nest": "nest", "pynn-neuron": "neuron"}


def words_of(line: str) -> list[str]:
    """The words after ``hxloop``, without the comment."""
    return shlex.split(line, comments=True)[1:]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("readme")
    flowers = load_iris()
    lines = ["length,width,petal length,petal width,species"]
    for values, kind in zip(flowers.data, flowers.target_names[flowers.target], strict=True):
        lines.append(",".join([*map(str, values), str(kind)]))
    (made / "flowers.csv").write_text("\n".join(lines))
    for number in (1, 2):
        recorded(made / f"session{number}.h5", "calibrated", runs=2, hidden=9)
    theirs = load_experiment("yin-yang").network_spec(4, 3)
    graph = to_nir(theirs, [np.full(shape, 0.1) for shape in theirs.shapes]).graph
    graph.metadata = {}
    write_nir(made / "theirs.nir", graph)
    return made


@pytest.mark.xdist_group("readme")
@pytest.mark.parametrize(
    "line",
    # A benchmark measures networks of full size, even once: minutes on a busy machine.
    [pytest.param(x, marks=pytest.mark.slow) if "hxloop bench" in x else x for x in LINES],
    ids=[f"line-{number}" for number, _ in enumerate(LINES, 1)],
)
def test_every_command_of_the_readme_runs_in_a_fresh_folder(line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    words = words_of(line)
    for backend, module in NEEDS.items():
        if backend in words and importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    # All checks of a chip are run elsewhere.
    monkeypatch.setattr("hxloop.conformance.CHECKS", CHECKS[:3])
    more = next((more for start, more in SMALLER.items() if " ".join(words).startswith(start)), "")
    if "--verify" in words:
        more = ""
    with pytest.raises(SystemExit) as status:
        main([*words, *shlex.split(more)])
    out, err = capsys.readouterr()
    assert status.value.code == 0, err
    assert "Traceback" not in err and out.strip()
    if "--json" in words:
        json.loads(out)


def test_the_readme_shows_what_is_run_here():
    assert len(LINES) >= 11 and {words_of(line)[0] for line in LINES} >= {
        "train", "resume", "evaluate", "analyse", "check-backend", "bench", "calibrate",
    }  # fmt: skip


def test_a_training_in_python_works_as_written():
    """With nothing imported but what the sentence names."""
    (call,) = re.findall(r"`(hxloop\.runs\.train\(.*?\))` in\s+Python", README)
    small = ["training.epochs=1", "dataset.train_size=60", "dataset.test_size=60"]
    code = (
        "import hxloop\nfrom hxloop.experiments.registry import load_experiment as load\n"
        f"load_experiment = lambda name: load(name, {small})\n"
        f"print({call}.test.accuracy, hxloop.calibration.fit_scales.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "fit_scales" in done.stdout, done.stderr


def test_a_file_that_a_training_wrote_is_one_to_start_from(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for words in ("train yin-yang --out first", "train my.toml"):
        with pytest.raises(SystemExit) as status:
            main([*words.split(), *_SMALL.split()])
        assert status.value.code == 0
        if not Path("my.toml").exists():
            Path("first/config.toml").rename("my.toml")
    assert Path("runs/my/report.html").exists()
    capsys.readouterr()


# --- commands in other texts --------------------------------------------------------------


def shown_commands() -> list[tuple[str, str]]:
    """Every ``hxloop ...`` in a README or docstring that holds no placeholder."""
    texts = {
        path: path.read_text(encoding="utf-8") for path in ROOT.glob("experiments/*/README.md")
    }
    texts[ROOT / "README.md"] = README
    for folder in ("hxloop", "backends", "calibration", "experiments"):
        for path in (ROOT / folder).rglob("*.py"):
            texts[path.resolve()] = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    found = set()
    for path, text in texts.items():
        shown = re.findall(r"^\s*(?:\$ )?(hxloop [a-z][^\n]*)", text, re.MULTILINE)
        shown += [" ".join(line.split()) for line in re.findall(r"`+(hxloop [a-z][^`]*)`", text)]
        for line in shown:
            line = line.strip()
            placeholder = re.search(r"\b[A-Z]{2,}\b|\.\.\.|[<>|;$]", line.partition(" #")[0])
            if not placeholder and not line.endswith("\\"):
                found.add((str(path.relative_to(ROOT)), line))
    return sorted(found)


@pytest.mark.parametrize(("place", "line"), shown_commands())
def test_every_command_shown_anywhere_is_understood(place, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = words_of(line)
    commands = typer.main.get_command(app).commands
    assert words[0] in commands, place
    if len(words) == 1:
        return  # the command's name alone, in a sentence
    context = commands[words[0]].make_context(words[0], words[1:])
    given = context.params
    experiment, backend = given.get("experiment"), given.get("backend")
    if words[0] == "train" and experiment and not experiment.endswith(".toml"):
        named = [f'backend.name="{backend}"'] if backend else []
        load_experiment(experiment, [*named, *(given["settings"] or [])])


def test_python_example_trains_a_network(capsys):
    example, _ = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 25
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    accuracy = float(re.search(r"accuracy ([\d.]+)", printed)[1])
    assert accuracy > 0.8


def test_python_example_trains_a_loop_with_delays(capsys):
    _, example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})
    first, second = re.search(r"outputs at \[\[(.*), (.*)\]\]", capsys.readouterr().out).groups()
    # Of the targets 0.8 and 1.2; at the start both are 0.3 away.
    assert abs(float(first) - 0.8) < 0.15 and abs(float(second) - 1.2) < 0.05


def test_files_and_pictures_it_points_to_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    assert links
    for link in links:
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_make_targets_and_commands_it_names_exist(capsys):
    targets = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for command in set(re.findall(r"(?:`|^)hxloop ([a-z-]+)", README, re.MULTILINE)):
        with pytest.raises(SystemExit) as status:
            main([command, "--help"])
        assert status.value.code == 0, command
    capsys.readouterr()
