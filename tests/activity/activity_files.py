"""Writing an activity log of several runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hxloop.activity import ActivityWriter
from tests.activity.activity_examples import NETWORK, run


def write(path, states, n_runs=3, **options):
    with ActivityWriter(path, NETWORK, about={"seed": 3}) as log:
        for epoch, name in enumerate(states):
            with log.state(name, epoch=epoch, split="test", **options) as state:
                for i in range(n_runs):
                    state.append(*run(i))
    return path


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "activity.h5"
    return write(path, ["trained", "untrained", "epoch-010", "epoch-002"])


@pytest.fixture
def path(original, tmp_path):
    return Path(shutil.copy(original, tmp_path))
