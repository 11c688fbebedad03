"""Substrates behind a substrate: what they are made of, and what they can do together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import zip_longest
from typing import Any, TypeVar

from hxloop import checks
from hxloop.activity import Activity, RunInfo
from hxloop.errors import ConfigError
from hxloop.substrate import Backend, Capabilities, get_backend

Task = TypeVar("Task")
Over = Backend | Mapping[str, Any] | Sequence[Backend | Mapping[str, Any]]


def backends_of(where: str, over: Over) -> tuple[Backend, ...]:
    """The substrates that a backend is over.

    Args:
        where: begins messages.
        over: a backend; or a mapping of its ``name`` and its options, as in a configuration; or a
            sequence of these.

    Raises:
        ConfigError: none of this, nothing, or a mapping without a name.
        UnknownNameError: no such backend or option.
    """
    several = list(over) if isinstance(over, Sequence) and not isinstance(over, str) else [over]
    if not several:
        raise ConfigError(f"{where}: expected at least one substrate; got none")
    return tuple(_backend_of(where, each) for each in several)


def _backend_of(where: str, given: Any) -> Backend:
    if isinstance(given, Backend):
        return given
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigError(
            f"{where}: expected a table with the name of a backend and its options, for example "
            f'{{ name = "emulated-chip", chip = 1 }}; got {checks.shown(given)}'
        )
    return get_backend(given["name"], **{k: v for k, v in given.items() if k != "name"})


def common_capabilities(where: str, backends: Sequence[Backend]) -> Capabilities:
    """What all of several substrates can do.

    Args:
        where: begins messages.
        backends: at least one.

    Raises:
        ConfigError: they are of different size, or hold weights on different grids or in different
            ranges: a network could not be trained for all of them.
    """
    each = [backend.capabilities for backend in backends]
    for name in ("max_neurons", "max_fan_in", "max_layers", "weight_levels", "weight_limit"):
        found = [getattr(one, name) for one in each]
        other = next((i for i, value in enumerate(found) if value != found[0]), None)
        if other is not None:
            raise ConfigError(
                f"{where}: expected substrates of one kind; number 0 ({backends[0].name}) has "
                f"{name} {found[0]}, number {other} ({backends[other].name}) has {found[other]}"
            )
    ratios = [set(one.tau_ratios) for one in each if one.tau_ratios is not None]
    batches = [one.max_batch for one in each if one.max_batch is not None]
    limits = [one.time_limit for one in each if one.time_limit is not None]
    return replace(
        each[0],
        deterministic=all(one.deterministic for one in each),
        time_resolution=max(one.time_resolution for one in each),
        latency=max(one.latency for one in each),
        tau_ratios=tuple(sorted(set.intersection(*ratios))) if ratios else None,
        max_batch=min(batches) if batches else None,
        time_limit=max(limits) if limits else None,
        records=frozenset(),
        # Turning knobs is a matter of one chip.
        knobs=frozenset(),
        observables=frozenset(),
        spontaneous=any(one.may_spike_unprompted for one in each),
        features=frozenset.intersection(*(one.features for one in each)),
    )


def info_of(infos: Sequence[RunInfo]) -> RunInfo:
    """What several runs say of who computed: chips and versions of all, counts added."""
    chips = dict.fromkeys(info.chip_id for info in infos if info.chip_id is not None)
    versions = {name: v for info in infos for name, v in info.versions.items()}
    total = RunInfo.of_all(infos)
    return replace(total, chip_id="+".join(chips) or None, versions=versions)


def run_side_by_side(
    run: Callable[[Task], Activity], tasks: Sequence[Task], n_chips: int
) -> list[Activity]:
    """Runs of several chips: those of one chip one after another, chips at the same time.

    Args:
        run: runs one.
        tasks: what is to be run; task i is of chip ``i % n_chips``.
        n_chips: how many there are.

    Returns:
        In the order of the tasks.
    """
    if n_chips == 1 or len(tasks) == 1:
        return [run(task) for task in tasks]

    def of_chip(chip: int) -> list[Activity]:
        return [run(task) for task in tasks[chip::n_chips]]

    with ThreadPoolExecutor(n_chips) as pool:
        turns = zip_longest(*pool.map(of_chip, range(n_chips)))
    return [activity for turn in turns for activity in turn if activity is not None]
