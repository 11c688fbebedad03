"""Grids: how they are written, what they make of a configuration, what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop.errors import ConfigError
from hxloop.experiments.registry import load_experiment
from hxloop.sweep import Grid

CONFIG = load_experiment("yin-yang")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("seed=1..4", (1, 2, 3, 4)),
        ("seed=-1..1", (-1, 0, 1)),
        ("seed = 7", (7,)),
        ("rate=0.1,1e-3,.5", (0.1, 1e-3, 0.5)),
        ("name=a,b", ("a", "b")),
        ("flag=true,false", (True, False)),
        ("hidden=[[30], [120, 30]]", ([30], [120, 30])),
        ('name=["a,b", "c"]', ("a,b", "c")),
    ],
)
def test_forms(text, values):
    (found,) = Grid.parse([text]).axes.values()
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["seed"], "expected KEY=VALUES"),
        (["=1,2"], "expected KEY=VALUES"),
        (["seed="], "at least one value"),
        (["seed=[]"], "at least one value"),
        (["seed=3..1"], "smaller number first"),
        (["seed=1,2,1"], "every value once; 1 is there twice"),
        (["seed=1", "seed=2"], "got it twice"),
        (["seed=1..1000000000"], "too many"),
        (["seed=1..1000", "training.epochs=1..1000"], "1000000 combinations"),
        (["seed=[1, 2"], "not a list"),
    ],
)
def test_what_is_no_grid(texts, said):
    with pytest.raises(ConfigError, match=said):
        Grid.parse(texts)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"seed": 3}, "expected a list of values"),
        ({"seed": "123"}, "expected a list of values"),
        ({"seed": [None]}, "expected numbers, texts or lists"),
        ({"seed": [1, np.int64(1)]}, "every value once"),
    ],
)
def test_what_is_no_grid_in_python(axes, said):
    with pytest.raises(ConfigError, match=said):
        Grid.of(axes)


def test_values_of_numpy_and_of_ranges_are_those_of_a_configuration():
    grid = Grid.of({"seed": range(1, 3), "training.learning_rate": np.array([0.1, 0.2])})
    assert grid.axes == {"seed": (1, 2), "training.learning_rate": (0.1, 0.2)}
    assert all(type(rate) is float for rate in grid.axes["training.learning_rate"])


def test_points_are_configurations():
    grid = Grid.parse(["network.hidden=[[3], [4]]", "seed=1..2", "loss.options.xi=0.1"])
    points = grid.points()
    assert len({point.name for point in points}) == len(grid) == 4
    last = points[3].config(CONFIG)
    assert (last.network.hidden, last.seed, last.loss.options["xi"]) == ((4,), 2, 0.1)
    assert last.dataset == CONFIG.dataset


def test_a_name_says_what_it_is():
    grid = Grid.parse(["backend.options.chip=1..2", "training.silent.bump=0.1", "seed=3"])
    assert grid.points()[1].name == "chip=2,bump=0.1,seed=3"
    assert Grid.parse(["a.name=x", "b.name=y"]).points()[0].name == "a.name=x,b.name=y"


@settings(max_examples=50)
@given(
    st.lists(
        st.one_of(
            st.integers(-5, 5), st.booleans(), st.text(max_size=200), st.floats(allow_nan=False)
        ),
        min_size=1,
        max_size=6,
    )
)
def test_every_point_has_a_folder_of_its_own(values):
    try:
        points = Grid.of({"network.readout": values}).points()
    except ConfigError as error:
        assert "twice" in str(error)
        return
    names = [point.name for point in points]
    assert len(set(names)) == len(names)
    assert all(0 < len(n) <= 100 and "/" not in n and not n.startswith(".") for n in names)


def test_another_backend_begins_with_options_of_its_own():
    config = load_experiment("yin-yang-in-the-loop")
    ideal = Grid.parse(["backend.name=ideal"]).points()[0]
    with pytest.warns(match="left out"):
        assert ideal.config(config).backend.options == {}


def test_unknown_settings_are_refused_with_the_point():
    with pytest.raises(ConfigError, match=r"at epochz=3.*\n.*epochz"):
        Grid.parse(["training.epochz=3"]).points()[0].config(CONFIG)
    with pytest.raises(ConfigError, match="at seed=-3"):
        Grid.parse(["seed=-3"]).points()[0].config(CONFIG)
