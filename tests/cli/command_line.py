"""Running commands in this process, and a run to try them on."""

from __future__ import annotations

import json

import pytest

from hxloop.cli.entry import main

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
