"""Streams of random numbers, told apart by several whole numbers: a seed, a trial, a layer."""

from __future__ import annotations

_WIDE = 0x57696465


def entropy(*numbers: int, free: int | None = None) -> list[int]:
    """What to seed numpy with so that different numbers give different streams.

    numpy writes a number of more than 32 bits as several words one after another, and forgets
    where it ends: seed 1 + 7 * 2**32 with trial 9 would be seed 1 with trial 7 + 9 * 2**32. Where
    that could happen, the numbers of words follow. All other streams are those of the plain list.

    Args:
        numbers: whole numbers >= 0, always as many for one purpose, and a constant of its own
            for each purpose.
        free: place of the one number that may be wide without: the others tell where it ends.
    """
    plain = [int(number) for number in numbers]
    words = [max(1, -(-number.bit_length() // 32)) for number in plain]
    if all(count == 1 for place, count in enumerate(words) if place != free):
        return plain
    return [*plain, _WIDE, *words]
