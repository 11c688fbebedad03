"""A small network, its data and its trainer."""

from __future__ import annotations

import numpy as np

from hxloop import (
    LatencyEncoding,
    LoopNetwork,
    NetworkSpec,
    SpikeData,
    Trainer,
    TrainingOptions,
    get_backend,
    get_loss,
    initial_weights,
    yin_yang,
)

SPEC = NetworkSpec.feed_forward(5, 20, 3, t_window=4.0)


LOSS = get_loss("time-to-first-spike")


OPTIONS = TrainingOptions(epochs=3, batch_size=40, input_noise=0.01, learning_rate=0.01)


def data(size, seed):
    samples = yin_yang(size, seed)
    return SpikeData(LatencyEncoding().encode(samples.samples), samples.labels)


TRAIN, VALIDATION = data(200, 42), data(60, 41)


WEIGHTS = initial_weights(SPEC, [1.5, 0.5], [0.8, 0.8], seed=0)


def session(name="ideal", spec=SPEC, **options):
    return get_backend(name, **options).open(spec, seed=3)


def trainer(tmp_path=None, options=OPTIONS, weights=WEIGHTS, backend="ideal", **keywords):
    chip = {"solver": "event", "weight_lsb": 0.04} if backend == "emulated-chip" else {}
    network = LoopNetwork(session(backend, **chip), weights)
    return Trainer(network, LOSS, TRAIN, VALIDATION, options, run_dir=tmp_path, **keywords)


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
