"""Checks of opening and closing, and of what a session leaves behind."""

from __future__ import annotations

import gc
import os
import threading

import numpy as np

from hxloop.activity import Activity
from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.compare import require_alike, times_of
from hxloop.conformance.subject import Subject
from hxloop.errors import ConformanceError, HxloopError, SessionClosedError
from hxloop.machine.memory import resident_mb
from hxloop.substrate import Session

group = CheckGroup("lifecycle")

# Runs before memory is looked at: caches fill, compilers run.
WARM_UP = 3
# Growth in MB that is put down to the allocator.
ALLOWED_MB = 4.0
# Sessions opened and closed one after another; processor time of a run that is put down to chance.
SESSIONS = 4
ALLOWED_SECONDS = 0.02


@group.check
def reopen(subject: Subject) -> None:
    """A session opened after another one was closed gives the same result."""
    task = subject.plan.task
    subject.close()
    first = subject.repeat(task.weights, task.input_times)
    subject.close()
    second = subject.repeat(task.weights, task.input_times)
    require_alike(
        subject,
        times_of(first),
        times_of(second),
        "in the next session",
        0.0 if subject.capabilities.deterministic else 2 * subject.resolution,
    )


@group.check
def closed_session_refuses(subject: Subject) -> None:
    """After close, and after `with`, run raises SessionClosedError; closing twice is allowed."""
    task = subject.plan.task
    with subject.opened() as session:
        session.run(task.weights, task.input_times)
        session.close()
        _must_refuse(subject, "after close", session)
        session.close()
    with subject.opened() as unused:
        unused.close()
    with subject.opened() as inner, inner as entered:
        if entered is not inner:
            raise ConformanceError("`with session as s`: expected s to be the session")
    _must_refuse(subject, "after `with`", inner)


def _must_refuse(subject: Subject, when: str, session: Session) -> None:
    task = subject.plan.task
    try:
        session.run(task.weights, task.input_times)
    except SessionClosedError:
        return
    raise ConformanceError(f"{when}: expected run to raise SessionClosedError; it ran")


@group.check
def second_session(subject: Subject) -> Figures:
    """A second session beside an open one works, or is refused, and harms the first in no way."""
    task = subject.plan.task
    others = [np.full_like(w, subject.plan.strong) for w in task.weights]
    with subject.opened() as first:
        before = subject.repeat(task.weights, task.input_times, first)
        allowed = True
        try:
            second = subject.backend.open(subject.network, seed=subject.seed)
        except HxloopError as error:
            allowed = False
            if not str(error):
                raise ConformanceError("a second session was refused without a reason") from error
        else:
            with second:
                subject.repeat(others, task.input_times, second)
                same = subject.repeat(task.weights, task.input_times, second)
            _same_as(subject, before, same, "in a second session at the same time")
        after = subject.repeat(task.weights, task.input_times, first)
        _same_as(subject, before, after, "in the first session, after a second one")
    return {"sessions_at_once": 2 if allowed else 1}


def _same_as(subject: Subject, before: list[Activity], after: list[Activity], what: str) -> None:
    require_alike(subject, times_of(before), times_of(after), what, 2 * subject.resolution)


@group.check
def nothing_left_open(subject: Subject) -> Figures:
    """Sessions that were closed leave no file or thread, and do not slow down later ones."""
    task = subject.plan.task
    _ = subject.usual
    before = _open_files(), threading.active_count()
    for _ in range(SESSIONS):
        with subject.opened() as session:
            session.run(task.weights, task.input_times)
            cost = subject.cost(session)
    after = _open_files(), threading.active_count()
    if after[0] > before[0] or after[1] > before[1]:
        raise ConformanceError(
            f"{SESSIONS} sessions later: expected as many open files and threads as before, "
            f"{before}; got {after}"
        )
    allowed = 2 * subject.first_cost + ALLOWED_SECONDS
    if cost > allowed:
        raise ConformanceError(
            f"a run took {subject.first_cost:.3f} s of processor time in the first session and "
            f"{cost:.3f} s in a later one; expected at most {allowed:.3f} s. What closed sessions "
            "built may still be simulated"
        )
    return {"open_files": after[0], "threads": after[1], "first_s": subject.first_cost, "s": cost}


@group.check
def memory(subject: Subject) -> Figures:
    """Over 20 runs the memory of the process does not keep growing."""
    return _growth(subject, 20)


@group.long
def memory_of_many_runs(subject: Subject) -> Figures:
    """Over 200 runs the memory of the process does not keep growing."""
    return _growth(subject, 200)


def _growth(subject: Subject, runs: int) -> Figures:
    task = subject.plan.task
    for _ in range(WARM_UP):
        subject.session.run(task.weights, task.input_times)
    gc.collect()
    levels = [resident_mb()]
    for _ in range(2):
        for _ in range(runs // 2):
            subject.session.run(task.weights, task.input_times)
        gc.collect()
        levels.append(resident_mb())
    # What grows once, in either half, is a cache; what grows in both keeps growing.
    growth = min(levels[1] - levels[0], levels[2] - levels[1]) * 2
    if growth > ALLOWED_MB:
        raise ConformanceError(
            f"{runs} runs: expected the process to keep its size to {ALLOWED_MB:g} MB; it went "
            f"from {levels[0]:.1f} to {levels[1]:.1f} to {levels[2]:.1f} MB"
        )
    return {"growth_mb": growth, "runs": runs}


def _open_files() -> int:
    folder = "/proc/self/fd"
    return len(os.listdir(folder)) if os.path.isdir(folder) else 0
