"""Exponential and logarithm made for vectors: how exact, and that a vector changes no bit."""

from __future__ import annotations

import numpy as np
import pytest
from mpmath import mp, mpf

from hxloop.engine.compiled.vectors import EXACT_MATH, decay, logarithm, widest_vectors
from hxloop.machine.jit import njit


@njit(nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def decays(x, found):  # type: ignore[no-untyped-def]
    widest_vectors()
    for k in range(len(x)):
        found[k] = decay(x[k])


@njit(nogil=True, fastmath=EXACT_MATH, error_model="numpy")
def logarithms(x, found):  # type: ignore[no-untyped-def]
    widest_vectors()
    for k in range(len(x)):
        found[k] = logarithm(x[k])


def arguments(function):
    """Of every size, and at the borders."""
    rng = np.random.default_rng(1)
    if function is decays:
        return np.concatenate(
            [-rng.random(300) * 40, -(10 ** rng.uniform(-18, 2.8, 300)), [0.0, -707.9, -0.5]]
        )
    return np.concatenate(
        [10 ** rng.uniform(-290, 290, 300), 1 + rng.normal(0, 1e-3, 300), [1.0, 0.5**0.5]]
    )


@pytest.mark.parametrize(
    ("function", "exact"), [(decays, mp.exp), (logarithms, mp.log)], ids=["exp", "log"]
)
def test_they_are_exact(function, exact):
    x = arguments(function)
    found = np.empty_like(x)
    function(x, found)
    with mp.workdps(40):
        wanted = [exact(mpf(value)) for value in x]
        errors = [float(abs(mpf(ours) - w)) for ours, w in zip(found, wanted, strict=True)]
        sizes = np.array([float(abs(w)) for w in wanted])
    assert (errors <= 2 * np.finfo(float).eps * np.maximum(sizes, 1e-307)).all()


def test_what_has_decayed_altogether_is_nothing():
    found = np.empty(3)
    decays(np.array([-708.5, -1e300, -np.inf]), found)
    assert (found == 0.0).all()


@pytest.mark.parametrize("function", [decays, logarithms], ids=["exp", "log"])
def test_no_bit_depends_on_the_length_of_the_loop(function):
    x = arguments(function)
    whole = np.empty_like(x)
    function(x, whole)
    for n in (1, 2, 7, 8, 9, 31, 64, 65):
        part = np.empty(n)
        function(x[-n:].copy(), part)
        assert (part == whole[-n:]).all()
