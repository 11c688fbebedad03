"""All checks, in the order in which they run: what needs no more than a run comes first."""

from __future__ import annotations

from collections.abc import Iterable

from hxloop.conformance import (
    accuracy,
    delays,
    events,
    faults,
    form,
    lifecycle,
    multi_spike,
    own_neurons,
    readouts,
    recurrent,
    refusals,
    repeat,
    sharing,
    substrate,
    trains_apart,
)
from hxloop.conformance.check import Check
from hxloop.errors import UnknownNameError, unknown_name

GROUPS = (
    form.group,
    events.group,
    repeat.group,
    substrate.group,
    accuracy.group,
    multi_spike.group,
    trains_apart.group,
    recurrent.group,
    delays.group,
    readouts.group,
    own_neurons.group,
    lifecycle.group,
    sharing.group,
    refusals.group,
    faults.group,
)
ALL_CHECKS = tuple(check for group in GROUPS for check in group.checks)
CHECKS = tuple(check for check in ALL_CHECKS if not check.long)


def chosen_checks(names: Iterable[str], long: bool = False) -> tuple[Check, ...]:
    """The checks of some names, or of the groups of some names, in the order of the suite.

    Args:
        names: of checks, long ones too, or of groups.
        long: whether groups are taken with the checks that take minutes.

    Raises:
        UnknownNameError: there is no check and no group of a name.
    """
    wanted = tuple(names)
    groups = {check.group for check in ALL_CHECKS}
    known = {check.name for check in ALL_CHECKS} | groups
    for name in wanted:
        if name not in known:
            raise UnknownNameError(unknown_name("check or group of checks", name, known))
    return tuple(
        check
        for check in ALL_CHECKS
        if check.name in wanted or (check.group in wanted and (long or not check.long))
    )
