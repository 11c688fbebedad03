"""Recording a session and replaying it."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from hxloop import (
    LatencyEncoding,
    LoopNetwork,
    NetworkSpec,
    NeuronSpec,
    Trainer,
    TrainingOptions,
    get_backend,
    get_loss,
    initial_weights,
    record,
    yin_yang,
)
from hxloop.errors import (
    CapacityError,
    ConfigError,
    RunFailed,
    RunInputError,
    SessionClosedError,
)
from hxloop.files import digest_of
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.run import evaluate_run
from hxloop.runs.run import train as train_experiment
from hxloop.substrate.recording.file import SessionFile
from hxloop.training.options import SpikeData
from tests.backends.recordings import CHIP, INPUTS, NETWORK, WEIGHTS, chip, replay, same

# --- the answers ----------------------------------------------------------------------------


def test_recording_changes_nothing(recorded: tuple[Path, list[Any]]) -> None:
    with chip() as session:
        assert same(session.run(WEIGHTS, INPUTS), recorded[1][0])


def test_a_replay_answers_as_the_substrate_did(recorded: tuple[Path, list[Any]]) -> None:
    path, runs = recorded
    assert not same(runs[0], runs[2])  # trial noise
    with replay(path) as session:
        # In another order than they were made; the ones asked several times come in turn.
        assert same(session.run(WEIGHTS, INPUTS[::-1]), runs[3])
        assert same(session.run([-w for w in WEIGHTS], INPUTS), runs[1])
        answers = [session.run(WEIGHTS, INPUTS) for _ in range(4)]
        assert same(session.run(WEIGHTS, INPUTS, trial=7), runs[4])
        assert same(session.run(WEIGHTS, INPUTS, trial=7), runs[4])
    for answer, run in zip(answers, [runs[0], runs[2], runs[4], runs[0]], strict=True):
        assert same(answer, run)
        assert answer.info == replace(run.info, backend="replay")


def test_what_was_delivered_and_held_has_the_same_answer(recorded: tuple[Path, list[Any]]) -> None:
    path, runs = recorded
    with replay(path) as session:
        assert same(session.run(runs[3].weights_used, runs[3].input_times), runs[3])


def test_the_capabilities_are_those_that_were_recorded(recorded: tuple[Path, list[Any]]) -> None:
    backend = get_backend("replay", path=str(recorded[0]))
    # What can only be done live is left out.
    expected = replace(
        get_backend("emulated-chip", **CHIP).capabilities,
        records=frozenset(),
        knobs=frozenset(),
        observables=frozenset(),
        features=frozenset(),  # of the runs that are there, which had none
    )
    assert backend.capabilities == expected
    assert pickle.loads(pickle.dumps(backend)) == backend


def test_weights_of_the_other_zero_are_the_same(tmp_path: Path) -> None:
    with record(chip(), tmp_path / "chip.h5") as session:
        run = session.run([0 * w for w in WEIGHTS], INPUTS)
    with replay(tmp_path / "chip.h5") as session:
        assert same(session.run([-0.0 * w for w in WEIGHTS], INPUTS), run)


def train(session: Any, steps: int = 0) -> tuple[list[dict[str, Any]], Any]:
    encoding = LatencyEncoding()
    data = yin_yang(120, seed=1)
    samples = SpikeData(encoding.encode(data.samples), data.labels)
    weights = initial_weights(NETWORK, [1.5, 0.5], [0.8, 0.8], seed=0)
    options = TrainingOptions(epochs=3, batch_size=40, learning_rate=0.02, input_noise=0.05)
    loop = LoopNetwork(session, weights)
    trainer = Trainer(loop, get_loss("time-to-first-spike"), samples, samples, options)
    # The notes name the backend.
    apart = ("seconds", "notes")
    metrics = [{k: v for k, v in m.items() if k not in apart} for m in trainer.fit().metrics]
    return metrics, loop.weight_arrays()


def test_a_training_is_gone_through_again_without_the_chip(tmp_path: Path) -> None:
    with record(chip(), tmp_path / "chip.h5") as session:
        metrics, weights = train(session)
    with replay(tmp_path / "chip.h5") as session:
        again, weights_again = train(session)
    assert again == metrics
    for a, b in zip(weights, weights_again, strict=True):
        np.testing.assert_array_equal(a, b)
    with SessionFile(tmp_path / "chip.h5") as file:
        # 3 epochs of 3 batches, and 3 evaluations in 3 batches.
        assert len(file.runs) == 18


def test_an_experiment_is_recorded_and_replayed_by_its_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not what this is about, and slow.
    monkeypatch.setattr("hxloop.runs.report.training_report.training_report", lambda *_: None)
    monkeypatch.setattr("hxloop.runs.report.training_report.write_report", lambda *_: None)

    def experiment(backend: dict[str, Any]) -> ExperimentConfig:
        values = {
            "seed": 4,
            "dataset": {"train_size": 60, "validation_size": 30, "test_size": 30},
            "network": {"hidden": [20], "t_window": 4.0},
            "training": {"epochs": 2, "batch_size": 30},
            "activity": {"epochs": []},
            "backend": backend,
        }
        return ExperimentConfig.from_mapping(values, "test")

    path = str(tmp_path / "chip.h5")
    live = experiment({"name": "emulated-chip", "options": CHIP, "record": path})
    first = train_experiment(live, tmp_path / "live")
    size = Path(path).stat().st_size
    # Evaluated again, on the chip: what was recorded stays as it was.
    evaluate_run(tmp_path / "live")
    assert Path(path).stat().st_size == size
    again = experiment({"name": "replay", "options": {"path": path}})
    second = train_experiment(again)
    assert (second.test.loss, second.test.accuracy) == (first.test.loss, first.test.accuracy)
    for a, b in zip(weights_of(first), weights_of(second), strict=True):
        np.testing.assert_array_equal(a, b)


def weights_of(result: Any) -> tuple[np.ndarray, ...]:
    return tuple(result.training.weights)


def test_equal_arrays_are_stored_once(recorded: tuple[Path, list[Any]]) -> None:
    path, runs = recorded
    arrays = [array for run in runs for array in (*run.first_spike_times, *run.weights_used)]
    arrays += [run.input_times for run in runs] + [INPUTS, INPUTS[::-1], *WEIGHTS]
    arrays += [-w for w in WEIGHTS]
    with h5py.File(path) as file:
        assert set(file["arrays"]) == {digest_of(array) for array in arrays}


# --- runs that are not there ----------------------------------------------------------------


def test_an_unknown_run_says_what_is_nearest(recorded: tuple[Path, list[Any]]) -> None:
    other = [WEIGHTS[0], WEIGHTS[1].copy()]
    other[1][3, 2] += 0.25
    with replay(recorded[0]) as session:
        with pytest.raises(RunFailed, match=r"Run 0 has these inputs.* differ by up to 0\.25"):
            session.run(other, INPUTS)
        with pytest.raises(RunFailed, match="Run 0 has these weights, and other inputs"):
            session.run(WEIGHTS, INPUTS[:3])
        with pytest.raises(RunFailed, match=r"7 samples .* 5 runs, none .* and none") as caught:
            session.run([2 * w for w in WEIGHTS], INPUTS + 0.1)
    assert not caught.value.retryable


def test_a_tolerance_takes_the_nearest(recorded: tuple[Path, list[Any]]) -> None:
    path, runs = recorded
    other = [-w + 1e-10 for w in WEIGHTS]
    with replay(path) as session, pytest.raises(RunFailed, match="tolerance"):
        session.run(other, INPUTS)
    with replay(path, tolerance=1e-9) as session:
        assert same(session.run(other, INPUTS), runs[1])


def test_input_is_checked_as_everywhere(recorded: tuple[Path, list[Any]]) -> None:
    with replay(recorded[0]) as session:
        with pytest.raises(RunInputError, match="NaN"):
            session.run(WEIGHTS, INPUTS * np.nan)
        with pytest.raises(RunInputError, match="membrane"):
            session.run(WEIGHTS, INPUTS, record=["membrane"])
    with pytest.raises(SessionClosedError):
        session.run(WEIGHTS, INPUTS)
    session.close()


@pytest.mark.parametrize(
    "other",
    [
        NetworkSpec.feed_forward(5, 21, 3, t_window=4.0),
        NetworkSpec.feed_forward(5, 20, 3, t_window=5.0),
        NetworkSpec.feed_forward(5, 20, 3, neuron=NeuronSpec(tau_mem=2.0), t_window=4.0),
    ],
)
def test_a_recording_of_another_network(
    recorded: tuple[Path, list[Any]], other: NetworkSpec
) -> None:
    with pytest.raises(CapacityError, match="holds the network 5-20-3"):
        get_backend("replay", path=str(recorded[0])).open(other)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": ""}, "path"),
        ({"path": 3}, "path"),
        ({"path": "a.h5", "tolerance": -1.0}, "tolerance"),
        ({"path": "a.h5", "tolerance": float("nan")}, "tolerance"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        get_backend("replay", **options)


def test_a_recording_is_not_calibrated(recorded: tuple[Path, list[Any]]) -> None:
    with pytest.raises(CapacityError, match="calibrated any more"):
        get_backend("replay", path=str(recorded[0])).open(NETWORK, calibration=object())
