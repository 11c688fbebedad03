"""The sequence of a calibration: which knob is turned for what, in which order, by which search.

The order is the one proven on BrainScaleS-2 (calix, for current-based neurons): synaptic time
constants, threshold, synaptic strengths to the median, offsets of the synaptic inputs, leak,
membrane time constant, reset, leak again, then all once more in small corrections.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.calibration import measurements as of
from hxloop.calibration.measurements import Bench
from hxloop.calibration.options import CalibrationOptions
from hxloop.calibration.search import (
    Bisection,
    LinearSearch,
    Model,
    Prediction,
    Search,
    inverse,
    linear,
    noisy_bisection,
    proportional,
)
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One knob and what it is turned for.

    Attributes:
        name, knob, unit: see ``StepRecord``.
        measure: of all circuits at given codes of all knobs.
        target: value wanted; None: the median of what is measured at the present codes.
        rising: the value grows with the code.
        model: of the curve, for jumps; None: not known, and measured.
        refined: corrected once more in small steps at the end.
        as_of: name of an earlier step whose target is taken.
    """

    name: str
    knob: str
    unit: str
    measure: Callable[[Bench, Mapping[str, Codes]], Array]
    target: float | None
    rising: bool
    model: Model | None
    refined: bool = True
    as_of: str | None = None


def sequence(target: OperatingPoint) -> tuple[Step, ...]:
    """The steps, in their order."""
    up = linear(1 / of.CODES_PER_LSB)
    steps = []
    for sign in ("exc", "inh"):
        steps.append(
            Step(f"tau_syn_{sign}", f"i_bias_syn_tau_{sign}", "us", _signed(of.tau_syn, sign),
                 target.tau_syn_us, False, inverse)
        )  # fmt: skip
    steps.append(
        Step("v_threshold", "v_threshold", "LSB", of.threshold, target.v_threshold_lsb, True, up)
    )
    for sign, earlier in (("exc", None), ("inh", "strength_exc")):
        steps.append(
            Step(f"strength_{sign}", f"i_bias_gm_{sign}", "LSB", _signed(of.charge, sign),
                 None, True, proportional, as_of=earlier)
        )  # fmt: skip
    for sign, rising in (("inh", False), ("exc", True)):
        steps.append(
            Step(f"offset_{sign}", f"i_shift_{sign}", "LSB", _signed(of.input_offset, sign), 0.0,
                 rising, None, refined=False)
        )  # fmt: skip
    leak = Step("v_leak", "v_leak", "LSB", of.rest, target.v_leak_lsb, True, up)
    mem = Step("tau_mem", "i_bias_leak", "us", of.tau_mem, target.tau_mem_us, False, inverse)
    reset = Step("v_reset", "v_reset", "LSB", of.reset, target.v_reset_lsb, True, up)
    return (*steps, leak, mem, reset)


def _signed(
    measure: Callable[[Bench, Mapping[str, Codes], str], Array], sign: str
) -> Callable[[Bench, Mapping[str, Codes]], Array]:
    return lambda bench, codes: measure(bench, codes, sign)


def plan_steps(
    target: OperatingPoint, options: CalibrationOptions
) -> Iterator[tuple[str, Step, Search]]:
    """The whole sequence: searches, the leak again, and corrections of everything."""
    steps = {step.name: step for step in sequence(target)}
    for name, step in steps.items():
        yield name, step, _search(step, options)
    yield "v_leak again", steps["v_leak"], _search(steps["v_leak"], options)
    if options.refine_steps:
        last = ("v_threshold", "v_reset", "v_leak")
        first = [name for name in steps if name not in last]
        for step in (steps[name] for name in (*first, *last)):
            if step.refined:
                repeats = few_repeats(options.repeats) if step.unit == "us" else options.repeats
                refined = replace(step, measure=_repeated(step.measure, repeats))
                search = Prediction(step.model, options.refine_steps + 1, furthest=40)
                yield f"refine {step.name}", refined, search


def _search(step: Step, options: CalibrationOptions) -> Search:
    searches: dict[str, Callable[[], Search]] = {
        "noisy-bisection": noisy_bisection,
        "bisection": Bisection,
        "prediction": lambda: Prediction(step.model, 6 if step.model else 7),
        "linear": LinearSearch,
    }
    return searches[options.search]()


def _repeated(
    measure: Callable[[Bench, Mapping[str, Codes]], Array], repeats: int
) -> Callable[[Bench, Mapping[str, Codes]], Array]:
    return lambda bench, codes: of.averaged(lambda: measure(bench, codes), repeats)[0]


def few_repeats(repeats: int) -> int:
    """How often a precise measurement is repeated where others are ``repeats`` times."""
    return max(2, repeats // 3)
