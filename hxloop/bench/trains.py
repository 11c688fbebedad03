"""How fast networks are trained whose neurons spike again and again, and how fast others do it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from hxloop.activity import Spikes
from hxloop.bench.measuring import interleaved_times, machine
from hxloop.bench.rivals import RATE, RIVALS, Program, Task
from hxloop.data.datasets import yin_yang
from hxloop.data.encoding import LatencyEncoding
from hxloop.engine.spike_trains import spike_trains
from hxloop.errors import MissingDependencyError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters
from hxloop.substrate import get_backend
from hxloop.training.loop import LoopNetwork
from hxloop.training.losses import get_loss
from hxloop.version import __version__

BATCH = 100
# What the others can do as well: no refractory time, and a ratio with spike times in closed form.
NETWORK = NetworkSpec.feed_forward(
    5, 120, 3, neuron=NeuronSpec(tau_mem=2.0, t_refractory=0.0), t_window=4.0
)
MEANS, STDEVS = (0.7, 0.02), (0.5, 0.06)


def bench_trains(
    say: Callable[[str], None] = lambda text: None, *, repetitions: int = 3, samples: int = 5000
) -> dict[str, Any]:
    """Measure an epoch of Yin-Yang, 5-120-3, all spikes, in hxloop and in what else is installed.

    An epoch is, for all batches of 100: forward, loss, backward, Adam; without validation, metrics
    and what is compiled before. All have the same weights, inputs and equations, and learn so
    slowly that their spikes stay the same.

    Args:
        say: told in words what is measured next.
        repetitions: epochs of each, in turns, of which the median counts.
        samples: of an epoch.

    Returns:
        By program ``epoch_s``, ``processor_s`` (of all threads), ``spikes_per_neuron`` of both
        layers, ``version`` and how it ``differs``, or why it was ``left_out``; ``times_faster``,
        how many times faster hxloop is than the fastest other (None without any), by the clock and
        by ``processor`` time; ``threads``, ``machine``.
    """
    task = task_of(samples)
    programs, left_out = {"hxloop": ours(task)}, {}
    for name, rival in RIVALS.items():
        say(f"{name} is set up ...")
        try:
            programs[name] = rival(task)
        except MissingDependencyError as error:
            left_out[name] = {"left_out": str(error)}
    say(f"{samples} samples on 5-120-3, {repetitions} epochs each: {', '.join(programs)} ...")
    times = interleaved_times([each.epoch for each in programs.values()], repetitions)
    found = {
        name: {
            "epoch_s": round(wall, 3),
            "processor_s": round(worked, 3),
            "spikes_per_neuron": [round(n, 3) for n in program.spikes()],
            "version": program.version,
            "differs": program.differs,
        }
        for (name, program), (wall, worked) in zip(programs.items(), times, strict=True)
    }
    (wall, worked), others = times[0], times[1:]
    return {
        "programs": found | left_out,
        "times_faster": round(min(w for w, _ in others) / wall, 1) if others else None,
        "times_faster_processor": round(min(p for _, p in others) / worked, 1) if others else None,
        "threads": torch.get_num_threads(),
        "machine": machine(),
    }


def task_of(samples: int) -> Task:
    """So many samples of Yin-Yang, whole batches of them, and weights at which neurons spike a few
    times."""
    batches = max(1, samples // BATCH)
    points = yin_yang(batches * BATCH, 0)
    inputs = LatencyEncoding().encode(np.asarray(points.samples))
    rng = np.random.default_rng(0)
    weights = tuple(
        rng.normal(mean, stdev, shape)
        for mean, stdev, shape in zip(MEANS, STDEVS, NETWORK.shapes, strict=True)
    )
    trains = spike_trains(NETWORK, Parameters(weights), Spikes.from_first(inputs))
    n_spikes = [spikes.count.sum(axis=1) for spikes in trains]
    return Task(
        inputs=inputs.reshape(batches, BATCH, -1),
        labels=points.labels.reshape(batches, BATCH),
        weights=(weights[0], weights[1]),
        tau_mem=NETWORK.layers[0].neuron.tau_mem,
        t_window=NETWORK.t_window,
        most_spikes=(int(trains[0].count.max()), int(trains[1].count.max())),
        most_events=(
            int(n_spikes[0].max()) + inputs.shape[1],
            int((n_spikes[0] + n_spikes[1]).max()),
        ),
    )


def ours(task: Task) -> Program:
    """hxloop itself, in software, with the loss of all output spikes."""
    # The session stays open as long as the program is used: it holds memory and nothing else.
    session = get_backend("ideal").open(NETWORK, seed=0)
    loop = LoopNetwork(session, task.weights)
    adam, loss = torch.optim.Adam(loop.parameters(), lr=RATE, fused=True), get_loss("spike-count")

    def epoch() -> None:
        for inputs, labels in zip(task.inputs, torch.from_numpy(task.labels), strict=True):
            output, _ = loop.output(inputs, reads="spikes")
            adam.zero_grad()
            loss(output, labels).backward()
            adam.step()

    def per_neuron() -> tuple[float, float]:
        hidden, output = loop.trains(task.inputs[0])[1].spikes
        return float(hidden.count.mean()), float(output.count.mean())

    return Program(version=__version__, differs="float64", epoch=epoch, spikes=per_neuron)
