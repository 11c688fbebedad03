"""Arrays of real numbers, spike times, labels and weights: one kind of array inside, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.checks.values import shown
from hxloop.errors import HxloopError, RunInputError

Error = type[HxloopError]
# Of a weight. Single precision ends at 3e38, and what is beyond a number's end is lost in a sum.
LARGEST_WEIGHT = 1e30


def real_array(
    where: str,
    value: Any,
    *,
    shape: Sequence[int | str] | None = None,
    finite: bool = False,
    keep_single: bool = False,
    error: Error = RunInputError,
) -> NDArray[Any]:
    """An array of real numbers, from whatever holds one.

    Args:
        where: name of the argument.
        value: nested lists, an array (of any byte order and strides, read-only or memory-mapped),
            a tensor (also one that requires a gradient), a pandas column or frame, or a list of
            such. Objects, flags, text, complex numbers and dates are refused, as are masked
            values: what a hole should be is not ours to guess.
        shape: the axes expected, a number for one whose length is known, else its name:
            ``("batch", 5)``.
        finite: whether ``inf`` and NaN are refused.
        keep_single: whether float32 stays float32.
        error: what is raised.

    Returns:
        float64 (or float32, see above), native byte order, no negative strides. The caller's own
        memory where that is so already: copy or ``frozen`` before keeping it.

    Raises:
        error: no rectangular array of real numbers, or another shape.

    Example:
        >>> real_array("weights", [[1, 2], [3, 4]], shape=("pre", 2)).dtype
        dtype('float64')
    """
    array = as_array(where, value, error)
    if array.dtype.kind not in "fiu":
        raise error(f"{where}: expected real numbers; got {kind_of(value, array)}")
    if shape is not None:
        check_shape(where, array, shape, error)
    single = keep_single and array.dtype.kind == "f" and array.dtype.itemsize == 4
    target: type[np.floating[Any]] = np.float32 if single else np.float64
    array = array.astype(target, copy=False)  # native byte order
    if any(stride < 0 for stride in array.strides):  # torch takes none
        array = array.copy()
    if finite and not np.isfinite(array).all():
        place = first_place(~np.isfinite(array))
        raise error(f"{where}: expected finite numbers; got {array[place]} at {_at(place)}")
    return array


def spike_times(
    where: str,
    value: Any,
    *,
    shape: Sequence[int | str] | None = ("batch", "n"),
    keep_single: bool = False,
    axes: tuple[str, str] = ("sample", "channel"),
    error: Error = RunInputError,
) -> NDArray[Any]:
    """Spike times in model time: 0 or later, ``inf`` = no spike.

    Args:
        where: name of the argument.
        value: see ``real_array``.
        shape: see ``real_array``.
        keep_single: see ``real_array``.
        axes: names of rows and columns, for messages.
        error: what is raised.

    Raises:
        error: no array of that shape, NaN, or a negative time, ``-inf`` among them.
    """
    times = real_array(where, value, shape=shape, keep_single=keep_single, error=error)
    if times.size and not times.min() >= 0:  # the minimum is NaN where any is
        place = first_place(~(times >= 0))
        at = ", ".join(f"{axis} {i}" for axis, i in zip(axes, place, strict=False)) or "()"
        if np.isnan(times[place]):
            raise error(f"{where}: NaN at {at}; expected a time, or inf for no spike")
        raise error(
            f"{where}: expected times >= 0 (a sample starts at 0), inf for no spike; got "
            f"{times[place]} at {at}"
        )
    return times


def matrices(
    where: str,
    value: Any,
    shapes: Sequence[tuple[int, int]],
    *,
    of: str = "",
    finite: bool = True,
    error: Error = RunInputError,
) -> tuple[NDArray[np.float64], ...]:
    """One weight matrix ``(pre, post)`` for each layer, from any iterable of them.

    Args:
        where: name of the argument.
        value: matrices; see ``real_array`` for what each may be.
        shapes: of the layers.
        of: whose they are, for messages: "network 5-120-3".
        finite: whether NaN and what is beyond ``LARGEST_WEIGHT`` are refused.
        error: what is raised.

    Returns:
        float64 arrays; the caller's own memory where they are that already.

    Raises:
        error: another number of matrices, another shape, no numbers, or not finite.
    """
    owner = f" of {of}" if of else ""
    expected = f"a sequence of {len(shapes)} matrices, one for each layer{owner}"
    one = isinstance(value, str | bytes | dict) or hasattr(value, "to_numpy") or _is_array(value)
    if one:
        raise error(f"{where}: expected {expected}; got {shown(value).replace('an ', 'one ', 1)}")
    try:
        found = list(value)
    except TypeError as problem:
        raise error(f"{where}: expected {expected}; got {shown(value)}") from problem
    if len(found) != len(shapes):
        raise error(f"{where}: expected {expected}; got {len(found)}")
    result = []
    for index, (matrix, want) in enumerate(zip(found, shapes, strict=True)):
        name = f"{where}[{index}]"
        array = real_array(name, matrix, error=error)
        if array.shape != want:
            whose = f" for {of}" if of else ""
            hint = " (transposed?)" if array.shape == want[::-1] else ""
            raise error(
                f"{name}: expected shape (pre, post) = {want}{whose}; got {array.shape}{hint}"
            )
        # Extremes are NaN where any number is.
        good = not array.size or -LARGEST_WEIGHT <= array.min() <= array.max() <= LARGEST_WEIGHT
        if finite and not good:
            pre, post = first_place(~(np.abs(array) <= LARGEST_WEIGHT))
            expected = "finite numbers"
            if np.isfinite(array[pre, post]):
                expected = f"weights from {-LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}"
            raise error(
                f"{name}: expected {expected}; got {array[pre, post]} from neuron {pre} to "
                f"neuron {post} (did the training diverge?)"
            )
        result.append(array)
    return tuple(result)


def kept(array: NDArray[Any]) -> NDArray[Any]:
    """An array that its giver cannot change any more: a copy, unless nobody can write to it.

    For what is kept beyond a call. A memory-mapped file that was opened for reading is not copied.
    """
    root: Any = array
    while isinstance(root, np.ndarray) and not root.flags.writeable:
        root = root.base
    return array.copy() if isinstance(root, np.ndarray) else array


def frozen(array: NDArray[Any]) -> NDArray[Any]:
    """``kept``, and nobody can write to it."""
    return read_only(kept(array))


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """What cannot be written to, to hand out what is ours: a view, or the array if it is one."""
    if not array.flags.writeable:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def first_place(wrong: NDArray[np.bool_]) -> tuple[int, ...]:
    """Index of the first True."""
    return tuple(int(i) for i in np.argwhere(wrong)[0])


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "numpy"))


def as_array(where: str, value: Any, error: Error) -> NDArray[Any]:
    """A numpy array of whatever type; the only place that knows of tensors and frames."""
    if np.ma.is_masked(value):
        raise error(
            f"{where}: expected numbers; got a masked array with masked values. Say what they "
            "are: .filled(np.inf) for channels without a spike"
        )
    if isinstance(value, str | bytes):
        raise error(f"{where}: expected an array of numbers; got {shown(value)}")
    try:
        if hasattr(value, "detach") and hasattr(value, "numpy"):  # a tensor
            tensor = value.detach()
            if "bfloat16" in str(tensor.dtype):
                tensor = tensor.float()
            return np.asarray(tensor.numpy(force=True))
        if hasattr(value, "to_numpy"):  # a column or frame
            return _from_table(value)
        if isinstance(value, list | tuple) and any(_needs_converting(part) for part in value):
            return np.stack([as_array(f"{where}[{i}]", v, error) for i, v in enumerate(value)])
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError, OverflowError) as problem:
        raise error(
            f"{where}: expected a rectangular array of numbers; got {shown(value)}"
            f"{_why_no_array(value)}"
        ) from problem


def _why_no_array(value: Any) -> str:
    """What is wrong with nested lists that make no array, in a user's words."""
    if not isinstance(value, list | tuple):
        return ""
    lengths = [len(row) if hasattr(row, "__len__") else None for row in value]
    for index, length in enumerate(lengths):
        if length != lengths[0]:
            return f": row 0 is {_row(lengths[0])}, row {index} is {_row(length)}"
    return ""


def _row(length: int | None) -> str:
    return "a single value" if length is None else f"of length {length}"


def _needs_converting(part: Any) -> bool:
    if hasattr(part, "detach") or hasattr(part, "to_numpy") or np.ma.is_masked(part):
        return True
    return isinstance(part, list | tuple) and any(_needs_converting(inner) for inner in part)


def _from_table(value: Any) -> NDArray[Any]:
    """Values of a pandas column or frame; those of its nullable types too, where nothing lacks."""
    array = np.asarray(value.to_numpy())
    types = getattr(value, "dtypes", None)
    if array.dtype.kind != "O" or types is None:
        return array
    kinds = [
        getattr(kind, "kind", "O") for kind in (types if hasattr(types, "__iter__") else [types])
    ]
    if kinds and all(kind in "fiu" for kind in kinds) and not bool(np.any(value.isna())):
        integers = all(kind in "iu" for kind in kinds)
        return array.astype(np.int64 if integers else np.float64)
    return array


def check_shape(where: str, array: NDArray[Any], shape: Sequence[int | str], error: Error) -> None:
    """Refuse an array of another shape; names of axes stand for any length."""
    fits = array.ndim == len(shape) and all(
        isinstance(want, str) or got == want for got, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        axes = ", ".join(str(axis) for axis in shape) + ("," if len(shape) == 1 else "")
        hint = ""
        if array.ndim == len(shape) == 2 and array.shape[0] == shape[1]:
            hint = " (transposed?)"
        raise error(f"{where}: expected shape ({axes}); got {array.shape}{hint}")


def kind_of(value: Any, array: NDArray[Any]) -> str:
    """What an array is that holds no real numbers, and what to do about it."""
    if array.ndim == 0 and array.dtype.kind == "O":
        if hasattr(value, "toarray"):  # scipy.sparse
            return f"a sparse matrix of shape {value.shape}; make it dense first: .toarray()"
        if hasattr(value, "__next__"):
            return f"{shown(value)}, which can be read only once: make a list of it first"
        return shown(value)
    named = {
        "O": "Python objects (rows of different lengths, missing values or text?)",
        "b": "true and false. Convert them first: .astype(float)",
        "U": "text", "S": "text", "c": "complex numbers", "M": "dates", "m": "durations",
    }  # fmt: skip
    return f"dtype {array.dtype}: {named.get(array.dtype.kind, 'no numbers')}"


def _at(place: tuple[int, ...]) -> str:
    return f"index {place[0] if len(place) == 1 else place}"
