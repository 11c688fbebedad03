"""Other programs that train networks whose neurons spike again and again, as they document it.

Each is run if it is installed, and left out with the reason if not; none is needed by hxloop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop.engine.psp import peak_after
from hxloop.errors import MissingDependencyError

Array = NDArray[np.float64]
# The smallest rate: the weights, and so the work, stay what they are.
RATE = 1e-9


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all programs train: two layers of neurons without refractory time, reset to leak.

    Attributes:
        inputs: ``(batches, batch, inputs)``, one spike of each channel.
        labels: ``(batches, batch)``.
        weights: ``(pre, post)`` of both layers, in units of hxloop.
        tau_mem: in units of the synaptic time constant.
        t_window: until when spikes count.
        most_spikes: of one neuron of each layer in one sample.
        most_events: arrivals and spikes of each layer in one sample.
    """

    inputs: Array
    labels: NDArray[np.int64]
    weights: tuple[Array, Array]
    tau_mem: float
    t_window: float
    most_spikes: tuple[int, int]
    most_events: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program set up for a task.

    Attributes:
        version: of the package.
        differs: in what its work is not that of hxloop.
        epoch: trains on all batches once.
        spikes: per neuron of each layer, of the first batch.
    """

    version: str
    differs: str
    epoch: Callable[[], object]
    spikes: Callable[[], tuple[float, float]]


def jaxsnn_eventprop(task: Task) -> Program:
    """EventProp of jaxsnn, as in its example ``yinyang_layered_event_prop``.

    Its neurons have no refractory time, and spike times in closed form for ``tau_mem`` of 1 or 2.
    The steps of a layer (arrivals and spikes) are as many as the busiest sample needs.
    """
    version = _version("jaxsnn")
    try:
        jax, optax = import_module("jax"), import_module("optax")
        parts = {
            name: import_module(f"jaxsnn.event.{name}")
            for name in ("encode", "loss", "modules", "topology", "training", "types")
        }
        lif = import_module("jaxsnn.event.modules.lif.parameters")
        wrapper = import_module("jaxsnn.examples.event.utils").loss_wrapper
    except ImportError as error:
        raise MissingDependencyError(f"jaxsnn {version}: {error}") from error
    modules = parts["modules"]
    sizes = [len(task.weights[0]), *(matrix.shape[1] for matrix in task.weights)]
    neuron = lif.LIFParameters(v_reset=0.0, v_th=1.0, tau_syn=1.0, tau_mem=task.tau_mem)
    builder = parts["topology"].Topology(t_max=task.t_window, backprop_method="eventprop")
    builder.add(
        {"inp": modules.Source(sizes[0])}
        | {f"lif{i}": modules.LIF(sizes[i], task.most_events[i - 1] + 1, neuron) for i in (1, 2)}
        | {
            # Its membrane is driven by I/tau_mem.
            f"syn{i}": modules.Linear(pre_weights=task.weights[i - 1] * task.tau_mem)
            for i in (1, 2)
        }
    )
    builder.connect(
        [("inp", "syn1"), ("syn1", "lif1"), ("lif1", "syn2"), ("syn2", "lif2")]
    )  # fmt: skip
    initial, apply = builder.done()
    encode = parts["encode"]
    spikes = jax.vmap(
        jax.vmap(
            partial(
                encode.spatio_temporal_encode, t_late=1.0, duplication=None,
                duplicate_neurons=False,
            )
        )
    )(jax.numpy.asarray(task.inputs))  # fmt: skip
    targets = encode.target_temporal_encode(
        jax.numpy.asarray(task.labels), correct_target_time=1.0, wrong_target_time=2.0, n_classes=3
    )
    weights, optimiser = initial(jax.random.PRNGKey(0)), optax.adam(RATE)
    loss = partial(wrapper, apply, parts["loss"].mse_loss, neuron.tau_mem, "lif2", sizes[2])
    update = partial(parts["training"].update, optimiser, loss)
    state = parts["types"].OptState(optimiser.init(weights), weights, jax.random.PRNGKey(0))
    scan = jax.jit(lambda state, batches: jax.lax.scan(update, state, batches)[0].params)

    def per_neuron() -> tuple[float, float]:
        first = jax.tree_util.tree_map(lambda leaf: leaf[0], spikes)
        events = jax.jit(apply)({"inp": first}, weights)
        counts = [np.asarray(events[f"lif{i}"].internal).sum(axis=1).mean() for i in (1, 2)]
        return float(counts[0]) / sizes[1], float(counts[1]) / sizes[2]

    return Program(
        version=version,
        differs="float32; loss of first spikes; compiling not counted",
        epoch=lambda: jax.block_until_ready(scan(state, ({"inp": spikes}, targets))),
        spikes=per_neuron,
    )


def exact_snn_nn(task: Task, grid: int = 501) -> Program:
    """``ExactMultiSpike`` layers of exact-snn-nn, all spikes of the first into the second.

    Its layers take one spike of a channel, so that every spike of a hidden neuron is a channel of
    its own here, with a weight of its own.

    Args:
        task: what is trained.
        grid: points on which it looks for crossings; its default is 2001.
    """
    version = _version("exact-snn-nn")
    try:
        extended = import_module("exact_snn.extended")
    except ImportError as error:
        raise MissingDependencyError(f"exact-snn-nn {version}: {error}") from error
    layers = []
    for matrix, n_inputs, most in zip(
        (task.weights[0], np.repeat(task.weights[1], task.most_spikes[0], axis=0)),
        (len(task.weights[0]), len(task.weights[1]) * task.most_spikes[0]),
        task.most_spikes,
        strict=True,
    ):
        layer = extended.ExactMultiSpike(
            n_inputs, matrix.shape[1], tm=task.tau_mem, ts=1.0, theta=1.0, t_max=task.t_window,
            bias_val=0.0, grid_pts=grid, max_spikes=most,
        )  # fmt: skip
        highest = float(peak_after(task.tau_mem, 1.0))  # its kernel has the height 1
        with torch.no_grad():
            layer.weight[:, :-1] = torch.from_numpy(matrix.T * highest).to(layer.weight.dtype)
        layers.append(layer)
    hidden, output = layers
    inputs = torch.from_numpy(task.inputs).to(torch.float32).transpose(1, 2).contiguous()
    labels = torch.from_numpy(task.labels)
    adam = torch.optim.Adam([*hidden.parameters(), *output.parameters()], lr=RATE)

    def forward(batch: torch.Tensor) -> tuple[Any, Any]:
        inner = hidden(batch)
        return inner, output(inner.permute(0, 2, 1).reshape(-1, batch.shape[1]))

    def epoch() -> None:
        for batch, target in zip(inputs, labels, strict=True):
            loss = extended.spike_count_cross_entropy(forward(batch)[1], target, task.t_window)
            adam.zero_grad()
            loss.backward()
            adam.step()

    @torch.no_grad()
    def per_neuron() -> tuple[float, float]:
        trains = forward(inputs[0])
        inner, outer = (float(torch.isfinite(t).sum(dim=2).float().mean()) for t in trains)
        return inner, outer

    return Program(
        version=version,
        differs=(
            f"float32; crossings looked for on {grid} points; a weight for each hidden spike; "
            "fewer spikes with the same weights"
        ),
        epoch=epoch,
        spikes=per_neuron,
    )


RIVALS: dict[str, Callable[[Task], Program]] = {
    "jaxsnn": jaxsnn_eventprop,
    "exact-snn-nn": exact_snn_nn,
}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        raise MissingDependencyError(
            f"{package} is not installed; pip install {package}, or a folder with it in PYTHONPATH"
        ) from None
