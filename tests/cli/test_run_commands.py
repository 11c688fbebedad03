"""Commands on runs: folders, damaged files, interruption, and what is missing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from safetensors.numpy import load_file

from hxloop import registry as backend_module
from hxloop.backends.emulated.brian2 import build as brian2_build
from hxloop.cli.words import in_commands
from hxloop.errors import FileFormatError, OutputError
from hxloop.network import NetworkSpec
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory, load_weights
from tests.cli.command_line import SMALL, contents, one_object

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


def test_a_report_is_written_later(run, tmp_path):
    folder = tmp_path / "r"
    words = ["train", "yin-yang", *SMALL, "--epochs", "1", "--out", folder]
    assert run(*words, "--no-report")[0] == 0 and not (folder / "report.html").exists()
    before = load_file(folder / "weights.safetensors")
    code, out, _ = run("report", folder)
    assert code == 0 and str(folder / "report.html") in out
    assert "</html>" in (folder / "report.html").read_text()
    after = load_file(folder / "weights.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    (folder / "evaluation.json").unlink()
    code, _, err = run("report", folder)
    assert code == 2 and f"hxloop resume {folder}" in err


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


def test_a_drifting_chip_is_evaluated_hour_by_hour(run, finished):
    code, _, err = run("evaluate", finished, "--hours", "0,1")
    assert code == 2 and "nothing can drift on backend 'ideal'" in err
    code, _, err = run("evaluate", finished, "--hours", "0,soon")
    assert code == 2 and "expected numbers with commas" in err
    chip = ["--backend", "emulated-chip", "--set", "backend.options.solver=event"]
    code, out, _ = run("evaluate", finished, *chip, "--hours", "0,1000", "--json")
    points = one_object(out)["drift"]
    assert code == 0 and [point["hours"] for point in points] == [0, 1000]
    assert points[0]["drift"] == {} and points[1]["drift"]["v_threshold"] > 0
    code, out, _ = run("evaluate", finished, *chip, "--hours", "0,1000")
    assert code == 0 and "1000" in out.splitlines()[2]


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
