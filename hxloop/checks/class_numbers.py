"""Numbers that count: classes, one for each sample; places in a list; what is made of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.checks.arrays import Error, as_array, check_shape, first_place, kind_of
from hxloop.errors import RunInputError


def labels(
    where: str,
    value: Any,
    *,
    n: int | None = None,
    low: int = 0,
    high: int | None = None,
    whole_floats: bool = False,
    error: Error = RunInputError,
) -> NDArray[np.int64]:
    """Class numbers, one for each sample.

    Args:
        where: name of the argument.
        value: whole numbers of any integer type, in anything ``real_array`` takes.
        n: how many there must be; None: any number.
        low: the smallest allowed.
        high: the largest allowed; None: any.
        whole_floats: whether 2.0 passes as 2, as files of other programs have it.
        error: what is raised.

    Returns:
        int64 ``(n,)``; the caller's own memory where it is that already.

    Raises:
        error: not so many whole numbers, in one axis, within the range.
    """
    array = as_array(where, value, error)
    if whole_floats and array.dtype.kind == "f" and _all_whole(array):
        array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise error(
            f"{where}: expected class numbers (whole numbers); got {_no_labels(value, array)}"
        )
    if array.ndim == 2:
        raise error(
            f"{where}: expected one class number for each sample, shape (n,); got shape "
            f"{array.shape}{_flat_hint(array)}"
        )
    check_shape(where, array, ("n",) if n is None else (n,), error)
    wrong = array < low if high is None else (array < low) | (array > high)
    if wrong.any():
        at = int(np.argmax(wrong))
        upper = " on" if high is None else f" to {high}"
        raise error(f"{where}: expected numbers from {low}{upper}; got {array[at]} at sample {at}")
    result = array.astype(np.int64, copy=False)
    return result.copy() if result.strides[0] < 0 else result


def _no_labels(value: Any, array: NDArray[Any]) -> str:
    """What labels are that are no whole numbers, and what makes class numbers of them."""
    if array.ndim == 2 and array.dtype.kind in "fb":
        return f"{array.dtype} of shape {array.shape}{_flat_hint(array)}"
    if array.dtype.kind == "f" and not array.size:
        return f"none, as {array.dtype}"
    if array.dtype.kind == "f":
        if _all_whole(array):
            return (
                f"floating-point numbers ({array.dtype}), though all of them whole. Convert them "
                "first: .astype(int), of a tensor .long()"
            )
        place = first_place(~(np.floor(array) == array) | ~np.isfinite(array))
        at = f"{array[place]} at sample {place[0]}" if place else f"{array[()]}"
        return f"{at}, which is no class (a missing label, or a quantity for a regression?)"
    if array.dtype.kind == "b":
        return "true and false. Convert them first: .astype(int)"
    texts = array.dtype.kind in "US" or (
        array.dtype.kind == "O" and array.size and all(isinstance(v, str) for v in array.flat)
    )
    if texts:
        return (
            f"text, {str(array.flat[0])!r} among it. Number the classes first: "
            "names, labels = numpy.unique(labels, return_inverse=True)"
        )
    return kind_of(value, array)


def _flat_hint(array: NDArray[Any]) -> str:
    """What makes one axis of a column, or of one column for each class."""
    if array.shape[1] == 1:
        return ". A column: .ravel() makes it flat"
    if array.size and ((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all():
        return ". One column for each class: .argmax(1) makes numbers of them"
    return ""


def _all_whole(array: NDArray[Any]) -> bool:
    return bool(np.isfinite(array).all() and (np.floor(array) == array).all())


def indices(where: str, value: Any, n: int, high: int, error: Error) -> NDArray[np.int64]:
    """Which sample or neuron each of some spikes is of.

    Args:
        where: name of the argument.
        value: whole numbers, one for each spike.
        n: number of spikes.
        high: number of samples or neurons.
        error: what is raised.

    Raises:
        error: another number of them, no whole numbers, or one that is not from 0 to high - 1.
    """
    found = as_array(where, value, error)
    if found.size == 0:
        found = found.astype(np.int64)
    if found.dtype.kind not in "iu" or found.shape != (n,):
        raise error(
            f"{where}: expected {n} whole numbers, one for each spike; got {found.dtype} "
            f"{found.shape}"
        )
    wrong = (found < 0) | (found >= high)
    if wrong.any():
        i = int(np.argmax(wrong))
        raise error(f"{where}: expected 0 to {high - 1}; got {found[i]} at spike {i}")
    return found.astype(np.int64)
