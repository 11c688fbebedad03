"""The study of spoken vowels, on small files of the archive's format."""

from __future__ import annotations

import pytest

import hxloop.data.japanese_vowels as japanese_vowels
from hxloop.experiments.registry import load_experiment
from hxloop.experiments.variants import VariantsOptions, variant
from hxloop.network import Feature
from hxloop.runs.plan import plan
from tests.data.vowel_files import write


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("HXLOOP_DATA_DIR", str(tmp_path))
    digests, _ = write(tmp_path / "japanese_vowels", {"train": 45, "test": 9})
    monkeypatch.setattr(japanese_vowels, "FILES", digests)
    return load_experiment("japanese-vowels")


def test_variants_are_of_one_size_and_see_all_input_spikes(study):
    networks = []
    for name in VariantsOptions.of(study).variants:
        prepared = plan(variant(study, name, 1))
        inputs = prepared.data["train"].input_times
        assert inputs.n_units == 24 and not inputs.once
        # The longest series of all ends within the window: 29 values and one more in front.
        assert prepared.config.encoding.interval * 29 < prepared.network.t_window
        networks.append(prepared.network)
    assert {network.sizes for network in networks} == {(24, 30, 9)}
    plain, delayed, looped = (network.features for network in networks)
    assert Feature.DELAYS not in plain and Feature.DELAYS in delayed
    assert Feature.RECURRENT in looped and Feature.RECURRENT not in plain | delayed
