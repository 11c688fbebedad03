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
from scipy.special import stdtrit

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
    """A value, its standard error, and the interval that holds it in 95 % of such recordings."""

    value: float
    error: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} +- {self.error:.4f} (95 %: {self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True)
class _Variance:
    """A variance, from so many neurons, each of which says something of it."""

    value: float
    error: float
    neurons: int

    def times(self, factor: float) -> _Variance:
        return _Variance(factor * self.value, factor * self.error, self.neurons)

    @property
    def reach(self) -> float:
        """How far the 95 % interval reaches: few neurons know little of their own scatter."""
        return float(stdtrit(self.neurons - 1, 0.975)) * self.error


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
    more, rest, variances = _noises(found)
    estimates, unknown = _spreads(found, [fit.covariance(*variances) for fit in found])
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


def _spreads(
    found: Sequence[FittedNeuron], covariances: Sequence[Array]
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Spread of what neurons are, less what each fit is uncertain by."""
    estimates: dict[str, Estimate] = {}
    unknown: dict[str, str] = {}
    logs = np.stack([fit.log for fit in found])
    known = np.stack([fit.identified for fit in found])
    noise = np.stack(covariances)
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


def _parts(logs: Array, noise: Array) -> tuple[_Variance, _Variance]:
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
        _Variance(float(each.sum() / (n - 1)), float(each.std(ddof=1) / np.sqrt(n)), n)
        for each in (common, squares - common)
    )


def _tell(
    name: str, variance: _Variance, estimates: dict[str, Estimate], unknown: dict[str, str]
) -> None:
    """A spread from its variance; or that it cannot be told from 0, and what it is below."""
    low, high = variance.value - variance.reach, variance.value + variance.reach
    if low > 0:
        spread = float(np.sqrt(variance.value))
        ends = float(np.sqrt(low)), float(np.sqrt(high))
        estimates[name] = Estimate(spread, variance.error / (2 * spread), *ends)
    else:
        below = np.sqrt(max(high, 0.0))
        unknown[name] = f"cannot be told from 0; it is below {below:.4f} (97.5 %)"


def _noises(
    found: Sequence[FittedNeuron],
) -> tuple[dict[str, Estimate], dict[str, str], tuple[float, float]]:
    """Noise from run to run, and within runs, of the membrane at its spikes.

    All neurons of a chip have the same: their sums of squares are added up, and two equations
    solved for the two variances (``FittedNeuron.scatter``). How far each neuron is from them says
    how far they may be off.

    Returns:
        Estimates; what is not known; and both variances, as they are to be taken off the fits.
    """
    estimates: dict[str, Estimate] = {}
    unknown: dict[str, str] = {}
    several = [fit for fit in found if fit.n_runs > 1]
    if len(several) < FEWEST_NEURONS:
        pairs = [fit.scatter() for fit in found]
        squares, expected = (sum(each) for each in zip(*pairs, strict=True))
        unknown = dict.fromkeys(
            ("threshold_trial", "threshold_sample"), "it takes several runs of the same neurons"
        )
        return estimates, unknown, (0.0, float(squares[1] / expected[1, 1]))
    pairs = [fit.scatter() for fit in several]
    inverse = np.linalg.inv(sum(expected for _, expected in pairs))
    variances = inverse @ sum(squares for squares, _ in pairs)
    n = len(several)
    off = np.stack([inverse @ (squares - expected @ variances) for squares, expected in pairs])
    errors = np.sqrt(n / (n - 1) * (off**2).sum(axis=0))
    # Noise within runs selects which spikes there are, in each run others: that looks a little like
    # noise from run to run, and is no evidence of it.
    alike = variances[1] * np.mean([fit.n_runs / len(fit.run) for fit in several])
    for name, value, error in (
        ("threshold_trial", variances[0], np.hypot(errors[0], alike)),
        ("threshold_sample", variances[1], errors[1]),
    ):
        _tell(name, _Variance(float(value), float(error), n), estimates, unknown)
    between, within = (max(0.0, float(each)) for each in variances)
    return estimates, unknown, (between, within)
