"""All checks, in the order in which they run: what needs no more than a run comes first."""

from __future__ import annotations

from hxloop.conformance import (
    accuracy,
    delays,
    events,
    faults,
    form,
    lifecycle,
    multi_spike,
    recurrent,
    refusals,
    repeat,
    sharing,
    substrate,
    trains_apart,
)

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
    lifecycle.group,
    sharing.group,
    refusals.group,
    faults.group,
)
ALL_CHECKS = tuple(check for group in GROUPS for check in group.checks)
CHECKS = tuple(check for check in ALL_CHECKS if not check.long)
