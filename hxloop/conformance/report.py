"""What came of the checks: one result for each, and a report to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from hxloop.network import Feature
from hxloop.substrate import Capabilities

PASSED, FAILED, EXPECTED = "passed", "failed", "expected"
NOT_APPLICABLE, SURPRISE = "not applicable", "unexpected pass"
STATUSES = (PASSED, FAILED, EXPECTED, SURPRISE, NOT_APPLICABLE)


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        check: its name.
        group: of the check.
        description: what is true if it passes.
        status: one of ``STATUSES``. "expected": it failed as listed among the known deviations;
            "unexpected pass": it is listed there and passes, so the list is out of date.
        detail: why it failed or does not apply; of a known deviation also the reason.
        figures: what was measured.
        seconds: how long it took.
    """

    check: str
    group: str
    description: str
    status: str
    detail: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Passed, failed as expected, or not applicable."""
        return self.status not in (FAILED, SURPRISE)


@dataclass(frozen=True)
class Report:
    """What the checks found of a backend.

    Attributes:
        backend: its name.
        label: name and options, in words.
        capabilities: what it declares.
        statistical: judged by medians and shares rather than spike by spike.
        results: one for each check.
        warnings: what the substrate warned about, each once.
        seconds: how long all took.
    """

    backend: str
    label: str
    capabilities: Capabilities
    statistical: bool
    results: tuple[Result, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Every check passed, failed as expected or does not apply."""
        return all(result.good for result in self.results)

    def count(self, status: str) -> int:
        """How many checks ended so."""
        return sum(result.status == status for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        capabilities: dict[str, Any] = asdict(self.capabilities)
        for name, value in capabilities.items():
            if isinstance(value, frozenset):
                # Features are told by their names in words.
                told = {each.value if isinstance(each, Feature) else each for each in value}
                capabilities[name] = sorted(told)
        return {
            "backend": self.backend,
            "label": self.label,
            "capabilities": capabilities,
            "judged": "statistical" if self.statistical else "exact",
            "passed": self.good,
            "counts": {status: self.count(status) for status in STATUSES},
            "seconds": self.seconds,
            "warnings": list(self.warnings),
            "checks": [{**asdict(r), "figures": dict(r.figures)} for r in self.results],
        }

    def lines(self) -> Iterator[str]:
        """The report in words, line by line."""
        judged = (
            "by medians over runs and most of the neurons (statistical)"
            if self.statistical
            else f"spike by spike, to {self.capabilities.time_resolution:.3g} tau_syn as declared"
        )
        yield f"{self.label}: judged {judged}"
        width = max((len(result.check) for result in self.results), default=0)
        group = ""
        seen: dict[str, str] = {}
        for result in self.results:
            if result.group != group:
                group = result.group
                yield ""
                yield group
            figures = ", ".join(
                f"{k.replace('_', ' ')} {_number(v)}" for k, v in result.figures.items()
            )
            text = result.detail or figures or result.description
            # One cause may fail every check; it is told once.
            if not result.good:
                first = seen.setdefault(text, result.check)
                text = text if first == result.check else f"as {first}"
            yield f"  {_MARKS[result.status]:<9} {result.check:<{width}}  {text}"
            if not result.good:
                yield f"  {'':<9} {'':<{width}}  what it checks: {result.description}"
        yield ""
        for warning in self.warnings:
            yield f"warning: {warning}"
        counted = ", ".join(f"{self.count(status)} {status}" for status in STATUSES)
        yield f"{'PASSED' if self.good else 'FAILED'}: {counted}; {self.seconds:.1f} s"


_MARKS = {
    PASSED: "ok",
    FAILED: "FAILED",
    EXPECTED: "expected",
    SURPRISE: "SURPRISE",
    NOT_APPLICABLE: "-",
}


def _number(value: float) -> str:
    return f"{value:d}" if isinstance(value, int) else f"{value:.3g}"
