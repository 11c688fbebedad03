"""The statistics of a recorded chip: a preset of imperfections, estimated from its spikes alone.

From recorded sessions (``hxloop.record``) of feed-forward networks whose neurons spike once. Every
neuron is fitted on its own (``neuron_fit``); the spread of the fits, less what each fit is
uncertain by, is the spread of the chip. What first spikes cannot tell is said, not guessed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.calibration.neuron_fit import PARAMETERS, FittedNeuron, Observed, fit_neuron
from hxloop.errors import CalibrationError
from hxloop.files.atomic import write_atomically
from hxloop.substrate.recording.file import SessionFile

Array = NDArray[np.float64]

# Of fewer neurons no spread is told.
FEWEST_NEURONS = 8
NEVER_IDENTIFIED = {
    "v_leak": "first spikes know the distance from leak to threshold alone; its spread is given to "
    "v_threshold",
    "v_reset": "neurons that spike once are never seen after a reset",
    "t_refractory": "neurons that spike once are never seen after a reset",
    "threshold_offset": "thresholds that are all too high look like weights that are all too weak",
    "spike_jitter": "noise within a run is given to threshold_sample, in units of the membrane",
}


@dataclass(frozen=True)
class Estimate:
    """A value with its standard error."""

    value: float
    error: float

    def times(self, factor: float) -> Estimate:
        """So many times as much."""
        return Estimate(factor * self.value, factor * self.error)

    def __str__(self) -> str:
        return f"{self.value:.4f} +- {self.error:.4f}"


@dataclass(frozen=True, kw_only=True)
class FittedPreset:
    """What was found.

    Attributes:
        estimates: by name of the imperfection.
        unknown: what the recordings cannot tell, with the reason.
        neurons: how many were fitted, of how many.
        spikes: how many were used.
        recordings: their files.
    """

    estimates: Mapping[str, Estimate]
    unknown: Mapping[str, str]
    neurons: tuple[int, int]
    spikes: int
    recordings: tuple[str, ...]

    def to_toml(self, name: str) -> str:
        """As a file of one preset, see ``backends/emulated/presets.toml``."""
        values = ", ".join(f"{key} = {each.value:.6g}" for key, each in self.estimates.items())
        told = [f"# {key}: {each}" for key, each in self.estimates.items()]
        told += [f"# {key}: not identified: {why}" for key, why in self.unknown.items()]
        files = ", ".join(Path(path).name for path in self.recordings)
        about = (
            f"estimated by hxloop fit-preset from {self.spikes} spikes of {self.neurons[0]} neurons"
        )
        return "\n".join(
            [
                *told, f"[{name}]", f'about = "{about}"',
                f'source = "recordings {files}"'.replace("\\", "/"), 'start = "none"',
                f"values = {{{values}}}", "",
            ]
        )  # fmt: skip

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whose name is that of the preset.

        Raises:
            OutputError: the file cannot be written.
        """
        path = checks.path("out", path)
        write_atomically(path, self.to_toml(path.stem).encode())


def fit_preset(recordings: Sequence[str | os.PathLike[str]]) -> FittedPreset:
    """Estimate the spreads and noises of a chip.

    Args:
        recordings: files of ``hxloop.record``, all of one chip. Better with many runs, and with
            weights that differ between them, of both signs.

    Raises:
        FileFormatError: a file that is no recorded session, or damaged.
        CalibrationError: none, one of networks that are not feed-forward of neurons that spike
            once, or too few spikes.
    """
    paths = tuple(str(checks.path("recordings", each)) for each in recordings)
    if not paths:
        raise CalibrationError("fit_preset: expected recorded sessions; got none")
    fits: list[FittedNeuron | None] = []
    for path in paths:
        with SessionFile(Path(path)) as file:
            if file.has_trains:
                raise CalibrationError(
                    f"{path}: expected a session of a feed-forward network whose neurons and "
                    f"inputs spike once; got {file.network}"
                )
            for layer in range(len(file.network.layers)):
                spec = file.network.layers[layer].neuron
                nominal = spec.tau_mem, spec.tau_syn
                fits += [fit_neuron(seen, nominal) for seen in _neurons(file, layer)]
    found = [fit for fit in fits if fit is not None]
    if len(found) < FEWEST_NEURONS:
        raise CalibrationError(
            f"{', '.join(paths)}: expected at least {FEWEST_NEURONS} neurons with 25 spikes that "
            f"cross their threshold steeply; got {len(found)} of {len(fits)}. Record more runs, or "
            "larger weights"
        )
    estimates, unknown = _spreads(found)
    more, rest = _noises(found)
    return FittedPreset(
        estimates=estimates | more,
        unknown={**unknown, **rest, **NEVER_IDENTIFIED},
        neurons=(len(found), len(fits)),
        spikes=sum(len(fit.run) for fit in found),
        recordings=paths,
    )


def _neurons(file: SessionFile, layer: int) -> Iterator[Observed]:
    """Every neuron of a layer with all its spikes."""
    neuron = file.network.layers[layer].neuron
    distance = neuron.v_threshold - neuron.v_leak
    runs = [file.activity(run) for run in file.runs]
    for j in range(file.network.sizes[1 + layer]):
        since, weights, number = [], [], []
        for index, activity in enumerate(runs):
            before = activity.input_times if layer == 0 else activity.first_spike_times[layer - 1]
            spikes = activity.first_spike_times[layer][:, j]
            chosen = np.isfinite(spikes)
            late = np.where(np.isfinite(before), spikes[:, None] - before, -1.0)
            since.append(late[chosen])
            held = activity.weights_used[layer][:, j] / distance
            weights.append(np.broadcast_to(held, since[-1].shape))
            number.append(np.full(int(chosen.sum()), index))
        # By turns from all runs, so that the first ones are of all of them.
        turns = np.argsort(np.concatenate([np.arange(len(each)) for each in number]), kind="stable")
        yield Observed(
            np.concatenate(since)[turns],
            np.concatenate(weights)[turns],
            np.concatenate(number)[turns],
        )


def _spreads(found: Sequence[FittedNeuron]) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Spread of what neurons are."""
    estimates: dict[str, Estimate] = {}
    unknown: dict[str, str] = {}
    logs = np.stack([fit.log for fit in found])
    known = np.stack([fit.identified for fit in found])
    noise = np.stack([fit.covariance for fit in found])
    each = {name: index for index, name in enumerate(PARAMETERS)}
    for pair, common, own, factor in (
        (("strength_exc", "strength_inh"), "v_threshold", "strength", 1.0),
        (("time_exc", "time_inh"), "tau_mem", "tau_syn", 4.0),
    ):
        places = [each[name] for name in pair]
        both = known[:, places].all(axis=1)
        if both.sum() < FEWEST_NEURONS:
            unknown[common] = unknown[own] = (
                "it takes inputs of both signs: what is common to them is told from what is not"
            )
            continue
        shared, single = _parts(logs[both][:, places], noise[both][:, places][:, :, places])
        _tell(common, shared.times(factor), estimates, unknown)
        _tell(own, single.times(factor), estimates, unknown)
    return estimates, unknown


def _parts(logs: Array, noise: Array) -> tuple[Estimate, Estimate]:
    """Variances of what two logarithms have in common, and of what each has of its own.

    A high threshold makes both signs weak, a slow membrane both slow.

    Args:
        logs: ``(neurons, 2)``.
        noise: ``(neurons, 2, 2)``, covariances of their errors.
    """
    n, centred = len(logs), logs - logs.mean(axis=0)
    common = centred[:, 0] * centred[:, 1] - noise[:, 0, 1]
    squares = (centred**2 - np.diagonal(noise, axis1=1, axis2=2)).mean(axis=1)
    return tuple(  # type: ignore[return-value]
        Estimate(float(each.sum() / (n - 1)), float(each.std(ddof=1) / np.sqrt(n)))
        for each in (common, squares - common)
    )


def _tell(
    name: str, variance: Estimate, estimates: dict[str, Estimate], unknown: dict[str, str]
) -> None:
    """A spread from its variance; or that it cannot be told from 0, and what it is below."""
    if variance.value > 2 * variance.error:
        spread = float(np.sqrt(variance.value))
        estimates[name] = Estimate(spread, variance.error / (2 * spread))
    else:
        below = np.sqrt(max(variance.value, 0.0) + 2 * variance.error)
        unknown[name] = f"cannot be told from 0; it is below {below:.4f} (two standard errors)"


def _noises(found: Sequence[FittedNeuron]) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Noise from run to run, and within runs, of the membrane at its spikes."""
    estimates: dict[str, Estimate] = {}
    unknown: dict[str, str] = {}
    between, within, shares, shifted = [], [], [], []
    for fit in found:
        runs = [fit.residuals[fit.run == run] for run in np.unique(fit.run)]
        runs = [each for each in runs if len(each) > 1]
        if not runs:
            continue
        inside = float(np.mean([each.var(ddof=1) for each in runs]))
        within.append(inside)
        if len(runs) > 1:
            means = np.array([each.mean() for each in runs])
            share = float(np.mean([inside / len(each) for each in runs]))
            between.append(means.var(ddof=1) - share)
            shares.append(share)
            shifted.append(means.var(ddof=1) / len(runs))
    # Each looks a little like the other: noise within runs selects which spikes there are, and a
    # neuron fitted with few runs is off by their mean. That much is no evidence.
    for name, values, alike, why in (
        ("threshold_trial", between, shares, "it takes several runs of the same neurons"),
        ("threshold_sample", within, shifted, "it takes several runs and spikes of a neuron"),
    ):
        if len(values) < FEWEST_NEURONS or len(alike) < FEWEST_NEURONS:
            unknown[name] = why
            continue
        error = np.hypot(np.std(values, ddof=1) / np.sqrt(len(values)), np.mean(alike))
        _tell(name, Estimate(float(np.mean(values)), float(error)), estimates, unknown)
    return estimates, unknown
