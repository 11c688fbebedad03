"""Streams of random numbers are different for different numbers, however large."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import ChipModel, TrialNoise
from hxloop.checks.random_streams import entropy
from hxloop.network import NetworkSpec
from hxloop.training.initialisation import initial_weights

UNCALIBRATED = Imperfections.uncalibrated()
numbers = st.one_of(st.integers(0, 20), st.integers(0, 2**70), st.sampled_from([2**32, 2**50]))


def words_of(entropy_list):
    """What numpy makes of a list: words of 32 bits, and zeros that do not count at the end."""
    words = []
    for number in entropy_list:
        words.append(number & 0xFFFFFFFF)
        while number := number >> 32:
            words.append(number & 0xFFFFFFFF)
    while words and words[-1] == 0:
        words.pop()
    return words


@given(st.tuples(*[numbers] * 4), st.tuples(*[numbers] * 4), st.sampled_from([None, 1, 2]))
def test_other_numbers_are_another_stream(a, b, free):
    assert (a == b) == (words_of(entropy(9, *a, free=free)) == words_of(entropy(9, *b, free=free)))


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**60), st.integers(0, 9))
def test_usual_seeds_have_the_streams_that_they_always_had(seed, trial, layer):
    assert entropy(7, seed, trial, layer, free=2) == [7, seed, trial, layer]
    assert entropy(seed, 0, layer) == [seed, 0, layer]


def test_seeds_that_agree_modulo_2_32_share_no_trial_noise():
    low, high = 5, 7
    wide = TrialNoise(UNCALIBRATED, low + high * 2**32, 9).threshold(0, 8)
    narrow = TrialNoise(UNCALIBRATED, low, high + 9 * 2**32).threshold(0, 8)
    assert not np.isin(wide, narrow).any()
    # The noise of an evaluation, whose trials begin at 2**50.
    wide = TrialNoise(UNCALIBRATED, low + 3 * 2**32, 2**18).threshold(0, 8)
    assert not np.isin(wide, TrialNoise(UNCALIBRATED, low, 3 + 2**50).threshold(0, 8)).any()


def test_chips_and_weights_of_seeds_that_agree_modulo_2_32_are_others():
    chips = [ChipModel.draw(UNCALIBRATED, 3 + k * 2**32) for k in range(4)]
    leaks = np.concatenate([chip.v_leak for chip in chips] + [chip.tau_mem for chip in chips])
    assert len(np.unique(leaks)) == leaks.size
    spec = NetworkSpec.feed_forward(4, 4, 4)
    drawn = [initial_weights(spec, [0, 0], [1, 1], seed=1 + k * 2**32) for k in range(4)]
    values = np.concatenate([matrix.ravel() for matrices in drawn for matrix in matrices])
    assert len(np.unique(values)) == values.size
