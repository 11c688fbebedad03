"""What a benchmark compares is the same work, and what is not installed is left out by name."""

from __future__ import annotations

import numpy as np

from hxloop.bench import rivals, trains
from hxloop.errors import MissingDependencyError


def test_an_epoch_of_all_spikes_is_measured_and_others_are_left_out_by_name(monkeypatch):
    def not_there(task: rivals.Task) -> rivals.Program:
        raise MissingDependencyError("other is not installed")

    def slower(task: rivals.Task) -> rivals.Program:
        ours = trains.ours(task)

        def epoch() -> None:
            for _ in range(8):
                ours.epoch()

        return rivals.Program(version="2", differs="in nothing", epoch=epoch, spikes=ours.spikes)

    monkeypatch.setattr(trains, "RIVALS", {"other": not_there, "slower": slower})
    found = trains.bench_trains(repetitions=1, samples=100)
    programs = found["programs"]
    assert programs["other"] == {"left_out": "other is not installed"}
    assert programs["slower"]["spikes_per_neuron"] == programs["hxloop"]["spikes_per_neuron"]
    assert all(1 < n < 5 for n in programs["hxloop"]["spikes_per_neuron"])
    assert found["times_faster_processor"] > 1


def test_the_task_has_room_for_the_busiest_sample():
    task = trains.task_of(100)
    hidden, output = trains.ours(task).spikes()
    assert task.most_spikes[0] > hidden and task.most_spikes[1] > output
    assert task.most_events[0] > 120 * hidden and task.most_events[1] > 120 * hidden + 3 * output
    assert np.isfinite(task.inputs).all()
