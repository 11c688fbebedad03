"""Analysis of neurons that spike more than once: which measures read which spikes."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from hxloop.activity import RecordedActivity, Spikes
from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.all_spikes import causal_trains, latest, spike_rows, why_no_depth
from hxloop.analysis.measures.spike_contrast import spike_contrast
from hxloop.analysis.report import words
from hxloop.analysis.report.page import AnalysisReport, analysis_page
from hxloop.analysis.report.raster import raster_data
from hxloop.analysis.report.static import raster
from hxloop.network import NetworkSpec, NeuronSpec
from tests.activity.train_examples import recorded, trains
from tests.analysis.analysed_states import QUICK, claims_of, trained, untrained

LAYERS = ("input", "first", "chooser", "late")


def loops(seed: int = 0, name: str = "trained") -> RecordedActivity:
    """A network with a loop, delays and its output in the middle; decided by first spikes."""
    state = recorded(seed, 30, name)
    output = state.output_times
    decisions = np.where(np.isinf(output).all(axis=1), -1, output.argmin(axis=1))
    return replace(state, decisions=decisions, labels=np.arange(30) % 3)


@cache
def analysed():
    return analyse([loops(1, "untrained"), loops()], options=QUICK)


def in_events(state: RecordedActivity) -> RecordedActivity:
    """The same spikes, given as lists."""

    def listed(times):
        samples, units = np.nonzero(np.isfinite(times))
        n, size = times.shape
        return Spikes.from_events(samples, units, times[samples, units], batch=n, n_units=size)

    return replace(
        state,
        input_trains=listed(state.input_times),
        spike_trains=tuple(listed(times) for times in state.layer_times),
    )


def test_lists_in_which_neurons_spike_once_give_the_same_numbers():
    dense = analyse([untrained(), trained()], options=QUICK)
    listed = analyse([in_events(untrained()), in_events(trained())], options=QUICK)
    assert json.dumps(dense) == json.dumps(listed)
    assert listed["states"]["trained"]["spike_again"] == []


def shortest_half(times):
    ordered, n = sorted(times), len(times)
    if not n:
        return math.nan
    half = math.ceil(n / 2)
    return min(ordered[i + half - 1] - ordered[i] for i in range(n - half + 1))


def test_spread_reads_all_spikes_up_to_the_first_spike_of_the_winner():
    state = loops()
    layers = analysed()["synchrony"]["trained"]["layers"]
    for entry, name, spikes in zip(layers, LAYERS, (state.inputs, *state.spikes), strict=True):
        assert entry["name"] == name and entry["n_neurons"] == spikes.n_units
        counts = {"all": [], "causal": []}
        shorths = {"all": [], "causal": []}
        for sample in range(30):
            won = state.decisions[sample]
            limit = -math.inf if won < 0 else state.output_times[sample, won]
            own = [float(t) for t in spikes.select([sample]).times]
            for kind, kept in (("all", own), ("causal", [t for t in own if t <= limit])):
                counts[kind].append(len(kept))
                shorths[kind].append(shortest_half(kept))
        for kind in counts:
            assert entry[kind]["n_spikes"] == pytest.approx(np.mean(counts[kind]), rel=1e-12)
            assert entry[kind]["shorth"] == pytest.approx(np.nanmean(shorths[kind]), rel=1e-12)


def test_separability_reads_first_spikes():
    state = loops()
    first = replace(state, input_trains=None, spike_trains=None)
    once = analyse([first], options=QUICK)
    every = analyse([state], options=QUICK)
    assert once["separability"] == every["separability"]
    assert once["synchrony"] != every["synchrony"]
    assert every["reads"] == {"synchrony": "all", "separability": "first", "pathways": "first"}
    assert every["states"]["trained"]["spike_again"] == ["input", "first", "chooser"]


def test_pathways_and_depth_of_a_network_with_loops_are_refused_with_the_reason():
    result = analysed()
    reason = result["pathways"]["trained"]["reason"]
    assert result["pathways"]["trained"]["from_runs"] is None
    assert "this network is more (delays, multi-spike, recurrent, skip)" in reason
    claims = claims_of(result)
    assert claims["synchronous_input"]["verdict"] != "cannot be said"
    for key in ("early_spread", "reconvergence", "separability", "distinct_pathways"):
        assert claims[key]["verdict"] == "cannot be said"
        assert "no layer is deeper than another" in claims[key]["sentence"]
    assert claims["learned"]["verdict"] == "cannot be said"


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (NetworkSpec.feed_forward(24, 24, 24, 24, 4), None),
        (NetworkSpec.feed_forward(24, 24, 24, 24, 4, delays="axonal"), "more (delays)"),
        (
            NetworkSpec.feed_forward(24, 24, 24, 24, 4, neuron=NeuronSpec(t_refractory=1.0)),
            "more (multi-spike)",
        ),
    ],
)
def test_chains_have_depth_and_pathways_only_where_neurons_spike_once(network, told):
    state = replace(trained(), network=network)
    assert why_no_depth(state) is None
    result = analyse([state], options=QUICK)
    reason = result["pathways"]["trained"].get("reason")
    assert reason is None if told is None else told in reason
    assert claims_of(result)["early_spread"]["verdict"] != "cannot be said"


def test_pathways_of_unknown_networks_that_spike_again_are_refused():
    rng = np.random.default_rng(0)
    inputs, output = trains(rng, 30, 4), trains(rng, 30, 3)
    state = RecordedActivity(
        "trained", inputs.first, (output.first,), np.arange(30) % 3, np.arange(30) % 3,
        (np.ones((4, 3)),), input_trains=inputs, spike_trains=(output,),
    )  # fmt: skip
    result = analyse([state], options=QUICK)
    assert "here neurons spike more than once" in result["pathways"]["trained"]["reason"]


def contrast_by_hand(spikes, period, size):
    """Spike contrast at one bin size, bins half a size apart (Ciba et al. 2018, eqs. 1-4)."""
    stop = period * (spikes.batch + 1)
    when = spikes.times + period * spikes.samples
    each = [np.sort(when[spikes.units == unit]) for unit in range(spikes.n_units)]
    each.append(np.array([stop - size, stop - size / 2]))
    # Where the bins begin is elephant's choice.
    reach = min(np.diff(train).min() for train in each if len(train) > 1)
    edges = np.arange(-reach, stop + reach + size / 2, size / 2)
    counts = np.array(
        [[((train >= a) & (train < a + size)).sum() for a in edges[:-2]] for train in each]
    )
    theta, active = counts.sum(axis=0), (counts > 0).sum(axis=0)
    contrast = np.abs(np.diff(theta)).sum() / (2 * sum(len(train) for train in each))
    together = ((active * theta).sum() / theta.sum() - 1) / (len(each) - 1)
    return contrast * together


def test_spike_contrast_of_all_spikes():
    spikes = trains(np.random.default_rng(5), 6, 8, most=3)
    got = spike_contrast(spikes, 5.0)
    assert got == pytest.approx(contrast_by_hand(spikes, 5.0, 0.1), rel=1e-9)
    assert got != spike_contrast(spikes.first, 5.0)
    volley = np.repeat([[0.5, 1.5, 2.5]], 8, axis=0)
    samples, units = np.repeat(np.arange(6), 24), np.tile(np.repeat(np.arange(8), 3), 6)
    together = Spikes.from_events(samples, units, np.tile(volley.ravel(), 6), batch=6, n_units=8)
    assert spike_contrast(together, 5.0) > 0.8 > 0.3 > got
    first = Spikes.from_first(spikes.first)
    assert spike_contrast(first, 5.0) == spike_contrast(spikes.first, 5.0)


def test_rows_and_causal_spikes_of_lists():
    spikes = Spikes.from_events(
        [0, 0, 0, 2], [1, 1, 0, 1], [0.5, 1.0, 0.75, 2.0], batch=3, n_units=2
    )
    inf = math.inf
    assert spike_rows(spikes).tolist() == [[0.5, 0.75, 1.0], [inf] * 3, [2.0, inf, inf]]
    assert latest(spikes) == 2.0 and latest(Spikes.from_first([[inf]])) == 0.0
    kept = causal_trains(spikes, np.array([0.75, 1.0, inf]))
    assert (kept.times.tolist(), kept.units.tolist()) == ([0.5, 0.75], [1, 0])
    assert kept.offsets.tolist() == [0, 2, 2, 2]


def test_the_raster_of_a_page_holds_all_spikes():
    state = loops()
    data = raster_data([state], colours={"trained": "#000000"}, layout={})
    assert data["output"] == 2
    assert [layer["name"] for layer in data["layers"]] == list(LAYERS)
    shown = data["states"][0]
    width = sum(state.sizes)
    first = np.frombuffer(base64.b64decode(shown["times"]), "<u2").reshape(-1, width)
    neurons = np.frombuffer(base64.b64decode(shown["further"]["neurons"]), "<u4")
    times = np.frombuffer(base64.b64decode(shown["further"]["times"]), "<u2")
    begin = 0
    for place, sample in enumerate(data["samples"]):
        end = shown["further"]["ends"][place]
        held = [(int(i), first[place, i]) for i in np.flatnonzero(first[place] < 65535)]
        held += list(zip(neurons[begin:end].tolist(), times[begin:end], strict=True))
        begin = end
        expected = []
        for layer, spikes in enumerate((state.inputs, *state.spikes)):
            own = spikes.select([sample["index"]])
            start = data["layers"][layer]["start"]
            expected += zip((start + own.units).tolist(), own.times, strict=True)
        got, expected = sorted(held), sorted(expected)
        assert [i for i, _ in got] == [i for i, _ in expected]
        found = [data["step"] * float(t) for _, t in got]
        np.testing.assert_allclose(found, [t for _, t in expected], atol=0.5001 * data["step"])
    assert begin == len(neurons) == len(times)


def test_the_printed_raster_shows_all_spikes_of_the_first_sample():
    state = loops()
    axes = raster(analysed(), [state]).axes
    for axis, spikes in zip(reversed(axes), (state.inputs, *state.spikes), strict=True):
        own = spikes.select([0])
        drawn = [line for line in axis.lines if line.get_linestyle() != ":"]
        marks = sorted((y, x) for line in drawn for x, y in zip(*line.get_data(), strict=True))
        assert marks == sorted(zip(own.units, own.times, strict=True))


def test_the_page_says_which_spikes_it_reads():
    result, state = analysed(), loops()
    content = analysis_page(AnalysisReport("t", "d", result, [state], {}))
    assert "neurons spike more than once in input, first, chooser" in content
    assert "no pathways: they are defined for a chain of layers" in content
    glossary = words.glossary_html(result)
    assert "read all spikes, separability reads the first one of each neuron" in glossary
    assert "the first spike of the output neuron decided for" in glossary
