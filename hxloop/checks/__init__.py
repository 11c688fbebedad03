"""What comes in from outside: converted here once to plain Python and numpy, or refused by name.

One function for each kind of argument. All take ``where``, the argument's name as its user knows
it ("training.epochs"), and raise ``error`` with that name, what was expected, what was got, and
the likely fix. numpy scalars, 0-d arrays and tensors are numbers; lists, tensors, pandas columns
and frames, arrays of any byte order, stride and integer or floating-point type are arrays. True
and False are flags, never numbers; text is never a number.
"""

from hxloop.checks.arrays import (
    first_place,
    frozen,
    kept,
    matrices,
    read_only,
    real_array,
    spike_times,
)
from hxloop.checks.class_numbers import labels
from hxloop.checks.values import (
    choice,
    flag,
    names,
    number,
    numbers,
    path,
    plain,
    probability,
    settle,
    shown,
    text,
    whole,
)

__all__ = [
    "choice",
    "first_place",
    "flag",
    "frozen",
    "kept",
    "labels",
    "matrices",
    "names",
    "number",
    "numbers",
    "path",
    "plain",
    "probability",
    "read_only",
    "real_array",
    "settle",
    "shown",
    "spike_times",
    "text",
    "whole",
]
