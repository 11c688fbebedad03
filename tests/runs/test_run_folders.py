"""Run folders and the files in them: made, replaced, read whole or refused, byte by byte."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save

from hxloop.errors import FileFormatError, OutputError
from hxloop.files import write_atomically
from hxloop.network import NetworkSpec
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory, load_weights
from hxloop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint

NETWORK = NetworkSpec.feed_forward(2, 3, 2)


WEIGHTS = (np.arange(6.0).reshape(2, 3), -np.arange(6.0).reshape(3, 2))


STATE = {"epoch": 3, "step": 17, "sizes": [2, 3, 2]}


# --- run folders --------------------------------------------------------------------------


def a_run(path):
    run = RunDirectory.create(path)
    run.write_config(ExperimentConfig())
    run.write_weights(WEIGHTS, {"experiment": "test"})
    return run


def test_a_new_folder_is_made_with_its_parents_and_an_empty_one_is_used(tmp_path):
    run = RunDirectory.create(tmp_path / "a" / "b")
    assert (run.path / "checkpoints").is_dir() and not run.started
    (tmp_path / "empty").mkdir()
    assert RunDirectory.create(tmp_path / "empty").path == tmp_path / "empty"


def test_check_changes_nothing(tmp_path):
    RunDirectory.check(tmp_path / "new", force=True)
    run = a_run(tmp_path / "run")
    RunDirectory.check(run.path, force=True)
    with pytest.raises(OutputError, match=r"--force .* hxloop resume"):
        RunDirectory.check(run.path)
    assert not (tmp_path / "new").exists() and (run.path / "weights.safetensors").is_file()


def test_what_is_no_run_is_not_removed_by_force(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for force in (False, True):
        with pytest.raises(OutputError, match=r"not empty|not a run folder") as caught:
            RunDirectory.create(tmp_path / "mine", force=force)
        assert "hxloop resume" not in str(caught.value)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"
    with pytest.raises(OutputError, match="there is a file of that name"):
        RunDirectory.create(tmp_path / "mine" / "thesis.txt", force=True)


def test_force_replaces_the_run_in_a_folder(tmp_path):
    run = RunDirectory.create(a_run(tmp_path / "run").path, force=True)
    assert sorted(path.name for path in run.path.iterdir()) == [".unfinished", "checkpoints"]


def test_force_replaces_the_run_in_the_current_folder(tmp_path, monkeypatch):
    # "." itself cannot be removed: the run in it was, and then there was nothing.
    a_run(tmp_path / "run")
    monkeypatch.chdir(tmp_path / "run")
    run = RunDirectory.create(Path("."), force=True)
    assert sorted(path.name for path in run.path.iterdir()) == [".unfinished", "checkpoints"]


def test_force_replaces_the_run_behind_a_link(tmp_path):
    a_run(tmp_path / "run")
    (tmp_path / "latest").symlink_to("run")
    run = RunDirectory.create(tmp_path / "latest", force=True)
    assert sorted(path.name for path in run.path.iterdir()) == [".unfinished", "checkpoints"]
    assert (tmp_path / "latest").is_symlink()


def test_folders_below_a_file_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"below: cannot be written: Not a directory"):
        RunDirectory.create(tmp_path / "file" / "below")
    with pytest.raises(OutputError, match=r"cannot write .*Not a directory"):
        write_atomically(tmp_path / "file" / "x", b"")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="cannot be written: Permission denied"):
            RunDirectory.create(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        write_atomically(tmp_path / "file", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("file", b"old")]


def test_opening_what_is_no_run(tmp_path):
    for path, told in ((tmp_path, "no config.toml in it"), (tmp_path / "none", "no such folder")):
        with pytest.raises(FileFormatError, match=told):
            RunDirectory.open(path)


@pytest.mark.parametrize("name", ["evaluation.json", "provenance.json", "results.json"])
def test_json_files_round_trip_and_are_checked(tmp_path, name):
    run = a_run(tmp_path / "run")
    content = {"a": [1, None, 0.1], "b": {"c": "ä"}}
    run.write_json(name, content)
    assert run.read_json(name) == content
    whole = (run.path / name).read_bytes()
    # The file ends in "}" and a newline, which only ends the line.
    for length in range(len(whole) - 1):
        (run.path / name).write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=f"{name}: truncated or corrupt"):
            run.read_json(name)
    for other in (b"[]", b"1", b"null"):
        (run.path / name).write_bytes(other)
        with pytest.raises(FileFormatError, match="expected a JSON object"):
            run.read_json(name)
    (run.path / name).write_bytes(b"\xff\xfe{}")
    with pytest.raises(FileFormatError, match="truncated or corrupt"):
        run.read_json(name)
    (run.path / name).unlink()
    with pytest.raises(FileFormatError, match="cannot be read: No such file"):
        run.read_json(name)


# --- weights and checkpoints, byte by byte ------------------------------------------------


def damaged(good):
    """Every truncation, and every single bit turned."""
    for length in range(len(good)):
        yield good[:length]
    for position in range(len(good)):
        for bit in range(8):
            turned = bytearray(good)
            turned[position] ^= 1 << bit
            yield bytes(turned)


def put(path, content):
    """In place: a file that is emptied first is written to the disk when it is closed."""
    with path.open("r+b") as file:
        file.write(content)
        file.truncate()


def test_damaged_weights_are_refused_or_are_still_the_same(tmp_path):
    path = a_run(tmp_path / "run").path / "weights.safetensors"
    good = path.read_bytes()
    refused = 0
    for content in damaged(good):
        put(path, content)
        try:
            read = load_weights(path, NETWORK)
        except FileFormatError as error:
            assert str(path) in str(error)
            refused += 1
        else:
            # A description in the header may change; no weight may.
            assert len(content) == len(good)
            assert all(np.array_equal(a, b) for a, b in zip(read, WEIGHTS, strict=True))
    assert refused > 0.9 * 9 * len(good)


def test_flipped_weights_are_told_from_truncated_ones(tmp_path):
    path = a_run(tmp_path / "run").path / "weights.safetensors"
    good = bytearray(path.read_bytes())
    good[-1] ^= 1
    path.write_bytes(bytes(good))
    with pytest.raises(FileFormatError, match=r"digest does not match .* hxloop resume"):
        load_weights(path, NETWORK)


def test_damaged_checkpoints_are_refused_or_are_still_the_same(tmp_path):
    path = tmp_path / "last.safetensors"
    tensor = torch.arange(6.0)
    save_checkpoint(path, Checkpoint({"weights.0": tensor}, STATE))
    good = path.read_bytes()
    wrong = []
    for content in damaged(good):
        put(path, content)
        try:
            read = load_checkpoint(path)
        except FileFormatError as error:
            assert str(path) in str(error)
        except Exception as error:  # noqa: BLE001 - what it must not be
            wrong.append(f"{type(error).__name__}: {error}")
        else:
            # A step or an epoch that is another one would go on, and lead elsewhere.
            if read.state != STATE or not torch.equal(read.tensors["weights.0"], tensor):
                wrong.append(str(read.state))
    assert wrong == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.int64])
def test_weights_of_other_number_formats_are_read_or_refused(tmp_path, dtype):
    path = tmp_path / "weights.safetensors"
    arrays = {f"layer.{i}": torch.tensor(w).to(dtype) for i, w in enumerate(WEIGHTS)}
    path.write_bytes(save(arrays))
    try:
        read = load_weights(path, NETWORK)
    except FileFormatError as error:
        assert str(path) in str(error)
    else:
        assert all(np.array_equal(a, b) for a, b in zip(read, WEIGHTS, strict=True))


def test_more_than_ten_layers_keep_their_order(tmp_path):
    network = NetworkSpec.feed_forward(2, *[2] * 12)
    weights = [np.full((2, 2), float(index)) for index in range(12)]
    run = RunDirectory.create(tmp_path / "run")
    run.write_weights(weights, {})
    assert [w[0, 0] for w in run.weights(network)] == list(range(12))


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(FileFormatError, match=r"no such file\. Was the training finished"):
        load_weights(tmp_path / "weights.safetensors", NETWORK)


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_pickles_are_never_loaded(tmp_path):
    sprung = tmp_path / "sprung"
    path = tmp_path / "weights.safetensors"
    path.write_bytes(pickle.dumps(Trap(sprung)))
    for load in (lambda: load_weights(path, NETWORK), lambda: load_checkpoint(path)):
        with pytest.raises(FileFormatError, match="truncated or corrupt"):
            load()
    torch.save({"weights.0": torch.ones(1), "trap": Trap(sprung)}, path)
    for load in (lambda: load_weights(path, NETWORK), lambda: load_checkpoint(path)):
        with pytest.raises(FileFormatError, match="truncated or corrupt"):
            load()
    assert not sprung.exists()
