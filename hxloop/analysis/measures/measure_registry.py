"""Measures of the analysis by key, those of other packages among them; see ``measure``."""

from __future__ import annotations

import numpy as np

from hxloop.analysis.measures.measure import Measure
from hxloop.analysis.measures.shipped import SHIPPED
from hxloop.errors import ConfigError
from hxloop.registry import Registry

_BY_KEY = {measure.key: measure for measure in SHIPPED}
REGISTRY = Registry("measure", "hxloop.measures", _BY_KEY)


def measures(group: str | None = None) -> tuple[Measure, ...]:
    """All measures: ours in their order, then those of others by name.

    Args:
        group: only those of it.

    Raises:
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: what a package registers is no ``Measure``, or has the key of another one.
    """
    found = [*SHIPPED, *(_of_another(name) for name in sorted(REGISTRY.others()))]
    keys = [measure.key for measure in found]
    for measure in found[len(SHIPPED) :]:
        if keys.count(measure.key) > 1:
            raise ConfigError(
                f"measure {measure.key!r}: there are {keys.count(measure.key)} of this key; "
                "expected one that no other measure has"
            )
    return tuple(each for each in found if group in (None, each.group))


def in_menus(group: str) -> list[Measure]:
    """Those of a group that are shown, in the order of menus."""
    shown = [(each.rank, i, each) for i, each in enumerate(measures(group))]
    ranked = [(rank, i, each) for rank, i, each in shown if rank is not None]
    return [each for _, _, each in sorted(ranked, key=lambda entry: entry[:2])]


def chance_of(
    measure: Measure, ours: np.random.Generator, seed: int, *more: int
) -> np.random.Generator:
    """What a measure draws its resamples from.

    One of another package draws its own chance, and leaves ours as it was.
    """
    if measure.key in _BY_KEY:
        return ours
    return np.random.default_rng((seed, 10, *more, *measure.key.encode()))


def _of_another(name: str) -> Measure:
    measure = REGISTRY.get(name)
    if not isinstance(measure, Measure):
        raise ConfigError(
            f"measure {name!r}: expected an hxloop.analysis Measure; its package registers "
            f"{measure!r}"
        )
    return measure
