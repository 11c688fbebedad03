"""Checks of a session that is shared: by threads, with a forked child, by a copy.

Each may be refused, by name; what may not happen is that a run returns the spikes of another one,
that somebody waits for ever, or that a child's ``close`` takes the parent's substrate away.
"""

from __future__ import annotations

import copy
import os
import pickle
import select
import signal
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.conformance.check import CheckGroup, Figures
from hxloop.conformance.compare import require_alike, times_of
from hxloop.conformance.subject import Subject
from hxloop.errors import CheckNotApplicable, ConformanceError, HxloopError
from hxloop.substrate import Session

Array = NDArray[np.float64]
Question = tuple[list[Array], Array]
# First spike times of every layer, for each repetition.
Answer = list[tuple[Array, ...]]

group = CheckGroup("sharing")

THREADS = 3
ROUNDS = 4
# A child that takes longer hangs; it opens nothing and runs what takes its parent less.
CHILD_SECONDS = 60.0


def _questions(subject: Subject) -> list[Question]:
    """Runs whose answers differ, so that one that gets another's is seen."""
    task = subject.plan.task
    return [
        ([weights * (1 + 0.3 * index) for weights in task.weights], task.input_times)
        for index in range(THREADS)
    ]


def _ask(subject: Subject, session: Session, question: Question) -> Answer:
    return times_of(subject.repeat(*question, session))


def _require_own(subject: Subject, expected: list[Answer], got: list[Answer], who: str) -> None:
    for number, (before, after) in enumerate(zip(expected, got, strict=True)):
        require_alike(subject, before, after, f"{who}, run {number}", 2 * subject.resolution)


@group.check
def threads(subject: Subject) -> Figures:
    """Threads that share a session get each the spikes of its own run, or are refused by name."""
    questions = _questions(subject)
    with subject.opened() as session:
        alone = [_ask(subject, session, question) for question in questions]

        def work(number: int) -> list[Answer] | None:
            try:
                return [_ask(subject, session, questions[number]) for _ in range(ROUNDS)]
            except HxloopError as error:
                if not str(error):
                    raise ConformanceError("a thread was refused without a reason") from error
                return None

        with ThreadPoolExecutor(THREADS) as pool:
            rounds = list(pool.map(work, range(THREADS)))
        for number, answers in enumerate(rounds):
            if answers is not None:
                _require_own(subject, [alone[number]] * ROUNDS, answers, f"in thread {number}")
        later = [_ask(subject, session, question) for question in questions]
        _require_own(subject, alone, later, "after threads shared the session")
    return {"threads": sum(answers is not None for answers in rounds)}


@group.check
def forked_child(subject: Subject) -> Figures:
    """A forked child gets its own spikes or is refused by name, and harms its parent in no way."""
    if not hasattr(os, "fork"):
        raise CheckNotApplicable("this system does not fork processes")
    questions = _questions(subject)
    with subject.opened() as session:
        alone = [_ask(subject, session, question) for question in questions]
        child = _Child(lambda: _in_child(subject, session, questions[1:]))
        try:
            during = [_ask(subject, session, questions[0]) for _ in range(ROUNDS)]
            told = child.result()
        finally:
            child.end()
        _require_own(subject, [alone[0]] * ROUNDS, during, "while a child runs")
        after = [_ask(subject, session, question) for question in questions]
        _require_own(subject, alone, after, "after a child closed the session")
    if isinstance(told, str):
        if str(child.process) not in told or str(os.getpid()) not in told:
            raise ConformanceError(
                f"a forked child was refused; expected both processes by number, "
                f"{os.getpid()} and {child.process}; got: {told}"
            )
        return {"works_in_child": 0}
    _require_own(subject, alone[1:], told, "in a forked child")
    return {"works_in_child": 1}


def _in_child(subject: Subject, session: Session, questions: list[Question]) -> Any:
    try:
        answers = [_ask(subject, session, question) for question in questions]
    except HxloopError as error:
        return str(error)
    finally:
        session.close()
    return answers


class _Child:
    """A forked child that computes something and is gone.

    Raises:
        ConformanceError: (``result``) it raised, died or takes too long.
    """

    def __init__(self, work: Any) -> None:
        self._pipe, there = os.pipe()
        with warnings.catch_warnings():
            # Python warns of forks beside threads; whether that goes well is the question here.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process = os.fork()
        if self.process == 0:
            os.close(self._pipe)
            _report(work, there)
        os.close(there)

    def result(self) -> Any:
        """What it computed."""
        end, parts = time.monotonic() + CHILD_SECONDS, []
        while select.select([self._pipe], [], [], max(0.0, end - time.monotonic()))[0]:
            part = os.read(self._pipe, 1 << 16)
            if not part:
                break
            parts.append(part)
        else:
            raise ConformanceError(
                f"a forked child: expected spikes or a refusal; it hangs ({CHILD_SECONDS:g} s)"
            )
        if not parts:
            raise ConformanceError("a forked child: expected spikes or a refusal; it died")
        good, value = pickle.loads(b"".join(parts))
        if not good:
            raise ConformanceError(f"a forked child raised {value}")
        return value

    def end(self) -> None:
        """Nothing of it stays."""
        os.close(self._pipe)
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)


def _report(work: Any, pipe: int) -> None:
    """In the child: compute, tell, and leave without the parent's clean-up."""
    try:
        try:
            told = True, work()
        except BaseException as error:  # noqa: BLE001
            told = False, f"{type(error).__name__}: {error}"
        with os.fdopen(pipe, "wb") as file:
            pickle.dump(told, file)
    finally:
        # Not by an exception: the rest of the program is the parent's.
        os.kill(os.getpid(), signal.SIGKILL)


@group.check
def copies(subject: Subject) -> Figures:
    """A copy of a session works beside it, or is refused by name, and harms it in no way."""
    question = _questions(subject)[0]
    with subject.opened() as session:
        before = _ask(subject, session, question)
        copied = 0
        for make in (copy.copy, copy.deepcopy):
            try:
                other = make(session)
            except HxloopError as error:
                if not str(error):
                    raise ConformanceError("a copy was refused without a reason") from error
                continue
            copied += 1
            _require_own(subject, [before], [_ask(subject, other, question)], "in a copy")
            if make is copy.deepcopy:
                other.close()
            del other
        _require_own(subject, [before], [_ask(subject, session, question)], "beside a copy")
    return {"copies": copied}
