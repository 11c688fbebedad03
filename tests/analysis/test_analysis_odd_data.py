"""The whole analysis on partial and odd data."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.errors import RunInputError
from tests.analysis.analysed_states import N_SAMPLES, QUICK, claims_of, trained, untrained

INF = np.inf


# --- partial and odd data -----------------------------------------------------------------


def test_without_weights() -> None:
    result = analyse([trained(weights=None)], options=QUICK)
    pathways = result["pathways"]["trained"]
    assert pathways["from_weights"] is None and pathways["from_runs"] is None
    assert pathways["reason"] == "the recording holds no weights"
    assert claims_of(result)["distinct_pathways"]["verdict"] == "cannot be said"
    assert claims_of(result)["separability"]["verdict"] == "found"
    assert result["overview"]["distinctness"] == [None]


def test_one_class_only() -> None:
    state = trained()
    result = analyse([state.select(state.labels == 2)], options=QUICK)
    assert result["separability"]["trained"]["layers"] is None
    assert "two classes" in result["separability"]["trained"]["reason"]
    found = claims_of(result)
    assert found["separability"]["verdict"] == "cannot be said"
    assert "fewer than two output neurons" in found["distinct_pathways"]["sentence"]
    assert found["reconvergence"]["verdict"] == "found"


def test_all_silent() -> None:
    state = trained()
    silent = replace(
        state,
        layer_times=tuple(np.full_like(times, INF) for times in state.layer_times),
        decisions=np.full(N_SAMPLES, -1),
    )
    result = analyse([silent], options=QUICK)
    json.dumps(result, allow_nan=False)
    assert result["states"]["trained"]["undecided"] == N_SAMPLES
    causal = result["synchrony"]["trained"]["layers"][1]["causal"]
    assert causal["n_spikes"] == 0 and causal["shorth"] is None
    verdicts = {claim["verdict"] for claim in result["claims"]}
    assert verdicts <= {"cannot be said", "not found"}
    assert claims_of(result)["reconvergence"]["verdict"] == "cannot be said"


def test_silent_input_too() -> None:
    state = trained()
    silent = replace(
        state,
        input_times=np.full_like(state.input_times, INF),
        layer_times=tuple(np.full_like(times, INF) for times in state.layer_times),
        decisions=np.full(N_SAMPLES, -1),
    )
    assert claims_of(analyse([silent], options=QUICK))["separability"]["verdict"] == "not found"


@pytest.mark.parametrize("n_samples", [1, 2, 5])
def test_few_samples(n_samples: int) -> None:
    result = analyse([trained().select(slice(0, n_samples))], options=QUICK)
    json.dumps(result, allow_nan=False)
    assert result["states"]["trained"]["n_samples"] == n_samples
    assert claims_of(result)["separability"]["verdict"] == "cannot be said" or n_samples > 4


@pytest.mark.parametrize("n_hidden", [0, 1, 2])
def test_shallow_networks(n_hidden: int) -> None:
    state = trained()
    layers = (*state.layer_times[:n_hidden], state.output_times)
    weights = (*state.weights[:n_hidden], state.weights[-1])
    result = analyse([replace(state, layer_times=layers, weights=weights)], options=QUICK)
    found = claims_of(result)
    assert (found["early_spread"]["verdict"] == "cannot be said") == (n_hidden < 1)
    assert (found["reconvergence"]["verdict"] == "cannot be said") == (n_hidden < 2)
    assert (found["distinct_pathways"]["verdict"] == "cannot be said") == (n_hidden < 2)


def test_states_over_training_and_of_several_substrates() -> None:
    states = [
        replace(untrained(), name="epoch-000", epoch=0),
        replace(trained(), name="epoch-005", epoch=5),
        replace(trained(seed=3).select(slice(0, 48)), name="chip"),
    ]
    result = analyse(states, trained="epoch-005", options=QUICK)
    assert result["roles"] == {"trained": "epoch-005", "untrained": "epoch-000"}
    assert result["overview"]["epochs"] == [0, 5, None]
    paired = {entry["state"]: entry["paired"] for entry in result["comparisons"]}
    assert paired == {"epoch-000": True, "chip": False}
    assert analyse(states[-1:], options=QUICK)["roles"] == {"trained": "chip", "untrained": None}


@pytest.mark.parametrize(
    ("states", "roles", "message"),
    [
        ([], {}, "at least one"),
        ([trained(), trained()], {}, "different names"),
        ([trained()], {"trained": "before"}, r"expected one of \['trained'\]; got 'before'"),
        ([trained()], {"trained": "trained", "untrained": "trained"}, "two states"),
        (
            [trained(), trained("b", input_times=np.ones((N_SAMPLES, 3)), weights=None)],
            {},
            "expected one network",
        ),
    ],
)
def test_bad_states_are_refused(states, roles, message: str) -> None:
    with pytest.raises(RunInputError, match=message):
        analyse(states, **roles)


@pytest.mark.parametrize(
    "options",
    [{"level": 95.0}, {"alpha": 0.0}, {"n_null": 1}, {"n_resamples": 10.5}, {"jitter": -1.0}],
)
def test_bad_options_are_refused(options) -> None:
    with pytest.raises(RunInputError, match=f"AnalysisOptions.{next(iter(options))}"):
        AnalysisOptions(**options)
