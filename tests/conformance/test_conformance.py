"""Every backend of the project does what every backend must do."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hxloop.conformance import (
    ALL_CHECKS,
    Check,
    Subject,
    chosen_checks,
    require_substrate,
    run_check,
)
from hxloop.errors import CompilerError, MissingDependencyError
from hxloop.network import Feature
from tests.conformance.subjects import CI, ENTRIES, Entry, subject_of
from tests.contract_double.control import install


def open_subject(entry: Entry) -> Subject:
    """The backend of a row; skips, or in CI fails, if its substrate is not there."""
    try:
        subject = subject_of(entry)
        require_substrate(subject)
    except (MissingDependencyError, CompilerError) as error:
        if CI and entry.required:
            pytest.fail(f"{entry} may not be skipped in CI: {error}")
        pytest.skip(str(error))
    return subject


@pytest.fixture(scope="module")
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """One subject for all checks of a backend, closed before the next one is opened."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param.double is not None:
            install(patch, request.param.double)
        with open_subject(request.param) as subject:
            yield subject


def _compiles(entry: Entry, check: Check) -> bool:
    """Whether a check has Brian2 compile a network of its own, for a minute and more."""
    mine = dict(entry.options).get("solver") == "brian2"
    return mine and check.group in tuple(each.value for each in Feature)


def parameters() -> Iterator[object]:
    for entry in ENTRIES:
        chosen = chosen_checks(entry.only, long=True) if entry.only else ALL_CHECKS
        for check in chosen:
            marks = [pytest.mark.xdist_group(str(entry))]
            later = bool(entry.quick) and check.group not in entry.quick
            marks += [pytest.mark.slow] if check.long or later or _compiles(entry, check) else []
            yield pytest.param(entry, check, id=f"{entry}-{check}", marks=marks)


@pytest.mark.parametrize(
    ("subject", "check"), list(parameters()), indirect=["subject"], scope="module"
)
def test_backend_conforms(subject: Subject, check: Check) -> None:
    result = run_check(check, subject)
    if result.status == "not applicable":
        pytest.skip(result.detail)
    if result.status == "expected":
        pytest.xfail(result.detail)
    # An unexpected pass is a failure, too: the list of known deviations is out of date.
    assert result.good, f"{result.description}\n{result.detail}"
