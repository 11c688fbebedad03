"""Borders: what is converted, and what is refused by name."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hxloop import checks
from hxloop.errors import ConfigError, NetworkError, RunInputError


class Small(IntEnum):
    THREE = 3


NUMPY_INTEGERS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
WHOLE = [
    3, *(kind(3) for kind in NUMPY_INTEGERS), np.array(3), torch.tensor(3), Small.THREE,
    torch.tensor(3, dtype=torch.uint8), np.array(3, ">u2"), np.ma.array(3),
]  # fmt: skip
REAL = [
    *WHOLE, 3.0, np.float16(3), np.float32(3), np.float64(3), np.longdouble(3), np.array(3.0),
    torch.tensor(3.0), torch.tensor(3.0, requires_grad=True), Decimal(3), Fraction(3),
    torch.tensor(3.0, dtype=torch.bfloat16), np.array(3.0, ">f4"),
]  # fmt: skip
NEITHER = [
    None, True, False, np.True_, torch.tensor(True), "3", b"3", [3], np.array([3]), {}, 3j,
    torch.tensor([3]), pd.Series([3]), math.nan, np.nan, np.timedelta64(3, "s"), pd.NA,
    np.datetime64("2020-01-01"), (x for x in [3]), object(), int, torch.tensor(3j),
    np.ma.array(3, mask=True), torch.empty((), device="meta"), pd.Timedelta(3), Path("3"),
]  # fmt: skip


@pytest.mark.parametrize("value", WHOLE, ids=repr)
def test_whole_numbers_of_every_library_become_a_plain_one(value: Any) -> None:
    result = checks.whole("x", value, low=1, high=5)
    assert result == 3 and type(result) is int


@pytest.mark.parametrize("value", REAL, ids=repr)
def test_real_numbers_of_every_library_become_a_plain_one(value: Any) -> None:
    result = checks.number("x", value, low=1, high=5)
    assert result == 3.0 and type(result) is float


@pytest.mark.parametrize("value", [*NEITHER, 3.0, np.float64(3), math.inf, torch.tensor(3.0)])
def test_what_is_no_whole_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(
        NetworkError, match=r"^n_neurons: expected a whole number of at least 1; got"
    ):
        checks.whole("n_neurons", value, low=1, error=NetworkError)


@pytest.mark.parametrize("value", [*NEITHER, math.inf, -math.inf, 10**400])
def test_what_is_no_number_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^rate: expected a finite number; got"):
        checks.number("rate", value)


@pytest.mark.parametrize(
    "bounds", [{"low": 3.5}, {"high": 2}, {"above": 3}, {"below": 3}, {"low": 0, "high": 2}]
)
def test_numbers_out_of_range_are_refused(bounds: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="x: expected"):
        checks.number("x", np.float32(3), **bounds)


def test_infinity_passes_only_where_asked_for() -> None:
    assert checks.number("x", np.float32("inf"), finite=False) == math.inf
    with pytest.raises(ConfigError, match="got nan"):
        checks.number("x", math.nan, finite=False)


@pytest.mark.parametrize("value", [True, np.True_, np.array(True), torch.tensor(True)])
def test_flags(value: Any) -> None:
    assert checks.flag("x", value) is True


@pytest.mark.parametrize("value", ["no", "true", 1, 0, None, 1.0, [True], np.array([True])])
def test_what_is_no_flag_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^clip_weights: expected true or false; got"):
        checks.flag("clip_weights", value)


@pytest.mark.parametrize("value", [None, 1, [], ["a"], "d", np.array("a")])
def test_choices(value: Any) -> None:
    assert checks.choice("x", np.str_("a"), ("a", "b")) == "a"
    with pytest.raises(ConfigError, match=r"^x: expected one of 'a', 'b'; got"):
        checks.choice("x", value, ("a", "b"))


def test_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home-of-somebody")
    for value in ("a/b", Path("a/b"), np.str_("a/b")):
        assert checks.path("out", value) == Path("a/b")
    assert checks.path("out", "~/a") == Path("/home-of-somebody/a")
    for bad in (None, 1, b"a", "", "a\0b", ["a"]):
        with pytest.raises(ConfigError, match=r"^out: expected a path; got"):
            checks.path("out", bad)


def test_a_home_that_is_not_known_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", nobody)
    with pytest.raises(ConfigError, match=r"^out: .*'~/x'.*Set HOME"):
        checks.path("out", "~/x")


# --- arrays -------------------------------------------------------------------------------

EXPECTED = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, np.inf]])


def memory_mapped(folder: Path) -> np.ndarray:
    np.save(folder / "a.npy", EXPECTED)
    return np.load(folder / "a.npy", mmap_mode="r")


def array_forms(folder: Path) -> dict[str, Any]:
    wide = np.zeros((2, 6))
    wide[:, ::2] = EXPECTED
    still = EXPECTED.copy()
    still.flags.writeable = False
    return {
        "list": EXPECTED.tolist(),
        "tuple of arrays": tuple(EXPECTED),
        "reversed": EXPECTED[::-1].copy()[::-1],
        "columns reversed": EXPECTED[:, ::-1].copy()[:, ::-1],
        "strided": wide[:, ::2],
        "Fortran": np.asfortranarray(EXPECTED),
        "big-endian": EXPECTED.astype(">f8"),
        "float32": EXPECTED.astype(np.float32),
        "float16": EXPECTED.astype(np.float16),
        "longdouble": EXPECTED.astype(np.longdouble),
        "read-only": still,
        "memory-mapped": memory_mapped(folder),
        "tensor": torch.tensor(EXPECTED),
        "tensor, gradient": torch.tensor(EXPECTED, requires_grad=True),
        "tensor, negated": torch.tensor(-EXPECTED).neg(),
        "bfloat16": torch.tensor(EXPECTED, dtype=torch.bfloat16),
        "list of tensors": list(torch.tensor(EXPECTED, requires_grad=True)),
        "list of lists of tensors": [list(row) for row in torch.tensor(EXPECTED)],
        "frame": pd.DataFrame(EXPECTED, columns=list("cab"), index=[7, 3]),
        "nullable frame": pd.DataFrame(EXPECTED).astype("Float64"),
        "list of columns": [pd.Series(row) for row in EXPECTED],
        "matrix": np.ma.array(EXPECTED).view(np.ndarray),
        "masked, nothing masked": np.ma.array(EXPECTED),
    }


def test_arrays_of_every_library_become_the_same_one(tmp_path: Path) -> None:
    for name, value in array_forms(tmp_path).items():
        result = checks.spike_times("x", value, shape=("n", 3))
        np.testing.assert_array_equal(result, EXPECTED, err_msg=name)
        assert result.dtype == np.float64 and result.dtype.isnative, name
        torch.as_tensor(result.copy())
        assert min(result.strides) >= 0, name


@pytest.mark.parametrize("dtype", [*NUMPY_INTEGERS, ">u2", ">i8", "<u2"])
def test_whole_numbers_of_every_width_are_times_and_labels(dtype: Any) -> None:
    values = np.array([3, 1, 2], dtype)
    for form in (
        values,
        values[::-1].copy()[::-1],
        pd.Series(values.astype(values.dtype.newbyteorder("="))),
    ):
        np.testing.assert_array_equal(checks.labels("y", form, n=3, high=3), [3, 1, 2])
        np.testing.assert_array_equal(checks.real_array("y", form), [3.0, 1.0, 2.0])
        assert checks.labels("y", form).dtype == np.int64


def test_single_precision_is_kept_only_where_asked_for() -> None:
    times = EXPECTED.astype(np.float32)
    assert checks.spike_times("x", times, keep_single=True).dtype == np.float32
    assert checks.spike_times("x", times).dtype == np.float64
    swapped = checks.spike_times("x", times.astype(">f4"), keep_single=True)
    assert swapped.dtype == np.float32 and swapped.dtype.isnative


@pytest.mark.parametrize(
    "value",
    [
        None, "abc", b"abc", {}, object(), [[1], [1, 2]], [["a"]], np.array([[1, None]], object),
        np.array([[True]]), np.array([[1j]]), np.array([["2020-01-01"]], "M8[D]"),
        (row for row in [[1.0]]), pd.DataFrame({"a": [1], "b": ["x"]}),
        pd.DataFrame({"a": ["1", None]}, dtype="string"), np.ma.array([[1.0]], mask=[[True]]),
        torch.empty((1, 1), device="meta"), torch.tensor([[True]]), torch.tensor([[1j]]), 3, {1.0},
        [np.ma.array([1.0], mask=[True])], [10**400],
    ],
    ids=lambda value: str(type(value)),
)  # fmt: skip
def test_what_is_no_array_of_numbers_is_refused_by_name(value: Any) -> None:
    with pytest.raises(RunInputError, match=r"^X(\[0\])?: expected"):
        checks.real_array("X", value, shape=("n", "features"))


@pytest.mark.parametrize("wrong", [np.nan, -1.0, -np.inf, -1e-300])
def test_what_is_no_time_is_refused_with_its_place(wrong: float) -> None:
    times = np.zeros((3, 2))
    times[2, 1] = wrong
    with pytest.raises(RunInputError, match=r"^input_times: .* at sample 2, channel 1"):
        checks.spike_times("input_times", times)


@given(hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2)))
def test_times_pass_if_and_only_if_all_are_0_or_later(times: np.ndarray) -> None:
    if (times >= 0).all():
        np.testing.assert_array_equal(checks.spike_times("t", times), times)
    else:
        with pytest.raises(RunInputError, match=r"^t: "):
            checks.spike_times("t", times)


@pytest.mark.parametrize("value", [[0, 3], [-1, 0], [0], [[0, 1]], [0.0, 1.0], [True, False], "01"])
def test_what_are_no_labels_is_refused(value: Any) -> None:
    with pytest.raises(RunInputError, match=r"^labels: expected"):
        checks.labels("labels", value, n=2, high=2)


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (np.array([0.0, 1.0, 2.0]), "though all of them whole.*astype(int)"),
        (torch.tensor([0.0, 1.0]), "though all of them whole.*.long()"),
        (np.array(1.0), "though all of them whole"),
        ([0.0, 0.5], "0.5 at sample 1, which is no class"),
        ([0.0, np.nan], "nan at sample 1, which is no class"),
        (np.array([]), "none, as float64"),
        ([True, False], "true and false. Convert them first: .astype(int)"),
        (["a", "b"], "text, 'a' among it.*numpy.unique"),
        (pd.Series(["a", "b"]), "text, 'a' among it.*numpy.unique"),
        (pd.Categorical(["a", "b"]), "text, 'a' among it.*numpy.unique"),
        (np.eye(3), "One column for each class: .argmax(1)"),
        (np.eye(3, dtype=int), "One column for each class: .argmax(1)"),
        (np.eye(3) == 1, "One column for each class: .argmax(1)"),
        ([[0], [1]], "A column: .ravel()"),
        ([[0.0], [1.0]], "A column: .ravel()"),
    ],
)
def test_what_are_nearly_labels_is_told_what_makes_labels_of_it(value: Any, advice: str) -> None:
    pattern = ".*".join(map(re.escape, advice.split(".*")))
    with pytest.raises(
        RunInputError, match=rf"^labels: expected .*class number.*{pattern}"
    ) as told:
        checks.labels("labels", value)
    assert "no numbers" not in str(told.value)


class Sparse:
    """What scipy's sparse matrices show of themselves."""

    shape = (150, 4)

    def toarray(self) -> np.ndarray:
        return np.zeros(self.shape)


def test_rows_of_different_lengths_are_named_in_our_words() -> None:
    with pytest.raises(RunInputError, match=r"row 0 is of length 2, row 1 is of length 1$") as told:
        checks.real_array("x", [[1, 2], [3]])
    assert "inhomogeneous" not in str(told.value)
    with pytest.raises(RunInputError, match=r"row 0 is of length 2, row 2 is a single value$"):
        checks.real_array("x", [[1, 2], [3, 4], 5])
    with pytest.raises(RunInputError, match=r"a sparse matrix of shape \(150, 4\).*toarray"):
        checks.real_array("x", Sparse())


def test_whole_floats_are_labels_only_of_files() -> None:
    np.testing.assert_array_equal(checks.labels("y", [0.0, 2.0], whole_floats=True), [0, 2])
    for wrong in ([0.5], [np.nan], [np.inf]):
        with pytest.raises(RunInputError, match="whole numbers"):
            checks.labels("y", wrong, whole_floats=True)


def test_weights_from_a_generator_are_not_an_empty_network() -> None:
    shapes = ((2, 3), (3, 1))
    given = [np.ones(shape) for shape in shapes]
    found = checks.matrices("weights", (matrix for matrix in given), shapes)
    assert [matrix.shape for matrix in found] == list(shapes)
    for wrong in (iter([]), given[:1], np.ones((2, 3)), torch.ones(2, 3), None, "ab", {}, 3):
        with pytest.raises(RunInputError, match=r"^weights: expected a sequence of 2 matrices"):
            checks.matrices("weights", wrong, shapes)
    with pytest.raises(RunInputError, match=r"weights\[0\].*transposed\?"):
        checks.matrices("weights", [given[0].T, given[1]], shapes)
    given[1][2, 0] = np.nan
    with pytest.raises(RunInputError, match=r"weights\[1\]: .* got nan from neuron 2 to neuron 0"):
        checks.matrices("weights", given, shapes)
    for beyond in (1.01e30, -1e300):  # in single precision, or in a sum, no number any more
        given[1][2, 0] = beyond
        with pytest.raises(RunInputError, match=r"weights\[1\]: expected weights from -1e\+30 to"):
            checks.matrices("weights", given, shapes)
    given[1][2, 0] = 1e30
    assert checks.matrices("weights", given, shapes)[1][2, 0] == 1e30


def test_frozen_arrays_are_nobodys_to_change(tmp_path: Path) -> None:
    mine = np.zeros(3)
    kept = checks.frozen(mine)
    mine[0] = 1
    assert kept[0] == 0 and not kept.flags.writeable
    view = checks.read_only(mine)  # read-only itself, its root is not
    again = checks.frozen(view)
    mine[1] = 1
    assert again[1] == 0
    mapped = memory_mapped(tmp_path)
    assert np.shares_memory(checks.frozen(mapped), mapped)
    still = np.zeros(3)
    still.flags.writeable = False
    assert np.shares_memory(checks.frozen(still), still)


@given(st.integers(), st.integers(0, 100))
def test_bounds_of_whole_numbers_hold_at_their_edges(value: int, width: int) -> None:
    assert checks.whole("x", value, low=value, high=value + width) == value
    for low, high in ((value + 1, None), (None, value - 1)):
        with pytest.raises(ConfigError):
            checks.whole("x", value, low=low, high=high)
