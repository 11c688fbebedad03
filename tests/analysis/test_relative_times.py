"""The primary measure of separability, and nearest neighbours, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.relative_times import nearest_neighbour, relative_features
from hxloop.analysis.measures.separability import euclidean_distances, silhouette
from hxloop.errors import RunInputError
from tests.analysis.analysed_states import N_SAMPLES, QUICK, trained

INF = np.inf


def test_times_are_relative_to_the_median_and_silence_is_at_the_margin() -> None:
    times = np.array([[1.0, 1.2, 1.5, INF], [2.0, 2.4, INF, INF], [INF] * 4, [5.0, 1.0, 1.0, 1.1]])
    expected = [[-0.2, 0.0, 0.3, 0.5], [-0.2, 0.2, 0.5, 0.5], [0.5] * 4, [0.5, -0.05, -0.05, 0.05]]
    np.testing.assert_allclose(relative_features(times, 0.5), expected, atol=1e-12)
    assert relative_features(times[:, :0], 0.5).shape == (4, 0)
    with pytest.raises(RunInputError, match="margin: expected a positive time; got 0"):
        relative_features(times, 0.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.floats(0, 3))
def test_a_common_shift_of_a_sample_changes_nothing(seed: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    times = np.where(rng.random((5, 7)) < 0.3, INF, rng.random((5, 7)))
    shifts = shift * rng.random((5, 1))
    np.testing.assert_allclose(
        relative_features(times + shifts, 1.0), relative_features(times, 1.0), atol=1e-9
    )


def test_neighbours_on_a_line() -> None:
    """At 0, 1, 3 | 4, 6 and one alone: 3 lies nearest to 4, 4 to 3; a tie is wrong."""
    places = np.array([0.0, 1.0, 3.0, 4.0, 6.0, 3.9])
    labels = np.array([0, 0, 0, 1, 1, 7])
    got = nearest_neighbour(euclidean_distances(places[:, None]), labels)
    np.testing.assert_array_equal(got, [1, 1, 0, 0, 1, np.nan])
    line = euclidean_distances(np.array([[0.0], [1], [2], [3.5]]))
    assert nearest_neighbour(line, [0, 0, 1, 1]).tolist() == [1, 0, 0, 1]  # the second: a tie
    assert np.isnan(nearest_neighbour(np.zeros((3, 3)), [0, 0, 1])).all()
    with pytest.raises(RunInputError, match="expected one for each two of 2 samples"):
        nearest_neighbour(np.zeros((3, 3)), [0, 1])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_neighbours_are_those_of_scikit_learn(seed: int) -> None:
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(seed)
    x, labels = rng.random((24, 3)), np.arange(24) % 3
    model = KNeighborsClassifier(1)
    loo = [np.arange(24) != i for i in range(24)]
    expected = [model.fit(x[m], labels[m]).predict(x[~m])[0] == labels[~m][0] for m in loo]
    np.testing.assert_array_equal(nearest_neighbour(euclidean_distances(x), labels), expected)


def test_what_comes_after_the_decision_does_not_count() -> None:
    state = trained()
    late = [
        np.where(times > 2.85, times + np.linspace(0, 1, times.shape[1]), times)
        for times in state.layer_times[:-1]
    ]
    moved = trained(layer_times=(*late, state.output_times))
    options = AnalysisOptions(silent_margin=0.25, n_resamples=50, n_permutations=99, n_null=20)
    first, second = (
        [la["silhouette_relative"] for la in found["separability"]["trained"]["layers"]]
        for found in (analyse([each], options=options) for each in (state, moved))
    )
    assert first == second
    causal = np.where(state.layer_times[2] <= state.output_times.min(axis=1)[:, None],
                      state.layer_times[2], INF)  # fmt: skip
    distances = euclidean_distances(relative_features(causal, 0.25))
    expected = silhouette(distances, state.labels).mean()
    assert first[3]["value"] == pytest.approx(expected) and first[3]["n"] == N_SAMPLES


def test_the_margin_is_refused_by_name() -> None:
    with pytest.raises(RunInputError, match=r"AnalysisOptions\.silent_margin"):
        AnalysisOptions(silent_margin=0.0)
    assert QUICK.silent_margin == 1.0
