"""A measure is one object: another package adds one of each group, and it is everywhere."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from hxloop.analysis.analyse import analyse
from hxloop.analysis.assess.across_networks import across_networks
from hxloop.analysis.measures import measure_registry
from hxloop.analysis.measures.measure import GROUPS, Measure
from hxloop.analysis.measures.measure_registry import measures
from hxloop.analysis.report.page import AnalysisReport, analysis_page
from hxloop.analysis.report.static import write_figures
from hxloop.errors import ConfigError
from tests.analysis.analysed_states import QUICK
from tests.analysis.recorded_states import recorded_state

# All that a package writes.
LAST = Measure(
    key="last_spike",
    group="synchrony",
    label="last spike (τ_syn)",
    term="last spike",
    meaning="when the last neuron of a layer spikes",
    of_layer=lambda spikes: np.where(np.isfinite(spikes.times), spikes.times, np.nan).max(
        axis=1, initial=-1.0, where=np.isfinite(spikes.times)
    ),
    overview=True,
    printed=True,
)
HALVES = Measure(
    key="half_known",
    group="separability",
    label="who is known by halves: accuracy",
    of_layer=lambda layer: (layer.latencies.mean(axis=1) > np.median(layer.latencies)) * 1.0,
    null=lambda layer, labels: (labels == labels[0]) * 1.0,
    overview=True,
    printed=True,
)
WIDTH = Measure(
    key="width",
    group="pathways",
    label="neurons with any credit",
    of_layer=lambda credit: (np.nan_to_num(credit) > 0).sum(axis=1).mean(),
    overview=True,
)


@pytest.fixture
def register(monkeypatch):
    """Puts measures into the registry, as the entry points of an installed package do."""

    def put(*values) -> None:
        points = {
            getattr(v, "key", f"p{i}"): SimpleNamespace(value="toy:MEASURE", load=lambda v=v: v)
            for i, v in enumerate(values)
        }
        registry = type("Others", (), {
            "others": staticmethod(lambda: points), "get": staticmethod(lambda n: points[n].load())
        })  # fmt: skip
        monkeypatch.setattr(measure_registry, "REGISTRY", registry)

    return put


@pytest.fixture
def states():
    return [recorded_state("untrained", 1, 0), recorded_state("m", 2, 1),
            recorded_state("trained", 3, 2)]  # fmt: skip


def without(value, keys):
    """A result without some keys, wherever they stand."""
    if isinstance(value, dict):
        return {k: without(v, keys) for k, v in value.items() if k not in keys}
    return [without(v, keys) for v in value] if isinstance(value, list) else value


def test_one_of_each_group_is_everywhere_and_leaves_the_others_as_they_were(
    register, states, tmp_path
):
    before = analyse(states, options=QUICK)
    register(LAST, HALVES, WIDTH)
    found = analyse(states, options=QUICK)
    keys = {"last_spike", "half_known", "width", "causal_last_spike"}
    assert json.dumps(without(found, keys)) == json.dumps(before)
    assert json.loads(json.dumps(found, allow_nan=False)) == found

    trained = found["synchrony"]["trained"]["layers"][1]
    latest = [t[np.isfinite(t)].max() for t in states[2].layer_times[0]]
    assert trained["all"]["last_spike"] == pytest.approx(np.mean(latest))
    low, high = trained["intervals"]["all"]["last_spike"]
    assert low < trained["all"]["last_spike"] < high
    assert len(trained["bands"]["causal"]["last_spike"]) == 3
    entry = found["separability"]["trained"]["layers"][0]
    assert set(entry["half_known"]) == {"value", "low", "high", "n"}
    assert set(entry["null"]["half_known"]) == {"value", "p_value"}
    assert found["pathways"]["trained"]["from_runs"]["layers"][0]["width"] > 1
    rows = found["overview"]["causal_last_spike"]
    assert np.shape(rows) == (3, len(found["layer_names"]))
    together = across_networks([found, found])["layers"]["trained"]
    assert {"causal_last_spike", "half_known", "width"} <= set(together)

    page = analysis_page(AnalysisReport("t", "d", found, states[:1], {}))
    for text in ("last spike, spikes before the decision", "who is known by halves",
                 "neurons with any credit", "when the last neuron of a layer spikes"):  # fmt: skip
        assert text in page
    files = {path.name for path in write_figures(found, states[:1], tmp_path)}
    assert "last spike" in (tmp_path / "spread.svg").read_text()
    assert "halves" in (tmp_path / "separability.svg").read_text()
    assert files == {path.name for path in write_figures(before, states[:1], tmp_path / "before")}


def test_an_analysis_made_without_them_is_still_shown(register, states):
    before = analyse(states, options=QUICK)
    register(LAST, HALVES, WIDTH)
    assert "last spike (" not in analysis_page(AnalysisReport("t", "d", before, states[:1], {}))
    assert set(across_networks([before])["layers"]["trained"]) == {
        "causal_shorth", "readout_times", "silhouette_times", "silhouette_relative", "distinctness"
    }  # fmt: skip


def made(**changes):
    values = dict(key="toy", group="synchrony", label="toy", of_layer=lambda s: s.times[:, 0])
    return Measure(**{**values, **changes})


@pytest.mark.parametrize(
    ("measure", "message"),
    [
        (made(of_layer=lambda s: s.times[:, 0] * np.inf), "expected 30 numbers.* with inf"),
        (made(of_layer=lambda s: s.times), r"'toy': of_layer: expected 30 numbers, one for"),
        (made(group="separability", of_layer=lambda s: 1.0), r"expected numbers, \(n,\)"),
        (made(group="pathways", of_layer=lambda c: c, overview=True), "expected a number; got"),
        (made(key="shorth"), "there are 2 of this key"),
        (SimpleNamespace(key="x"), "expected an hxloop.analysis Measure"),
    ],
)
def test_what_is_wrong_with_one_is_said_with_its_name(register, states, measure, message):
    register(measure)
    with pytest.raises(ConfigError, match=message):
        analyse(states[2:], options=QUICK)


def test_what_one_raises_says_whose_it_is(register, states):
    register(made(of_layer=lambda spikes: spikes.nothing))
    with pytest.raises(AttributeError, match="nothing") as raised:
        analyse(states[2:], options=QUICK)
    assert raised.value.__notes__ == ["raised by of_layer of the measure 'toy'"]


def test_groups_and_keys_are_checked():
    with pytest.raises(ConfigError, match=r"expected group one of synchrony, .*got 'speed'"):
        made(group="speed")
    with pytest.raises(ConfigError, match="expected a name like"):
        made(key="my spread")


def test_those_that_come_along_say_all_that_is_shown():
    keys = [each.key for each in measures()]
    assert len(set(keys)) == len(keys)
    assert {each.group for each in measures()} == set(GROUPS)
    menus = [each.menu for each in measures()]
    assert all(menus) and len(set(menus)) == len(menus)
