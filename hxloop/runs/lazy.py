"""Mappings and sequences whose items are made when they are asked for, once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, TypeVar

T = TypeVar("T")


class LazyMapping(Mapping[str, T]):
    """Each value is made when it is first asked for.

    Args:
        keys: of the mapping, in their order.
        make: gives the value of a key.
    """

    def __init__(self, keys: Sequence[str], make: Callable[[str], T]) -> None:
        self._keys, self._make = tuple(keys), make
        self._made: dict[str, T] = {}

    def __getitem__(self, key: str) -> T:
        if key not in self._keys:
            raise KeyError(key)
        if key not in self._made:
            self._made[key] = self._make(key)
        return self._made[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __repr__(self) -> str:
        return f"<{', '.join(self._keys)}>"


class LazySequence(Sequence[Any]):
    """All items are made when one is first asked for.

    Args:
        make: gives all of them.
    """

    def __init__(self, make: Callable[[], Sequence[Any]]) -> None:
        self._make = make

    @cached_property
    def made(self) -> Sequence[Any]:
        """What they were made as; now, if they were not yet."""
        return self._make()

    @cached_property
    def _items(self) -> tuple[Any, ...]:
        return tuple(self.made)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return "<made when asked for>"
