"""Numbers, flags, names and paths, converted to plain Python or refused by name."""

from __future__ import annotations

import math
import numbers as abstract
import os
from collections.abc import Collection, Iterable, Mapping, Set
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

from hxloop.errors import ConfigError, HxloopError

Error = type[HxloopError]


def plain(value: Any) -> Any:
    """A number in its plain Python form; anything else as it is.

    numpy scalars and 0-d arrays and tensors become bool, int, float or complex. Dates, durations
    and arrays of one element do not: what number is meant is not ours to guess.
    """
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind not in "biufc":
        return value
    kinds: tuple[Any, ...] = (bool, int, float, complex)
    for kind in kinds:  # subclasses too, such as np.float64 and IntEnum
        if isinstance(value, kind):
            return kind(value)
    try:
        if isinstance(value, abstract.Integral):
            return int(value)
        if isinstance(value, abstract.Real | Decimal):  # np.longdouble(1).item() is no float
            return float(value)
        scalar = not isinstance(value, type) and getattr(value, "shape", None) == ()
        if not scalar or not hasattr(value, "item") or np.ma.is_masked(value):
            return value
        element = value.item()
    except (TypeError, ValueError, RuntimeError, OverflowError, NotImplementedError):
        return value  # a tensor without data, a fraction too large
    return plain(element) if isinstance(element, abstract.Number) else value


def whole(
    where: str,
    value: Any,
    *,
    low: int | None = None,
    high: int | None = None,
    error: Error = ConfigError,
) -> int:
    """A whole number.

    Args:
        where: name of the argument.
        value: int, or a numpy integer or 0-d tensor of one. 3.0 is refused: a count that was
            computed as a fraction is more often a mistake than not.
        low: smallest value allowed.
        high: largest value allowed.
        error: what is raised.

    Raises:
        error: anything else.

    Example:
        >>> whole("chip", np.int64(3), low=0)
        3
    """
    got = plain(value)
    fits = isinstance(got, int) and not isinstance(got, bool)
    if fits and (low is None or got >= low) and (high is None or got <= high):
        return int(got)
    expected = f"a whole number{_range(low, high)}"
    hint = ""
    if isinstance(got, float) and math.isfinite(got) and got == int(got):
        hint = f" (a floating-point number: write {int(got)})"
    raise error(f"{where}: expected {expected}; got {shown(value)}{hint or _hint(value)}")


def number(
    where: str,
    value: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    finite: bool = True,
    what: str = "number",
    error: Error = ConfigError,
) -> float:
    """A real number.

    Args:
        where: name of the argument.
        value: int, float, or a numpy number or 0-d tensor.
        low, high: smallest and largest value allowed.
        above, below: bounds that are not allowed themselves.
        finite: whether ``inf`` is refused. NaN always is.
        what: kind of number, for the message: "time (model time)".
        error: what is raised.

    Raises:
        error: anything else.

    Example:
        >>> number("learning_rate", np.float32(0.5), above=0)
        0.5
    """
    got = plain(value)
    if isinstance(got, int | float) and not isinstance(got, bool):
        try:
            result = float(got)
        except OverflowError:
            result = math.inf
        within = (
            (low is None or result >= low)
            and (high is None or result <= high)
            and (above is None or result > above)
            and (below is None or result < below)
        )
        if within and not math.isnan(result) and not (finite and math.isinf(result)):
            return result
    if above == 0:
        kind, above = "a positive ", None
    else:
        kind = "a "
    kind += f"finite {what}" if finite and high is None and below is None else what
    bounds = _range(low, high, above, below)
    raise error(f"{where}: expected {kind}{bounds}; got {shown(value)}{_hint(value)}")


def numbers(where: str, value: Any, **bounds: Any) -> tuple[float, ...]:
    """Several real numbers, from anything one-dimensional that holds them; see ``number``.

    Args:
        where: name of the argument.
        value: a list, tuple, array, tensor or column.
        **bounds: of every one, as for ``number``, and ``error``.

    Raises:
        error: no such thing, or one of them is out of bounds.
    """
    error: Error = bounds.get("error", ConfigError)
    one = isinstance(value, str | bytes | Mapping | Set) or getattr(value, "ndim", 1) != 1
    try:
        found = None if one else tuple(value)
    except TypeError:
        found = None
    if found is None:
        raise error(f"{where}: expected a list of numbers; got {shown(value)}")
    return tuple(number(f"{where}[{i}]", entry, **bounds) for i, entry in enumerate(found))


def probability(where: str, value: Any, *, error: Error = ConfigError) -> float:
    """A number from 0 to 1; see ``number``."""
    return number(where, value, low=0, high=1, error=error)


def flag(where: str, value: Any, *, error: Error = ConfigError) -> bool:
    """True or False; "no" and 1 are neither.

    Raises:
        error: anything else.
    """
    got = plain(value)
    if isinstance(got, bool):
        return got
    raise error(f"{where}: expected true or false; got {shown(value)}{_hint(value)}")


def choice(where: str, value: Any, known: Collection[str], *, error: Error = ConfigError) -> str:
    """One of several names.

    Raises:
        error: anything else; the message lists them.
    """
    if isinstance(value, str) and value in known:
        return str(value)
    raise error(
        f"{where}: expected one of {', '.join(repr(name) for name in known)}; got {shown(value)}"
    )


def text(where: str, value: Any, *, error: Error = ConfigError) -> str:
    """A name: text that is not empty.

    Raises:
        error: anything else.
    """
    if isinstance(value, str) and value:
        return str(value)
    raise error(f"{where}: expected a name; got {shown(value)}")


def path(where: str, value: Any, *, error: Error = ConfigError) -> Path:
    """A path, from text or anything that stands for a path, with ``~`` expanded.

    Raises:
        error: no path, or ``~`` where nobody has a home folder (no HOME, no passwd entry).
    """
    try:
        raw = os.fspath(value)
    except TypeError:
        raw = None
    if not isinstance(raw, str) or not raw or "\0" in raw:
        raise error(f"{where}: expected a path; got {shown(value)}")
    try:
        return Path(raw).expanduser()
    except RuntimeError as problem:
        raise error(
            f"{where}: expected a path; got {raw!r}, and the home folder that ~ stands for is not "
            "known (HOME is not set, or there is no such user). Set HOME, or write the path out."
        ) from problem


def names(where: str, value: Any, *, error: Error = ConfigError) -> tuple[str, ...]:
    """Several names: any collection of text, but not one text by itself.

    Raises:
        error: anything else.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise error(f"{where}: expected a sequence of names; got {shown(value)}")
    found = tuple(value)
    for name in found:
        if not isinstance(name, str):
            raise error(f"{where}: expected a sequence of names; got {shown(name)} among them")
    return found


def settle(instance: Any, **values: Any) -> None:
    """Set fields of a frozen dataclass to their converted values, in ``__post_init__``."""
    for name, value in values.items():
        object.__setattr__(instance, name, value)


def shown(value: Any) -> str:
    """What was got, short enough for a message."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape != () and hasattr(value, "dtype"):
        return f"an array of shape {tuple(shape)}"
    if isinstance(shape, tuple) and len(shape) > 0:
        return f"a {type(value).__name__} of shape {tuple(shape)}"
    if hasattr(value, "__next__"):
        return f"a {type(value).__name__}"
    got = plain(value)
    words = repr(got)
    return words if len(words) <= 80 else f"{words[:70]}... ({type(value).__name__})"


def _hint(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape != () and math.prod(shape) == 1:
        return " (take its element: .item())"
    if isinstance(value, str):
        return " (text; write it without quotes)"
    return ""


def _range(
    low: float | None,
    high: float | None,
    above: float | None = None,
    below: float | None = None,
) -> str:
    """The allowed range in words, with a space before them."""
    words = []
    if low is not None and high is not None:
        return f" from {_short(low)} to {_short(high)}"
    if low is not None:
        words.append(
            f"of at least {low}" if isinstance(low, int) and low > 0 else f">= {_short(low)}"
        )
    if above is not None:
        words.append(f"> {_short(above)}")
    if high is not None:
        words.append(f"<= {_short(high)}")
    if below is not None:
        words.append(f"< {_short(below)}")
    return " " + " and ".join(words) if words else ""


def _short(bound: float) -> str:
    return str(bound) if isinstance(bound, int) else f"{bound:g}"
