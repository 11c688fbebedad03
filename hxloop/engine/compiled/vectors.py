"""Full-width vector instructions, where a processor has them."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


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


widest_vectors: Any = intrinsic(_widest_vectors)
