"""``hxloop check-backend`` as its users meet it, and what CI may not skip."""

from __future__ import annotations

import json
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any

import pytest

import hxloop.registry
from hxloop.cli.entry import main
from hxloop.conformance import ALL_CHECKS, CHECKS
from hxloop.errors import MissingDependencyError
from hxloop.substrate import Capabilities
from hxloop.substrate import registry as backend_module
from tests.conformance import subjects, test_conformance
from tests.conformance.subjects import ENTRIES, Entry

MODULE = __name__


class Late:
    """A backend with a fault: it never opens."""

    name = "late"
    capabilities = Capabilities(deterministic=True, time_resolution=1e-3)
    known_deviations = MappingProxyType({"no-input": "it is not built yet"})

    def open(self, network: Any, *, calibration: Any = None, seed: Any = None) -> Any:
        if not LATE:
            raise MissingDependencyError("late needs the package 'clock'; try: pip install clock")
        LATE.pop()
        return _Closed()


class _Closed:
    def close(self) -> None:
        pass


LATE: list[int] = []


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command; returns its exit status, stdout and stderr on one line."""
    mine = EntryPoint("late", f"{MODULE}:Late", backend_module.ENTRY_POINT_GROUP)
    known = hxloop.registry.entry_points(group=backend_module.ENTRY_POINT_GROUP)
    monkeypatch.setattr(hxloop.registry, "entry_points", lambda group: [*known, mine])
    monkeypatch.setattr(EntryPoint, "load", lambda self: Late if self is mine else load(self))

    def run(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as status:
            main(list(words))
        out, err = capsys.readouterr()
        return int(str(status.value.code)), out, " ".join(err.split())

    return run


load = EntryPoint.load


def test_a_good_backend_is_reported_good(run: Any) -> None:
    code, out, err = run("check-backend", "emulated-chip", "--set", "solver=event", "--set",
                         "imperfections=none", "--only", "form", "--only", "a-b-a")  # fmt: skip
    lines = out.splitlines()
    # How far it is, off a terminal: on a busy machine only, and nothing else.
    assert code == 0 and all("checks of the backend" in line for line in err.splitlines())
    assert lines[0].startswith("emulated-chip solver=event imperfections=none: judged spike by")
    assert lines[-1].startswith("PASSED: ") and " 0 failed" in lines[-1]
    chosen = [check for check in CHECKS if check.group == "form" or check.name == "a-b-a"]
    assert lines[-1].startswith(f"PASSED: {len(chosen)} passed") and len(chosen) > 2
    assert not any(
        f" {check} " in line for line in lines for check in CHECKS if check not in chosen
    )
    assert all(any(f" {check} " in line for line in lines) for check in chosen)


def test_json_is_one_object_with_every_check(run: Any) -> None:
    code, out, _ = run("check-backend", "ideal", "--json")
    assert code == 0 and out.count("\n") == 1
    report = json.loads(out)
    assert report["backend"] == "ideal" and report["passed"] is True
    assert report["judged"] == "exact" and report["capabilities"]["time_resolution"] == 1e-9
    assert [check["check"] for check in report["checks"]] == [check.name for check in CHECKS]
    assert sum(report["counts"].values()) == len(CHECKS)
    measured = {check["check"]: check["figures"] for check in report["checks"]}
    assert measured["time-resolution"]["largest_error"] < 1e-9


def test_statistical_and_long_are_options(run: Any) -> None:
    group = next(check.group for check in ALL_CHECKS if check.long)
    words = ("check-backend", "ideal", "--statistical", "--only", group, "--json")
    code, out, _ = run(*words)
    short = json.loads(out)
    assert code == 0 and short["judged"] == "statistical"
    code, out, _ = run(*words, "--long")
    long = {check["check"] for check in json.loads(out)["checks"]}
    assert code == 0
    assert {check["check"] for check in short["checks"]} < long
    assert long == {check.name for check in ALL_CHECKS if check.group == group}


def test_a_bad_backend_is_reported_check_by_check(run: Any) -> None:
    LATE.append(1)  # opens once, for the look whether there is a substrate at all
    code, out, _ = run("check-backend", "late")
    assert code == 1
    assert out.splitlines()[-1].startswith("FAILED: ")
    assert "  FAILED    order" in out and "pip install clock" in out
    assert "  expected  no-input" in out and "it is not built yet (" in out


def test_a_substrate_that_is_not_there_is_one_message(run: Any) -> None:
    code, out, err = run("check-backend", "late")
    assert (code, out) == (1, "") and "pip install clock" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["idael"], "Did you mean 'ideal'?"),
        (["ideal", "--set", "speed=3"], "known: max_spikes, precision"),
        (["ideal", "--set", "speed"], "expected KEY=VALUE"),
        (["ideal", "--set", "precision=half"], "'double' or 'single'; got 'half'"),
        (["ideal", "--only", "fomr"], "unknown check or group of checks 'fomr'"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage(run: Any, words: list[str], message: str) -> None:
    code, out, err = run("check-backend", *words)
    assert (code, out) == (2, "") and message in err


# --- what CI may not skip -----------------------------------------------------------------


def test_the_backends_that_ci_may_not_skip_are_all_there() -> None:
    required = {(entry.name, entry.options.get("solver")) for entry in ENTRIES if entry.required}
    simulators = {("pynn-nest", None), ("pynn-neuron", None), ("pynn-brian2", None)}
    chips = {("emulated-chip", "event"), ("emulated-chip", "brian2")}
    assert {("ideal", None), *chips, *simulators} <= required


@pytest.mark.parametrize(
    ("ci", "required", "outcome"),
    [(True, True, "failed"), (True, False, "skipped"), (False, True, "skipped")],
)
def test_a_missing_substrate_fails_in_ci_and_skips_elsewhere(
    ci: bool, required: bool, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(entry: Entry) -> Any:
        raise MissingDependencyError("needs the package 'nest'")

    monkeypatch.setattr(test_conformance, "CI", ci)
    monkeypatch.setattr(test_conformance, "subject_of", missing)
    kinds = {"failed": pytest.fail.Exception, "skipped": pytest.skip.Exception}
    with pytest.raises(kinds[outcome], match="needs the package 'nest'"):
        test_conformance.open_subject(Entry("pynn-nest", required=required))


@pytest.mark.parametrize(
    ("value", "ci"), [("true", True), ("1", True), ("false", False), ("", False)]
)
def test_ci_is_read_from_the_environment(value: str, ci: bool) -> None:
    assert subjects.in_ci({"CI": value}) is ci
