"""The suite that defines a backend: checks that every backend passes, run on any of them.

``hxloop check-backend NAME`` runs them from the command line. From pytest, on one's own::

    import pytest
    from hxloop.conformance import CHECKS, Subject, run_check

    @pytest.fixture(scope="module")
    def subject():
        with Subject(MyBackend()) as subject:
            yield subject

    @pytest.mark.parametrize("check", CHECKS, ids=str)
    def test_my_backend(check, subject):
        result = run_check(check, subject)
        assert result.good, result.detail
"""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.conformance.check import Check, CheckGroup
    from hxloop.conformance.report import Report, Result
    from hxloop.conformance.runner import require_substrate, run_check, run_checks
    from hxloop.conformance.subject import Subject, Tolerance
    from hxloop.conformance.suite import ALL_CHECKS, CHECKS, chosen_checks
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = [
    "ALL_CHECKS",
    "CHECKS",
    "Check",
    "CheckGroup",
    "Report",
    "Result",
    "Subject",
    "Tolerance",
    "chosen_checks",
    "require_substrate",
    "run_check",
    "run_checks",
]
