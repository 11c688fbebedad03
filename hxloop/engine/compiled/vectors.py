"""Full-width vector instructions, where a processor has them, and functions made for them.

The functions are written without a branch, so that a loop of them over neurons or spikes becomes
vector instructions. They round the same in a vector as alone: multiplications and additions are
fused where it says ``fused`` and nowhere else. So no result depends on what else is in the loop.
"""

from __future__ import annotations

import math
from typing import Any

from numba import types
from numba.extending import intrinsic

from hxloop.machine.jit import njit

# For loops of these functions: no NaN comes in, and the sign of a zero does not matter.
EXACT_MATH = {"nnan", "nsz"}


def _widest_vectors(typing_context: Any) -> Any:
    """Ask for 512-bit vectors in the function that calls this; elsewhere it does nothing.

    Compilers prefer 256 bits even on processors with AVX-512, whose clock once fell when they
    ran it. Loops that are bound by arithmetic, as those of these kernels, gain from the width.
    Processors with narrower vectors are not affected.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # llvmlite knows only attributes without a value; it writes what is in the set.
        set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return context.get_dummy_value()

    return types.none(), generate


def _fused(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    """``a b + c``, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), generate


def _bits(typing_context: Any, number: Any) -> Any:
    """The 64 bits of a number, as a whole number."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.int64))

    return types.int64(types.float64), generate


def _of_bits(typing_context: Any, bits: Any) -> Any:
    """The number of 64 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], context.get_value_type(types.float64))

    return types.float64(types.int64), generate


widest_vectors: Any = intrinsic(_widest_vectors)
fused: Any = intrinsic(_fused)
bits: Any = intrinsic(_bits)
of_bits: Any = intrinsic(_of_bits)

_PER_LOG_2 = 1.0 / math.log(2.0)
# log 2 in two parts; products of the first with whole numbers up to 2000 are exact.
_LOG_2 = float.fromhex("0x1.62e42fee00000p-1")
_LOG_2_REST = float.fromhex("0x1.a39ef35793c76p-33")
# Added, it leaves the nearest whole number in the last bits.
_WHOLE = 1.5 * 2.0**52
_LOWEST = -708.0  # of what has an exponential with all its digits
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (
    1.0 / math.factorial(n) for n in range(2, 14)
)


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy", forceinline=True)
def decay(x):  # type: ignore[no-untyped-def]
    """``exp(x)`` of an x up to 0, to two last places; 0 below -708.

    ``exp(n log 2 + r) = 2^n exp(r)``, ``|r| <= log(2)/2``, by the series up to ``r^13/13!``.
    """
    given = max(x, _LOWEST)
    shifted = fused(given, _PER_LOG_2, _WHOLE)
    n = shifted - _WHOLE
    r = fused(n, -_LOG_2_REST, fused(n, -_LOG_2, given))
    square = r * r
    fourth = square * square
    low = fused(square, fused(r, _C3, _C2), 1.0 + r)
    middle = fused(square, fused(r, _C7, _C6), fused(r, _C5, _C4))
    high = fused(square, fused(r, _C11, _C10), fused(r, _C9, _C8))
    series = fused(fourth, fused(fourth, fused(fourth, fused(r, _C13, _C12), high), middle), low)
    power = of_bits((bits(shifted) + 1023) << 52)
    return series * power if x >= _LOWEST else 0.0


_HALF_BITS = 0x3FE6A09E667F3BCD  # of sqrt(1/2)


@njit(cache=True, nogil=True, fastmath=EXACT_MATH, error_model="numpy", forceinline=True)
def logarithm(x):  # type: ignore[no-untyped-def]
    """``log x`` of a normal number above 0, to two last places.

    ``log(2^n m) = n log 2 + 2 artanh((m - 1)/(m + 1))``, m around 1.
    """
    of_x = bits(x)
    n = (of_x - _HALF_BITS) >> 52
    m = of_bits(of_x - (n << 52))
    z = (m - 1.0) / (m + 1.0)
    y = z * z
    low = fused(y, fused(y, fused(y, 1 / 7, 1 / 5), 1 / 3), 1.0)
    highest = fused(y, fused(y, 1 / 19, 1 / 17), 1 / 15)
    high = fused(y, fused(y, fused(y, highest, 1 / 13), 1 / 11), 1 / 9)
    fourth = (y * y) * (y * y)
    return fused(float(n), _LOG_2 + _LOG_2_REST, 2.0 * z * fused(fourth, high, low))
