"""A training in a forked child, after one in its parent: it must end, with the same numbers."""

from __future__ import annotations

import subprocess
import sys

import pytest

# A training and its weights, in the parent, in children of fork, and in a child's child.
PROGRAM = """
import multiprocessing
import sys

import numpy as np
import torch
from hxloop import LoopNetwork, NetworkSpec, get_backend, get_loss
from hxloop.training import Trainer
from hxloop.training.options import SpikeData, TrainingOptions
from hxloop.engine.compiled import threads


def fit(number=0):
    rng = np.random.default_rng(0)
    network = NetworkSpec.feed_forward(100, 80, 3)
    data = SpikeData(rng.uniform(0.0, 1.0, (60, 100)), rng.integers(3, size=60))
    weights = [rng.normal(5 / shape[0], 0.2, shape) for shape in network.shapes]
    with get_backend("ideal").open(network) as session:
        loop = LoopNetwork(session, weights)
        options = TrainingOptions(epochs=2, batch_size=30, learning_rate=0.01)
        trainer = Trainer(loop, get_loss("time-to-first-spike"), data, data, options)
        return [hash(matrix.tobytes()) for matrix in trainer.fit().weights]


def in_process(queue, generations):
    if generations:
        child(queue, generations - 1)
    else:
        queue.put((fit(), len(threads.samples_of_parts(30, 10**6)), torch.get_num_threads()))


def child(queue, generations):
    process = fork.Process(target=in_process, args=(queue, generations))
    process.start()
    process.join()


torch.set_num_threads(3)
fork = multiprocessing.get_context("fork")
first = fit()
parts = len(threads.samples_of_parts(30, 10**6))
for generations in (0, 1):
    queue = fork.SimpleQueue()
    child(queue, generations)
    again, parts_there, threads_there = queue.get()
    print(again == first, parts_there == parts == 3, threads_there)
with fork.Pool(2) as pool:
    print([again == first for again in pool.map(fit, range(2))])
print(fit() == first, torch.get_num_threads())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere fork is not safe to begin with")
def test_training_in_a_forked_child_ends_with_the_numbers_of_its_parent():
    # Regression: the fused Adam waited for OpenMP threads that a forked child does not have.
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.splitlines() == [
        "True True 1", "True True 1", "[True, True]", "True 3",
    ]  # fmt: skip
