"""Runs checks on a backend."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable

from hxloop.conformance import report as status
from hxloop.conformance.check import Check
from hxloop.conformance.report import Report, Result
from hxloop.conformance.subject import Subject
from hxloop.conformance.suite import ALL_CHECKS, CHECKS
from hxloop.errors import (
    CheckNotApplicable,
    CompilerError,
    ConformanceError,
    MissingDependencyError,
    UnknownNameError,
)


def run_check(check: Check, subject: Subject) -> Result:
    """Run one check.

    Whatever the backend raises is a result, not an error of the check. After a failure the shared
    session is closed, so that one failure does not cause the next.

    Args:
        check: to run.
        subject: the backend; its known deviations are taken into account.
    """
    reason = subject.known_deviations.get(check.name)
    start = time.perf_counter()
    figures, detail = {}, ""
    try:
        figures = dict(check.function(subject) or {})
        outcome = status.SURPRISE if reason else status.PASSED
        detail = f"listed as a known deviation ({reason}), and passes" if reason else ""
    except CheckNotApplicable as why:
        outcome, detail = status.NOT_APPLICABLE, str(why)
    except Exception as error:  # noqa: BLE001
        # A simulator may raise anything, and the other checks are still worth running.
        outcome = status.EXPECTED if reason else status.FAILED
        detail = str(error) if isinstance(error, ConformanceError) else _in_words(error)
        if reason:
            detail = f"{reason} ({detail})"
        subject.close()
    return Result(
        check.name,
        check.group,
        check.description,
        outcome,
        detail,
        figures,
        time.perf_counter() - start,
    )


def require_substrate(subject: Subject) -> None:
    """Open and run once: whether there is a substrate at all is no matter of one check.

    Raises:
        MissingDependencyError: a package is missing.
        CompilerError: the substrate needs a compiler.
    """
    try:
        _ = subject.usual
    except (MissingDependencyError, CompilerError):
        raise
    except Exception:  # noqa: BLE001
        # The checks will tell.
        subject.close()


def run_checks(
    subject: Subject,
    checks: Iterable[Check] = CHECKS,
    listener: Callable[[Result], None] | None = None,
) -> Report:
    """Run checks and report.

    Args:
        subject: the backend.
        checks: which, in this order.
        listener: told each result as it comes.

    Raises:
        UnknownNameError: a known deviation of a check that does not exist.
        MissingDependencyError, CompilerError: there is no substrate, see ``require_substrate``.
    """
    unknown = sorted(set(subject.known_deviations) - {check.name for check in ALL_CHECKS})
    if unknown:
        raise UnknownNameError(
            f"known_deviations of backend {subject.backend.name!r}: no check is named "
            f"{', '.join(unknown)}"
        )
    start = time.perf_counter()
    results = []
    with warnings.catch_warnings(record=True) as warned, subject:
        warnings.simplefilter("always")
        require_substrate(subject)
        for check in checks:
            results.append(run_check(check, subject))
            if listener is not None:
                listener(results[-1])
    return Report(
        backend=subject.backend.name,
        label=subject.label,
        capabilities=subject.capabilities,
        statistical=subject.statistical,
        results=tuple(results),
        warnings=tuple(dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in warned)),
        seconds=time.perf_counter() - start,
    )


def _in_words(error: Exception) -> str:
    return f"raised {type(error).__name__}: {error}"
