"""The studies of memory: what their networks are asked, and what is left of what they are told."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.activity import Spikes
from hxloop.data.memory_tasks import CUE_LENGTH, CUES, MANIFOLDS, PATTERN_LENGTH
from hxloop.data.randman import RANDMAN
from hxloop.experiments.registry import load_experiment
from hxloop.experiments.variants import VariantsOptions, variant
from hxloop.network import Feature
from hxloop.runs.run import prepare
from hxloop.substrate import get_backend
from hxloop.training.loop import LoopNetwork

STUDIES = ("recurrent-memory", "recurrent-memory-manifolds")


def prepared(study, name):
    config = load_experiment(study, ["dataset.train_size=40", "dataset.validation_size=20"])
    return prepare(variant(config, name, 1))


@pytest.mark.parametrize("study", STUDIES)
def test_only_the_recurrent_network_has_a_loop_and_one_without_has_as_many_parameters(study):
    names = list(VariantsOptions.of(load_experiment(study)).variants)
    networks = {name: prepared(study, name).network for name in names}
    looped = [name for name, each in networks.items() if Feature.RECURRENT in each.features]
    assert looped == ["recurrent"]
    assert networks["recurrent"].sizes == networks["feed-forward"].sizes
    weights = {name: sum(np.prod(shape) for shape in n.shapes) for name, n in networks.items()}
    larger = weights["feed-forward, as many parameters"]
    assert abs(larger - weights["recurrent"]) <= 0.01 * weights["recurrent"]


def test_the_answer_is_read_when_the_second_cue_is_over():
    run = prepared("recurrent-memory", "recurrent")
    encoding = run.config.encoding
    scale = encoding.t_late - encoding.t_early
    begin = run.loss.begin
    assert begin == pytest.approx(encoding.t_early + scale * (CUES[1] + CUE_LENGTH))
    # The gap of which the README speaks, and the first cue over long before.
    assert scale * (CUES[1] - CUES[0] - CUE_LENGTH) == pytest.approx(11.16)
    assert begin < run.network.t_window


def test_a_manifold_is_over_long_before_the_question():
    run = prepared("recurrent-memory-manifolds", "recurrent")
    encoding = run.config.encoding
    scale = encoding.t_late - encoding.t_early
    assert scale * (CUES[1] - CUES[0] - PATTERN_LENGTH) == pytest.approx(10.8)
    assert run.loss.begin == pytest.approx(encoding.t_early + scale * (CUES[1] + CUE_LENGTH))
    at_once = prepared("recurrent-memory-manifolds", "feed-forward, asked at once")
    assert at_once.loss.begin == at_once.config.encoding.t_late == scale * PATTERN_LENGTH
    # The same manifolds, as fast.
    assert RANDMAN[at_once.data_name] == MANIFOLDS


@pytest.mark.parametrize(
    ("study", "kept"), [("recurrent-memory", 10), ("recurrent-memory-manifolds", 20)]
)
@pytest.mark.parametrize("name", ["feed-forward", "recurrent"])
def test_what_came_first_reaches_the_read_out_through_a_loop_only(study, kept, name):
    """Two halves of samples that differ in nothing but the channels of what is to be kept."""
    run = prepared(study, name)
    times = np.array(Spikes.of(run.data["train"].input_times, run.network.n_inputs).first)[:20]
    changed = times.copy()
    changed[:, :kept] = np.roll(times[:, :kept], 1, axis=0)
    with get_backend("ideal").open(run.network) as session:
        loop = LoopNetwork(session, run.initial)
        both = [
            loop.output(each, reads="membrane", begin=run.loss.begin)[0].detach().numpy()
            for each in (times, changed)
        ]
    difference = np.abs(both[0] - both[1]).max()
    assert difference < 1e-3 if name == "feed-forward" else difference > 1e-2
