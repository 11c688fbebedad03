"""Public entry points x odd inputs: the same result, or an error that names the argument.

One row for each argument: how it is given, a good value, and what kind it is. Every form of that
kind that other libraries have must do what the plain value does; everything else must be refused,
by name, before anything runs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hxloop import (
    LatencyEncoding,
    LayerSpec,
    LoopNetwork,
    NetworkSpec,
    NeuronSpec,
    SilentNeuronPolicy,
    SpikeData,
    TimeBase,
    Trainer,
    TrainingOptions,
    evaluate,
    first_spike_times,
    get_backend,
    get_loss,
    yin_yang,
)
from hxloop.activity import RecordedActivity
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.calibration import CalibrationOptions
from hxloop.chip.operating_point import OperatingPoint
from hxloop.errors import ConfigError, HxloopError, RunInputError
from hxloop.training.options import ImageChannels
from tests.checks.odd_inputs import LOSS, SPEC, W, X, Y, network, output

WHOLE = [np.int64, np.uint8, np.array, torch.tensor]


REAL = [np.float32, np.float64, np.longdouble, np.array, torch.tensor,
        lambda value: torch.tensor(float(value), requires_grad=True)]  # fmt: skip


FLAG = [np.bool_, np.array, torch.tensor]


NOT_WHOLE = [1.5, "3", True, [3], np.array([3]), math.nan, None, {}, torch.tensor([3, 3])]


NOT_REAL = ["3", True, [3.0], np.array([3.0]), math.nan, None, {}, 3j, torch.tensor([3.0])]


NOT_A_FLAG = ["no", "true", 1, 0, None, 1.0, [True]]


KINDS = {"whole": (WHOLE, NOT_WHOLE), "real": (REAL, NOT_REAL), "flag": (FLAG, NOT_A_FLAG)}


def fields_of(cls: type, kind: str, names: str, value: Any, **others: Any) -> list[tuple]:
    return [(cls, name, kind, value, others) for name in names.split()]


def feed(**value: Any) -> NetworkSpec:
    return NetworkSpec.feed_forward(4, 30, value.pop("n_neurons", 3), **value)


def option(name: str) -> Callable[..., Any]:
    def make(**options: Any) -> Any:
        return get_backend(name, **options)

    return make


# (what to call, argument, kind, a good value, other arguments)
SCALARS: list[tuple[Callable[..., Any], str, str, Any, dict[str, Any]]] = [
    *fields_of(NeuronSpec, "real", "tau_mem tau_syn", 2),
    *fields_of(NeuronSpec, "real", "v_leak v_reset", -0.5),
    *fields_of(NeuronSpec, "real", "v_threshold", 2),
    *fields_of(LayerSpec, "whole", "n_neurons", 3),
    *fields_of(LayerSpec, "whole", "n_inhibitory", 1, n_neurons=3),
    *fields_of(NetworkSpec, "whole", "n_inputs", 3, layers=(LayerSpec(2),)),
    *fields_of(NetworkSpec, "real", "t_window", 3, n_inputs=3, layers=(LayerSpec(2),)),
    *fields_of(feed, "whole", "n_neurons n_inhibitory", 3),
    *fields_of(feed, "real", "t_window", 3),
    *fields_of(TimeBase, "real", "tau_syn_seconds", 0.5),
    *fields_of(TrainingOptions, "whole", "epochs batch_size step_epochs max_shift retries seed", 3),
    *fields_of(TrainingOptions, "real", "learning_rate step_factor beta1 beta2", 0.5),
    *fields_of(TrainingOptions, "real", "final_fraction input_noise", 0.5),
    *fields_of(TrainingOptions, "flag", "relative_rate clip_weights", True),
    *fields_of(SilentNeuronPolicy, "real", "hidden output bump", 0.5),
    *fields_of(SilentNeuronPolicy, "flag", "per_input", True),
    *fields_of(LatencyEncoding, "real", "t_early t_late", 1.5),
    *fields_of(LatencyEncoding, "whole", "replicate", 3),
    *fields_of(LatencyEncoding, "flag", "large_first silent_zero", True),
    *fields_of(ImageChannels, "whole", "side", 3, background=1.0),
    *fields_of(type(LOSS), "real", "xi alpha beta silent_loss", 0.5),
    *fields_of(type(get_loss("target-time")), "real", "t_correct t_wrong t_silent", 3.5),
    *fields_of(type(get_loss("shift-invariant-target-time")), "real", "t_correct t_silent", 3.5),
    *fields_of(OperatingPoint, "real", "v_threshold_lsb", 160),
    *fields_of(CalibrationOptions, "whole", "repeats refine_steps seed", 3),
    *fields_of(CalibrationOptions, "real", "tolerance_lsb tolerance_tau max_failed", 0.5),
    *fields_of(CalibrationOptions, "flag", "scales", False),
    *fields_of(AnalysisOptions, "whole", "n_resamples n_permutations readout_samples", 30),
    *fields_of(AnalysisOptions, "real", "level alpha jitter van_rossum_tau", 0.5),
    *fields_of(yin_yang, "whole", "size", 3, seed=1),
    *fields_of(yin_yang, "whole", "seed", 3, size=2),
    *fields_of(option("emulated-chip"), "whole", "chip", 3),
    *fields_of(option("emulated-chip"), "real", "weight_lsb tau_syn_us hours", 0.5),
    *fields_of(option("emulated-chip"), "flag", "quantise_weights enforce_limits", False),
    *fields_of(option("pynn-nest"), "real", "dt", 0.05),
    *fields_of(option("pynn-brian2"), "flag", "clip_weights", False),
    *fields_of(option("pynn-neuron"), "real", "dt", 0.05),
    *fields_of(option("pynn-brainscales2"), "real", "tau_mem_us v_leak_lsb", 55),
    *fields_of(network, "whole", "retries", 3),
]  # fmt: skip


def row_id(row: tuple) -> str:
    return f"{getattr(row[0], '__qualname__', row[0])}-{row[1]}"


def same(first: Any, second: Any) -> bool:
    if isinstance(first, LoopNetwork):
        return first.retries == second.retries and type(first.retries) is type(second.retries)
    if hasattr(first, "samples"):
        return np.array_equal(first.samples, second.samples)
    return repr(first) == repr(second)


@pytest.mark.parametrize("row", SCALARS, ids=row_id)
def test_a_scalar_of_any_library_is_converted_or_refused_by_name(row: tuple) -> None:
    call, name, kind, value, others = row
    forms, wrong = KINDS[kind]
    expected = call(**{name: value}, **others)
    for form in forms:
        given = form(value)
        rounded = given.item() if hasattr(given, "item") else given
        plain = expected if rounded == value else call(**{name: float(rounded)}, **others)
        assert same(call(**{name: given}, **others), plain), form
    for bad in wrong:
        with pytest.raises(HxloopError, match=name):
            call(**{name: bad}, **others)


OPTIONAL = ["patience", "checkpoint_every", "max_dw_norm", "weight_limit", "time_limit"]


@pytest.mark.parametrize("name", OPTIONAL)
def test_what_may_be_none_may_be_nothing_else_odd(name: str) -> None:
    assert getattr(TrainingOptions(**{name: None}), name) is None
    assert getattr(TrainingOptions(**{name: np.int64(3)}), name) == 3
    for bad in ("3", True, [3], math.nan, {}):
        with pytest.raises(ConfigError, match=name):
            TrainingOptions(**{name: bad})


# --- arrays -------------------------------------------------------------------------------


def frame(array: np.ndarray) -> Any:
    return pd.DataFrame(array) if array.ndim == 2 else pd.Series(array)


def still(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


ARRAYS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": np.ndarray.tolist,
    "tensor": torch.tensor,
    "frame": frame,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "reversed": lambda a: a[::-1].copy()[::-1],
    "read-only": still,
    "Fortran": np.asfortranarray,
}


FLOATS = {**ARRAYS, "gradient": lambda a: torch.tensor(a, requires_grad=True)}


COUNTS = {**ARRAYS, "uint16": lambda a: a.astype(np.uint16), "int8": lambda a: a.astype(np.int8)}


NO_TIMES = [None, "abc", {}, X.astype(object), X > 0.3, X + 0j, -X,
            np.where(X > 1, np.nan, X), np.where(X > 1, -np.inf, X),
            (row for row in X), np.ma.masked_greater(X, 1)]  # fmt: skip


NO_LABELS = [None, "0110", Y.astype(float), Y.astype(object), Y > 0, Y[:, None], Y[:3], Y - 1]


def trained(data: SpikeData) -> tuple:
    options = TrainingOptions(epochs=2, batch_size=2)
    return Trainer(network(), LOSS, data, data, options).fit().weights


def recorded(times: Any = X, labels: Any = Y) -> RecordedActivity:
    return RecordedActivity("recorded", times, (X[:, :2],), labels, Y)


TAKES_TIMES: dict[str, Callable[[Any], Any]] = {
    "SpikeData": lambda x: SpikeData(x, Y).input_times,
    "Trainer": lambda x: trained(SpikeData(x, Y)),
    "evaluate": lambda x: evaluate(network(), LOSS, SpikeData(x, Y), 3).first_spike_times,
    "LoopNetwork": lambda x: output(inputs=x),
    "session": lambda x: get_backend("ideal").open(SPEC).run([W], x).output_times,
    "emulated": lambda x: get_backend("emulated-chip", solver="event").open(
        SPEC, seed=1).run([W], x, trial=0).output_times,
    "first_spike_times": lambda x: first_spike_times(x, W, NeuronSpec()).detach().numpy(),
    "RecordedActivity": lambda x: recorded(x).input_times,
}  # fmt: skip


@pytest.mark.parametrize("name", TAKES_TIMES)
def test_times_of_any_library_are_converted_or_refused(name: str) -> None:
    call = TAKES_TIMES[name]
    expected = np.asarray(call(X))
    for form, make in FLOATS.items():
        np.testing.assert_array_equal(np.asarray(call(make(X))), expected, err_msg=form)
    for bad in NO_TIMES:
        with pytest.raises(RunInputError, match="input"):
            call(bad)


TAKES_LABELS: dict[str, Callable[[Any], Any]] = {
    "SpikeData": lambda y: trained(SpikeData(X, y)),
    "loss": lambda y: float(LOSS(output(), y)),
    "RecordedActivity": lambda y: recorded(labels=y).labels,
}


@pytest.mark.parametrize("name", TAKES_LABELS)
def test_labels_of_any_library_are_converted_or_refused(name: str) -> None:
    call = TAKES_LABELS[name]
    expected = np.asarray(call(Y))
    for form, make in COUNTS.items():
        np.testing.assert_array_equal(np.asarray(call(make(Y))), expected, err_msg=form)
    for bad in NO_LABELS:
        with pytest.raises(RunInputError, match="labels"):
            call(bad)


def test_weights_of_any_library_are_converted_or_refused() -> None:
    expected = output()
    for form, make in FLOATS.items():
        np.testing.assert_array_equal(output([make(W)]), expected, err_msg=form)
        session = get_backend("ideal").open(SPEC)
        np.testing.assert_array_equal(session.run([make(W)], X).output_times, expected)
    np.testing.assert_array_equal(output(matrix for matrix in [W]), expected)
    for bad in (None, W, "W", [], iter(()), [W, W], [W.T], [W > 0], [W.astype(object)],
                [np.full_like(W, np.nan)], {"a": W}):  # fmt: skip
        with pytest.raises(HxloopError, match="weights"):
            output(bad)


def test_samples_of_any_library_are_encoded() -> None:
    samples = np.random.default_rng(0).uniform(size=(4, 3))
    expected = LatencyEncoding().encode(samples)
    for form, make in FLOATS.items():
        got = LatencyEncoding().encode(make(samples))
        np.testing.assert_array_equal(got, expected, err_msg=form)


def test_rows_of_a_frame_are_samples() -> None:
    """Its columns were permuted in their place, silently where there are as many of them."""
    square = np.array([[0.1, 0.2, 0.9], [0.8, 0.1, 0.3], [0.5, 0.6, 0.1]])
    labels = pd.Series([0, 1, 1], index=[2, 0, 1])
    data = SpikeData(pd.DataFrame(square, columns=list("bca"), index=[2, 0, 1]), labels)
    for got, wanted in zip(trained(data), trained(SpikeData(square, [0, 1, 1])), strict=True):
        np.testing.assert_array_equal(got, wanted)


def test_losses_take_numpy_and_give_the_same() -> None:
    times = torch.tensor(output(), requires_grad=True)
    for loss in (LOSS, get_loss("target-time"), get_loss("shift-invariant-target-time")):
        expected = loss(times, torch.tensor(Y))
        for make in ARRAYS.values():
            assert float(loss(make(output()), make(Y))) == expected.item()
        np.testing.assert_array_equal(loss.decide(output().tolist()), loss.decide(times))
