"""The published recipe of hardware-aware training, to the letter, on any backend.

Read in the repository of Göltz et al. (JulianGoeltz/fastAndDeep, commit 33e4876:
``experiment_pretrained/yin_yang_hwAware_W/config.yaml``, ``src/training.py``, ``src/networks.py``,
``src/utils.py``), and written anew here. Weights there are in units in which the threshold is 2.6
above the leak, here it is 1, so weights, steps and rates are divided by 2.6.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import lambertw
from torch import Tensor

from hxloop import LatencyEncoding, LoopNetwork, NetworkSpec, SpikeData, yin_yang
from hxloop.activity import Activity
from hxloop.activity.recorded import first_output
from hxloop.substrate import Backend

THRESHOLD = 2.6
# A slot on the chip, in tau_syn. The published simulation waits for ever.
WINDOW = 30.0
EVALUATED_AT_ONCE = 200
_TINY = 1e-6 / THRESHOLD


@dataclass(frozen=True, kw_only=True)
class PublishedRecipe:
    """What the published configuration says, in its units.

    Attributes:
        epochs, batch_size: of the training.
        learning_rate: of Adam; times ``step_factor`` every ``step_epochs`` epochs.
        delta_t: by how much wrong outputs are to spike later than the right one, tau_syn.
        replicate: how often every input comes; there is no bias spike.
        hidden: number of hidden neurons.
        means, stdevs: of the initial weights of each layer, normally distributed.
        max_dw_norm: gradients of a spike beyond this, of the mean loss of a batch, become zero.
        weight_limit: weights are clamped to it after each batch.
        missing: with a larger share of silent neurons in a layer, weights are raised instead of
            a step: those into the neurons that were silent in any sample of the batch.
        bump: by how much; doubled as long as it is the same layer again.
        gradient: "published": with the slope that the nominal neuron has where *it* would spike, of
            the weights before rounding; "recorded": that of hxloop, at the recorded spikes.
    """

    epochs: int = 300
    batch_size: int = 40
    learning_rate: float = 0.002
    step_epochs: int = 20
    step_factor: float = 0.95
    delta_t: float = 0.3
    replicate: int = 5
    hidden: int = 30
    means: tuple[float, float] = (1.0, 0.075)
    stdevs: tuple[float, float] = (0.12, 0.15)
    max_dw_norm: float = 0.2
    weight_limit: float = 2.1
    missing: float = 0.05
    bump: float = 0.0005
    gradient: str = "published"

    def network(self) -> NetworkSpec:
        """Yin-Yang's four inputs, replicated, without a bias."""
        return NetworkSpec.feed_forward(4 * self.replicate, self.hidden, 3, t_window=WINDOW)

    def data(self) -> tuple[SpikeData, SpikeData, SpikeData]:
        """The published samples: training, validation and test."""
        encoding = LatencyEncoding(bias_times=(), replicate=self.replicate)
        sets = (yin_yang(5000, seed=42), yin_yang(1000, seed=41), yin_yang(1000, seed=40))
        train, validation, test = (
            SpikeData(encoding.encode(np.asarray(each.samples)), each.labels) for each in sets
        )
        return train, validation, test

    def initial_weights(self, seed: int) -> list[NDArray[np.float64]]:
        """Drawn weights, in units of the threshold."""
        rng = np.random.default_rng(seed)
        shapes = self.network().shapes
        return [
            rng.normal(mean, stdev, shape) / THRESHOLD
            for mean, stdev, shape in zip(self.means, self.stdevs, shapes, strict=True)
        ]


def pattern_loss(times: Tensor, labels: Tensor, delta_t: float) -> Tensor:
    """The published loss: half the squared distances from the pattern relative to the right output.

    Args:
        times: of the outputs, ``(batch, classes)``; ``inf`` is silence.
        labels: ``(batch,)``.
        delta_t: later than the right output, the others are to be.

    Returns:
        The mean over the batch; a sample with a silent output counts 100 and has no gradient.
    """
    whole = torch.isfinite(times).all(dim=1)
    own = times[whole]
    correct = labels[whole][:, None]
    target = torch.full_like(own, delta_t).scatter(1, correct, 0.0)
    loss = 0.5 * ((own - own.gather(1, correct) - target) ** 2).sum(dim=1)
    return (loss.sum() + 100.0 * float((~whole).sum())) / len(times)


class _PublishedSpikes(torch.autograd.Function):
    """Recorded first spikes of a layer, with the published derivatives.

    All weights in units where the threshold is 1. With the causal inputs of a spike at T,
    a = sum w exp(t), b = sum w t exp(t) and W the principal branch of Lambert's function at
    -exp(b/a)/a, dT/dw = -exp(t) (T - t) / (a (1 + W)) and
    dT/dt = -w exp(t) (T - t - 1) / (a (1 + W)); zero where the nominal neuron would not spike.
    """

    @staticmethod
    def forward(ctx: Any, times: Tensor, weights: Tensor, recorded: Tensor, cap: float) -> Tensor:
        """The recorded spikes."""
        ctx.cap = cap
        ctx.save_for_backward(times, weights, recorded)
        return recorded.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The published derivatives; weight gradients beyond the cap are zero."""
        times, weights, recorded = ctx.saved_tensors
        error = torch.nan_to_num(grads[0], nan=0.0)[:, None, :]
        later = recorded[:, None, :] - times[:, :, None]
        causal = torch.isfinite(later) & (later >= 0)
        later = torch.where(causal, later, 0.0)
        grown = torch.where(torch.isfinite(times), times, 0.0)[:, :, None].exp()
        charge = torch.where(causal, weights * grown, 0.0)
        a = charge.sum(dim=1, keepdim=True)
        b = (charge * torch.where(torch.isfinite(times), times, 0.0)[:, :, None]).sum(1, True)
        a = torch.where(a.abs() < _TINY, _TINY, a)
        branch = lambertw((-(b / a).exp() / a).numpy())
        slope = torch.tensor(np.where(branch.imag == 0, 1 + branch.real, np.nan))
        factor = torch.nan_to_num(-1 / (a * slope), nan=0.0, posinf=0.0, neginf=0.0) * error
        into_weights = torch.where(causal, factor * grown * later, 0.0)
        large = into_weights.abs().amax(dim=1, keepdim=True) > ctx.cap
        into_times = (factor * charge * (later - 1)).sum(dim=2)
        return into_times, torch.where(large, 0.0, into_weights).sum(dim=0), None, None


def published_spikes(times: Tensor, weights: Tensor, recorded: Tensor, cap: float) -> Tensor:
    """Recorded first spikes of a layer of nominal neurons, with the published derivatives.

    Args:
        times: of its inputs, ``(batch, pre)``.
        weights: ``(pre, post)``, in units of the threshold.
        recorded: ``(batch, post)``; ``inf`` = none.
        cap: on the largest weight gradient of a spike; beyond, all of that spike are zero.
    """
    spikes: Tensor = _PublishedSpikes.apply(times, weights, recorded, cap)
    return spikes


class Bumping:
    """What is done instead of a step while too many neurons are silent.

    Args:
        recipe: how many, and by how much weights are raised.
    """

    def __init__(self, recipe: PublishedRecipe) -> None:
        self._recipe = recipe
        self._last: int | None = None
        self._size = recipe.bump

    @torch.no_grad()
    def apply(self, weights: list[Tensor], activity: Activity) -> bool:
        """Raise weights of the first layer that is too silent, in place; whether one was."""
        for index, times in enumerate(activity.first_spike_times):
            silent = np.isinf(times)
            if silent.mean() > self._recipe.missing:
                self._size = 2 * self._size if self._last == index else self._recipe.bump
                self._last = index
                weights[index] += torch.tensor(self._size / THRESHOLD * silent.any(axis=0))
                return True
        self._last = None
        return False


def train_by_recipe(
    backend: Backend, recipe: PublishedRecipe, seed: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """One training.

    Args:
        backend: the substrate, in the loop.
        recipe: how.
        seed: of weights, order of the samples and trial noise.
        say: told once in ten epochs.

    Returns:
        ``test_accuracy`` of the last epoch's weights, ``validation`` of every epoch, ``bumped``
        batches, ``seconds_per_epoch``.
    """
    train, validation, test = recipe.data()
    inputs = np.asarray(train.input_times)
    began, curve, bumped, step = time.perf_counter(), [], 0, 0
    with backend.open(recipe.network(), seed=seed) as session:
        cap = recipe.max_dw_norm * recipe.batch_size * THRESHOLD
        network = LoopNetwork(session, recipe.initial_weights(seed), max_dw_norm=cap)
        adam = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate / THRESHOLD)
        bumping, order = Bumping(recipe), np.random.default_rng([seed, 1])
        for epoch in range(recipe.epochs):
            fall = recipe.step_factor ** (epoch // recipe.step_epochs)
            adam.param_groups[0]["lr"] = recipe.learning_rate / THRESHOLD * fall
            shuffled = order.permutation(len(train.labels))
            for first in range(0, len(shuffled), recipe.batch_size):
                batch = shuffled[first : first + recipe.batch_size]
                times, activity = network(inputs[batch], trial=step)
                if recipe.gradient == "published":
                    times = _published(network, activity, cap / recipe.batch_size)
                step += 1
                if bumping.apply(list(network.weights), activity):
                    bumped += 1
                else:
                    adam.zero_grad()
                    pattern_loss(
                        times, torch.tensor(train.labels[batch]), recipe.delta_t
                    ).backward()
                    adam.step()
                limit = recipe.weight_limit / THRESHOLD
                with torch.no_grad():
                    for weights in network.weights:
                        weights.clamp_(-limit, limit)
            curve.append(_accuracy(network, validation, 10**9 + 100 * epoch))
            if epoch % 10 == 9:
                say(f"  epoch {epoch + 1}: validation {100 * curve[-1]:.1f} %")
        accuracy = _accuracy(network, test, 2 * 10**9)
    seconds = (time.perf_counter() - began) / recipe.epochs
    return {
        "test_accuracy": accuracy,
        "validation": curve,
        "bumped": bumped,
        "seconds_per_epoch": round(seconds, 3),
    }


def _published(network: LoopNetwork, activity: Activity, cap: float) -> Tensor:
    """The recorded output spikes with the published gradient."""
    times = torch.tensor(activity.input_times)
    for weights, recorded in zip(network.weights, activity.first_spike_times, strict=True):
        times = published_spikes(times, weights, torch.tensor(recorded), cap)
    return times


def _accuracy(network: LoopNetwork, data: SpikeData, trial: int) -> float:
    """Share of samples whose first output spike is the right one, in runs of 200."""
    right = 0
    with torch.no_grad():
        for number, first in enumerate(range(0, len(data.labels), EVALUATED_AT_ONCE)):
            part = slice(first, first + EVALUATED_AT_ONCE)
            times, _ = network(np.asarray(data.input_times)[part], trial=trial + number)
            right += int((first_output(times.numpy()) == data.labels[part]).sum())
    return right / len(data.labels)
