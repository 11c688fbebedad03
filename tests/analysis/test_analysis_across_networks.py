"""Several networks put together."""

from __future__ import annotations

import math

import pytest
from scipy.stats import t

from hxloop.analysis.assess.across_networks import across_networks
from hxloop.errors import RunInputError


def result(shorth: float, verdict: str, untrained: bool = True) -> dict:
    return {
        "layer_names": ["input", "layer 1", "output"],
        "roles": {"trained": "b", "untrained": "a" if untrained else None},
        "claims": [
            {
                "key": "early_spread", "statement": "It spreads.", "quantity": "difference",
                "verdict": verdict, "value": shorth, "effect_size": None,
            }
        ],
        "overview": {
            "states": ["a", "b"],
            "causal_shorth": [[0.0, 1.0, None], [0.0, shorth, None]],
            "readout_times": [None, [0.5, 0.75, 1.0]],
            "silhouette_times": [None, None],
            "distinctness": [[0.1, 0.2], [0.3, 0.4]],
        },
    }  # fmt: skip


def test_three_seeds() -> None:
    got = across_networks([result(1.0, "found"), result(2.0, "found"), result(3.0, "not found")])
    claim = got["claims"]["early_spread"]
    half = t.ppf(0.975, 2) / math.sqrt(3)
    assert got["n_networks"] == 3 and claim["verdicts"] == {"found": 2, "not found": 1}
    assert claim["value"] == pytest.approx({"value": 2, "low": 2 - half, "high": 2 + half, "n": 3})
    assert claim["effect_size"] == {"value": None, "low": None, "high": None, "n": 0}
    trained = got["layers"]["trained"]
    assert trained["causal_shorth"][1]["value"] == 2.0
    assert trained["causal_shorth"][2]["n"] == 0
    assert trained["silhouette_times"] is None
    assert [entry["value"] for entry in trained["readout_times"]] == [0.5, 0.75, 1.0]
    assert got["layers"]["untrained"]["distinctness"][1]["value"] == pytest.approx(0.2)


def test_states_that_some_networks_lack() -> None:
    got = across_networks([result(1.0, "found"), result(2.0, "found", untrained=False)])
    assert got["layers"]["untrained"]["causal_shorth"][1]["n"] == 1
    alone = across_networks([result(1.0, "found", untrained=False)])
    assert alone["layers"]["untrained"]["causal_shorth"] is None
    assert alone["claims"]["early_spread"]["value"]["low"] is None


def test_networks_that_cannot_be_put_together() -> None:
    with pytest.raises(RunInputError, match="at least one"):
        across_networks([])
    other = result(1.0, "found") | {"layer_names": ["input", "output"]}
    with pytest.raises(RunInputError, match=r"results\[1\]: expected the layers"):
        across_networks([result(1.0, "found"), other])
