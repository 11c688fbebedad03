"""The calibration of a chip: a sequence of searches, and a measurement of what came of them.

Everything is measured through the session alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.calibration import measurements as of
from hxloop.calibration.files import load_unfinished, save_calibration, save_unfinished
from hxloop.calibration.measurements import Bench
from hxloop.calibration.options import CalibrationOptions
from hxloop.calibration.refractory import refractory_excess
from hxloop.calibration.result import (
    REFRACTORY,
    CalibrationResult,
    Scales,
    StepRecord,
    Unfinished,
    request_key,
)
from hxloop.calibration.scales import check_scale_network, fit_scales
from hxloop.calibration.search import (
    Search,
)
from hxloop.calibration.sequence import Step, few_repeats, plan_steps
from hxloop.calibration.verdict import check_failures, judge
from hxloop.checks.random_streams import entropy
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes, as_readout
from hxloop.errors import OutputError
from hxloop.substrate import Session
from hxloop.version import __version__

Array = NDArray[np.float64]


class Progress(Protocol):
    """Who is told how it goes."""

    def on_step(self, name: str, index: int, steps: int) -> None:
        """A step begins."""
        ...

    def on_run(self, runs: int) -> None:
        """So many chip runs have been done."""
        ...


def calibrate(
    session: Session,
    target: OperatingPoint | None = None,
    options: CalibrationOptions | None = None,
    *,
    progress: Progress | None = None,
    resume: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
) -> CalibrationResult:
    """Calibrate a chip.

    Args:
        session: with knobs and converters (``hxloop.chip.readout.Readout``). For the fit of the
            scales opened with ``scale_network(n)``, a neuron for every circuit.
            Its knobs are left at the result.
        target: what the neurons are to be.
        options: how.
        progress: who is told.
        resume: file that every finished step is kept in. One of the same target, options and
            chip is gone on from, with the result that an uninterrupted one would have had,
            and it is removed in the end.
        out: file that the result is written to.

    Raises:
        CapacityError: a session without knobs.
        NetworkError: the scales are to be fitted, and the network is not one for that.
        CalibrationError: more circuits failed than ``options.max_failed``, the scales could
            not be fitted, or the session's network has another ratio of time constants.
    """
    resume = None if resume is None else checks.path("resume", resume, error=OutputError)
    out = None if out is None else checks.path("out", out, error=OutputError)
    chip = as_readout(session)
    target, options = target or OperatingPoint(), options or CalibrationOptions()
    unit_us = target.tau_syn_us / session.network.layers[0].neuron.tau_syn
    target.check_network(session.network, unit_us)
    if options.scales:
        check_scale_network(session.network)
    bench = Bench(chip, target, progress.on_run if progress else None)
    key = request_key(target, options, chip.chip_id, __version__)
    course = _Course(bench, list(plan_steps(target, options)), key, resume, progress)
    state = course.searched(options.seed)
    estimates, errors = characterise(bench, state.codes, options.repeats)
    failures = judge(estimates, errors, target, options)
    check_failures(failures, estimates, target, options)
    bench.set(state.codes)
    scales = _scales(bench, failures) if options.scales else Scales()
    if options.refractory:
        estimates[REFRACTORY], errors[REFRACTORY] = of.averaged(
            lambda: refractory_excess(bench, state.codes), options.repeats
        )
    course.keep(state)
    result = CalibrationResult(
        target=target,
        options=options,
        chip_id=chip.chip_id,
        codes=state.codes,
        before=state.before,
        estimates=estimates,
        errors_of_estimates=errors,
        failures=failures,
        scales=scales,
        steps=tuple(state.steps),
        runs=state.runs,
        seconds=state.seconds,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    if out is not None:
        save_calibration(out, result)
    if resume is not None:  # only now: there is always one of the two
        resume.unlink(missing_ok=True)
    return result


class _Course:
    """The steps of a calibration in their order: told when they begin, kept when they are done.

    Runs and seconds count those before an interruption.
    """

    def __init__(
        self,
        bench: Bench,
        plan: Sequence[tuple[str, Step, Search]],
        key: str,
        kept_in: Path | None,
        progress: Progress | None,
    ) -> None:
        self._bench, self._plan, self._progress = bench, plan, progress
        self._key, self._kept_in = key, kept_in
        self._names = ["before", *(name for name, _, _ in plan), "verify"]
        self._found = load_unfinished(kept_in, key) if kept_in is not None else None
        self._begun = time.perf_counter()
        self._seconds = self._found.seconds if self._found else 0.0
        bench.runs = self._found.runs if self._found else 0
        bench.trials = self._found.trials if self._found else 0

    def searched(self, seed: int) -> Unfinished:
        """Do all steps that are missing; what comes next is verified."""
        bench, state = self._bench, self._found
        if state is None:
            self._begin(0)
            codes = bench.session.codes
            state = Unfinished(codes, characterise(bench, codes, 2)[0])
            self.keep(state)
        done = len(state.steps)
        for index, (name, step, search) in enumerate(self._plan[done:], done):
            self._begin(index + 1)
            rng = np.random.default_rng(entropy(seed, index))
            _run_step(bench, name, step, search, state, rng)
            self.keep(state)
        self._begin(len(self._names) - 1)
        return state

    def keep(self, state: Unfinished) -> None:
        """Count what was spent, and write it down where it can be gone on from."""
        state.runs = self._bench.runs
        state.seconds = self._seconds + time.perf_counter() - self._begun
        state.trials = self._bench.trials
        if self._kept_in is not None:
            save_unfinished(self._kept_in, self._key, state)

    def _begin(self, index: int) -> None:
        if self._progress is not None:
            self._progress.on_step(self._names[index], index, len(self._names))


def characterise(
    bench: Bench,
    codes: Mapping[str, Codes],
    repeats: int,
    pairs: NDArray[np.int64] | None = None,
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Measure every quantity of every circuit at given codes.

    Args:
        bench: with the session.
        codes: of all knobs.
        repeats: measurements of each; of time constants a third of them, which are precise.
        pairs: circuits whose time constants are measured; None: all. The others have NaN.

    Returns:
        Values and their standard errors, by quantity. Strengths, the jump of the current at an
        event, are in units of the median excitatory one; where the synaptic time constant was
        not measured, it is taken to be that of the target.
    """
    chosen = bench.pairs if pairs is None else pairs

    def spread_out(values: Array) -> Array:
        full = np.full(bench.session.n_circuits, np.nan)
        full[chosen.ravel()] = values
        return full

    few = few_repeats(repeats)
    measures: dict[str, tuple[Callable[[], Array], int]] = {
        "v_threshold": (lambda: of.threshold(bench, codes), repeats),
        "v_leak": (lambda: of.rest(bench, codes), repeats),
        "v_reset": (lambda: of.reset(bench, codes), repeats),
        "tau_mem": (lambda: spread_out(of.tau_mem(bench, codes, chosen)), few),
        "tau_syn_exc": (
            lambda: spread_out(of.tau_syn(bench, codes, "exc", chosen)),
            few,
        ),
        "tau_syn_inh": (
            lambda: spread_out(of.tau_syn(bench, codes, "inh", chosen)),
            few,
        ),
        "strength_exc": (lambda: of.charge(bench, codes, "exc"), repeats),
        "strength_inh": (lambda: of.charge(bench, codes, "inh"), repeats),
    }
    found = {name: of.averaged(*measure) for name, measure in measures.items()}
    for sign in ("exc", "inh"):
        # A charge is a jump of the current times the time constant with which it decays; at
        # calibrated codes that is the same for all, before it is not.
        tau, tau_error = found[f"tau_syn_{sign}"]
        known = np.isfinite(tau)
        tau = np.where(known, tau, bench.target.tau_syn_us)
        charge, error = found[f"strength_{sign}"]
        strength = charge / tau
        relative = np.where(known, tau_error, 0.0) / tau
        found[f"strength_{sign}"] = strength, np.hypot(error / tau, strength * relative)
    unit = float(np.nanmedian(found["strength_exc"][0]))
    values, errors = {}, {}
    for name, (mean, error) in found.items():
        scale = unit if name.startswith("strength") else 1.0
        values[name], errors[name] = mean / scale, error / scale
    return values, errors


# --- one step -----------------------------------------------------------------------------


def _run_step(
    bench: Bench,
    name: str,
    step: Step,
    search: Search,
    state: Unfinished,
    rng: np.random.Generator,
) -> None:
    begun, runs = time.perf_counter(), bench.runs
    goal = step.target
    if goal is None:
        origin = step.as_of or step.name
        if origin not in state.targets:
            state.targets[origin] = float(np.nanmedian(step.measure(bench, state.codes)))
        goal = state.targets[origin]
    found = search(
        lambda codes: step.measure(bench, {**state.codes, step.knob: codes}),
        np.full(bench.session.n_circuits, goal),
        state.codes[step.knob],
        bench.session.knob_ranges[step.knob],
        step.rising,
        rng,
    )
    state.codes[step.knob] = found.codes
    state.steps.append(
        StepRecord(
            name=name,
            knob=step.knob,
            unit=step.unit,
            errors=found.errors,
            at_end=found.at_end,
            convergence=found.convergence,
            runs=bench.runs - runs,
            seconds=time.perf_counter() - begun,
        )
    )


def _scales(bench: Bench, failures: Mapping[int, str]) -> Scales:
    session = bench.session
    usable = None
    if session.network.sizes[1:] == (session.n_circuits,):
        usable = np.ones(session.n_circuits, dtype=np.bool_)
        usable[list(failures)] = False
    return fit_scales(session, usable=usable, on_run=bench.count)
