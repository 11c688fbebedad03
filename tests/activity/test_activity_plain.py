"""Anyone's spikes as plain arrays: read, written, and refused where they make no sense."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hxloop.activity import first_output, read_activity, read_plain, write_plain
from hxloop.errors import FileFormatError, OutputError, UnknownNameError

SEED_PAPER = Path(os.environ.get("HXLOOP_DATA_DIR", "")) / "seed_paper/fourlayer_dale_seed1.npz"


def arrays(n=6, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "input": rng.uniform(0, 2, (n, 4)),
        "hidden": rng.uniform(0, 2, (2, n, 5)),
        "output": rng.uniform(0, 2, (n, 3)),
        "label": rng.integers(0, 3, n),
    }


def saved(path, content):
    np.savez(path, **content)
    return path


@pytest.mark.skipif(not SEED_PAPER.is_file(), reason="needs the seed paper's file")
def test_the_published_spike_times_are_read():
    states = read_activity(SEED_PAPER)
    with np.load(SEED_PAPER) as file:
        for name in ("untrained", "trained"):
            state = states[name]
            assert state.sizes == (784, 400, 400, 400, 400, 10)
            assert np.array_equal(state.layer_times[2], file[f"hidden_{name}"][2])
            assert np.array_equal(state.output_times, file[f"output_{name}"])
            assert np.array_equal(state.input_times, file["input"])
    assert list(states) == ["untrained", "trained"]
    assert states["untrained"].accuracy < 0.2 and states["trained"].accuracy > 0.98


def test_one_state_without_a_name(tmp_path):
    content = arrays()
    state = read_activity(saved(tmp_path / "a.npz", content))["recorded"]
    assert np.array_equal(state.layer_times[1], content["hidden"][1])
    assert np.array_equal(state.decisions, content["output"].argmin(axis=1))
    assert (state.weights, state.network, state.epoch) == (None, None, None)
    part = read_activity(tmp_path / "a.npz", samples=slice(1, 3))["recorded"]
    assert np.array_equal(part.labels, content["label"][1:3])


def test_layers_of_different_sizes_states_and_weights_there_and_back(tmp_path):
    content = arrays() | {
        "hidden_0": np.full((6, 7), 0.5, np.float32), "hidden_1": np.full((6, 2), np.inf),
        "weights_0": np.ones((4, 7)), "weights_1": np.ones((7, 2)), "weights_2": -np.ones((2, 3)),
        "output_epoch-012": np.full((6, 3), np.inf), "output_trained": arrays(seed=1)["output"],
        "label": np.zeros(6), "input": np.ones((6, 4), int),
    }  # fmt: skip
    del content["hidden"], content["output"]
    states = read_plain(saved(tmp_path / "a.npz", content))
    assert list(states) == ["epoch-012", "trained"]
    assert states["epoch-012"].epoch == 12 and (states["epoch-012"].decisions == -1).all()
    assert states["trained"].sizes == (4, 7, 2, 3)
    assert states["trained"].layer_times[0].dtype == np.float32
    write_plain(tmp_path / "b.npz", states.values())
    again = read_plain(tmp_path / "b.npz")
    assert list(again) == list(states)
    for name, state in states.items():
        for field in ("input_times", "labels", "decisions"):
            assert np.array_equal(getattr(again[name], field), getattr(state, field))
        for field in ("layer_times", "weights"):
            pairs = zip(getattr(again[name], field), getattr(state, field), strict=True)
            assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in pairs)
    with pytest.raises(OutputError, match="cannot write"):
        write_plain(tmp_path / "missing" / "b.npz", states.values())


def test_first_output_of_ties_and_silence():
    times = np.array([[2.0, 1.0, 1.0], [np.inf, np.inf, 3.0], [np.inf] * 3])
    assert first_output(times).tolist() == [1, 2, -1]


def without(*names):
    return {name: array for name, array in arrays().items() if name not in names}


def with_value(name, place, value):
    content = arrays()
    content[name] = content[name].astype(float)
    content[name][place] = value
    return content


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (without("output"), "no array 'output'; there are: input, hidden, label"),
        (without("label"), "no array 'label'; there are"),
        (without("input"), "no array 'input'"),
        ({"output_trained": np.ones((6, 3))}, "no array 'input' of the state 'trained'"),
        ({}, "no array 'output'; there are: none"),
        (arrays() | {"output_x": np.ones((6, 3))}, "beside those of named states"),
        (arrays() | {"hidden": np.ones((6, 5))}, r"\(layers, samples, neurons\); got the shape"),
        (arrays() | {"hidden_0": np.ones((6, 5))}, "both 'hidden' and 'hidden_0'"),
        (arrays() | {"hidden": np.ones((2, 5, 5))}, r"floating-point times \(6, neurons\)"),
        (arrays() | {"output": np.ones(6)}, "'output': expected"),
        (arrays() | {"output": np.full((6, 3), "a")}, "'output': expected numbers"),
        (arrays() | {"output": np.ones((6, 3), complex)}, "'output': expected numbers"),
        (arrays(0), "at least one sample"),
        (with_value("input", (2, 3), np.nan), "input: the time of sample 2, neuron 3 is nan"),
        (with_value("output", (2, 1), -0.5), "output: the time of sample 2, neuron 1 is -0.5"),
        (with_value("hidden", (1, 2, 3), -np.inf), "layer 2: the time of sample 2, neuron 3"),
        (with_value("label", 4, 3), "labels: number 4 is 3; expected 0 to 2"),
        (with_value("label", 4, -1), "labels: number 4 is -1"),
        (with_value("label", 4, 1.5), "'label': expected whole numbers"),
        (with_value("label", 4, np.nan), "'label': expected whole numbers"),
        (arrays() | {"weights_0": np.ones((4, 5))}, "expected weights of shapes"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(tmp_path, content, told):
    path = saved(tmp_path / "a.npz", content)
    with pytest.raises(FileFormatError, match=told) as caught:
        read_activity(path)
    assert str(caught.value).startswith(str(path))


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("hostile-was-here"),))


def test_pickled_objects_are_never_loaded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hostile = np.empty(6, object)
    hostile[:] = [Hostile()] * 6
    with pytest.raises(FileFormatError, match="allow_pickle"):
        read_activity(saved(tmp_path / "a.npz", arrays() | {"label": hostile}))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
        file.writestr("output.npy", pickle.dumps(Hostile()))
    with pytest.raises(FileFormatError, match=r"b\.npz"):
        read_activity(tmp_path / "b.npz")
    assert not (tmp_path / "hostile-was-here").exists()


def test_files_cut_anywhere_are_refused(tmp_path):
    path = saved(tmp_path / "a.npz", arrays())
    content = path.read_bytes()
    for size in range(0, len(content), len(content) // 40):
        path.write_bytes(content[:size])
        with pytest.raises(FileFormatError, match=r"a\.npz"):
            read_activity(path)


def test_other_files_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(3))
    (tmp_path / "text").write_text("input, output")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as file:
        file.writestr("a.txt", "a")
    for name in ("a.npy", "text", "missing"):
        with pytest.raises(FileFormatError, match="expected an activity log"):
            read_activity(tmp_path / name)
    with pytest.raises(FileFormatError, match=r"activity\.h5: expected an activity log"):
        read_activity(tmp_path)  # a folder without one
    for read in (read_plain, read_activity):
        with pytest.raises(FileFormatError, match=r"'a\.txt' is no array"):
            read(tmp_path / "z.zip")
    with pytest.raises(FileFormatError, match="a single array"):
        read_plain(tmp_path / "a.npy")
    with pytest.raises(UnknownNameError, match="no state 'x'; there are: recorded"):
        read_activity(saved(tmp_path / "b.npz", arrays()), ["x"])
