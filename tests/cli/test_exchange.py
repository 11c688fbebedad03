"""Networks to other programs and back, by commands: the same spikes, and a folder that trains."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hxloop.activity import read_activity
from hxloop.network.nir import read_nir, write_nir
from hxloop.runs import Run
from tests.cli.command_line import one_object


@pytest.fixture
def exported(run, finished, tmp_path):
    """The graph of a trained network."""
    file = tmp_path / "a.nir"
    code, out, err = run("export", finished, "--to", "nir", "-o", file)
    assert code == 0 and str(file) in out and "neurons spike once, said by v_reset" in err
    return file


def test_out_and_in_again_gives_the_same_spikes(run, finished, exported, tmp_path):
    folder = tmp_path / "again"
    code, out, _ = run("import", exported, "--out", folder)
    assert code == 0 and f"hxloop evaluate {folder}" in out
    moved = folder.rename(tmp_path / "moved")  # it names no place
    accuracies, recorded = [], []
    for run_dir in (finished, moved):
        log = tmp_path / f"{run_dir.name}.h5"
        code, out, err = run("evaluate", run_dir, "--activity", log, "--json")
        assert code == 0, err
        accuracies.append(one_object(out)["test_accuracy"])
        recorded.append(read_activity(log)["trained"])
    assert accuracies[0] == accuracies[1]
    for one, other in zip(*(state.layer_times for state in recorded), strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(recorded[0].layer_times[0]).any()
    assert Run.open(finished).parameters.digest == Run.open(moved).parameters.digest


def test_it_trains_on_from_there(run, finished, exported, tmp_path):
    folder, on = tmp_path / "again", tmp_path / "on"
    assert run("import", exported, "--out", folder)[0] == 0
    words = ["--set", "training.learning_rate=1e-12", "--epochs", "1", "--no-report", "--out", on]
    code, _, err = run("train", folder / "config.toml", *words)
    assert code == 0, err
    for one, other in zip(Run.open(finished).parameters, Run.open(on).parameters, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9)


def test_a_graph_of_somebody_else_needs_data(run, exported, tmp_path):
    graph = read_nir(exported)
    graph.metadata = {}
    for node in graph.nodes.values():
        node.metadata = {}
    write_nir(tmp_path / "b.nir", graph)
    folder = tmp_path / "theirs"
    code, _, err = run("import", tmp_path / "b.nir", "--out", folder)
    assert code == 2 and "says nothing of data" in err and "--like EXPERIMENT" in err
    assert not folder.exists()
    code, _, err = run(
        "import", tmp_path / "b.nir", "--out", folder, "--like", "yin-yang", "--t-window", "4"
    )
    assert code == 0 and "taken for seconds" in err and "without a refractory time" in err
    assert run("evaluate", folder, "--json")[0] == 0
    # The unit of time may be said; another one makes other neurons.
    words = ["--like", "yin-yang", "--tau-syn-ms", "5", "--json", "--force"]
    assert run("import", tmp_path / "b.nir", "--out", folder, *words)[0] == 0
    assert Run.open(folder).plan.network.layers[0].neuron.tau_syn == pytest.approx(2.0)
    code, _, err = run("import", tmp_path / "b.nir", "--out", folder, "--like", "yin-yang")
    assert code == 2 and "--force" in err


def test_options_that_go_with_other_formats_are_refused(run, finished, exported, tmp_path):
    cases = {
        "known: nir, nwb, npz, nirdata": ["--to", "onnx"],
        "is there already": ["--to", "nir", "-o", exported],
        "are of activity": ["--to", "nir", "--samples", "3"],
        "are of networks": ["--to", "npz", "--dt", "0.1", "-o", tmp_path / "x.npz"],
        "Expected --out FILE": ["--to", "npz"],
        "dt: expected the time step": ["--to", "nir", "--spikes", "steps"],
    }
    for message, words in cases.items():
        code, _, err = run("export", finished, *words)
        assert code == 2 and message in err, err
    code, out, _ = run("export", finished, "--to", "nir", "--unit", "ms", "--force", "--json")
    told = one_object(out)
    assert told["file"] == str(finished / "network.nir") and told["format"] == "nir"
    about = json.loads(read_nir(finished / "network.nir").metadata["hxloop"])
    assert about["unit"] == "ms"
    (finished / "network.nir").unlink()
