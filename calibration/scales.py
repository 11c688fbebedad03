"""Weight scale, time scale and spike-time offset of a substrate, from spike times alone.

Known networks are run: one layer of equal neurons, of which some input channels spike, with
equal weights, shortly one after another in one group or two (a chip delivers events of the same
moment one by one, which would be taken for an offset). What the model says about them is exact::

    T = a T_model(inputs/a, s w) + b

with the weight scale s, the time scale a and the offset b. Their best values are those of the
least sum of (soft) absolute deviations of the median neuron.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from hxloop.calibration.result import Scales
from hxloop.engine import first_spike_times
from hxloop.errors import CalibrationError, NetworkError
from hxloop.network import NetworkSpec, NeuronSpec
from hxloop.substrate import Session

Array = NDArray[np.float64]

N_INPUTS = 32
# Deviations of the median neuron above this (model time) mean that the model does not explain
# what the substrate does.
LARGEST_RESIDUAL = 0.05
# Model time from one input spike of a group to the next: some clock cycles of a chip.
STAGGER = 0.02


def scale_network(n_neurons: int, tau_mem: float = 1.0) -> NetworkSpec:
    """A network for ``fit_scales``: 32 inputs, one layer, two spikes' time to look at."""
    return NetworkSpec.feed_forward(
        N_INPUTS, n_neurons, neuron=NeuronSpec(tau_mem=tau_mem), t_window=6.0
    )


def check_scale_network(network: NetworkSpec) -> None:
    """Refuse a network that ``fit_scales`` cannot use.

    Raises:
        NetworkError: not one layer with at least 16 inputs.
    """
    if len(network.layers) != 1 or network.n_inputs < 16:
        raise NetworkError(
            "fit_scales: expected a session with one layer and at least 16 inputs, such as "
            f"scale_network(8); got {network}"
        )


def fit_scales(
    session: Session,
    *,
    usable: NDArray[np.bool_] | None = None,
    trials: int = 10,
    on_run: Callable[[int], None] | None = None,
) -> Scales:
    """Fit the three numbers. Needs nothing but ``session.run``.

    Args:
        session: opened with ``scale_network(...)``, or with another network of one layer and at
            least 16 inputs.
        usable: ``(neurons,)`` which to look at; None: all.
        trials: runs, for an average over the trial noise.
        on_run: told the number of runs each time.

    Raises:
        NetworkError: a network of another kind.
        CalibrationError: hardly any neuron spikes as it should, or the model does not explain
            the spike times.
    """
    network = session.network
    check_scale_network(network)
    neuron = network.layers[0].neuron
    step = neuron.v_threshold - neuron.v_leak
    weight = _weight(session, step)
    inputs = _samples(network.n_inputs, weight, step, neuron)
    matrix = np.full(network.shapes[0], weight)
    chosen = slice(None) if usable is None else usable
    recorded = []
    for trial in range(trials):
        activity = session.run([matrix], inputs, trial=trial)
        if on_run is not None:
            on_run(1)
        recorded.append(activity.output_times[:, chosen])
        inputs_used, used = activity.input_times, float(np.median(activity.weights_used[0]))
    stacked = np.concatenate(recorded, axis=1)
    spiked = np.isfinite(stacked).mean(axis=1)
    enough = spiked > 0.9
    if enough.sum() < 6:
        raise CalibrationError(
            f"fit_scales: only {int(enough.sum())} of {len(enough)} test samples make 90 % of the "
            f"neurons of {network} spike; expected at least 6. Is the calibration of the chip, or "
            "the weight scale of the backend, far off?"
        )
    medians = np.median(stacked[enough], axis=1)

    def model(scale: float, stretch: float, offset: float) -> Array:
        column = torch.full((network.n_inputs, 1), scale * used, dtype=torch.float64)
        times = torch.from_numpy(np.ascontiguousarray(inputs_used[enough] / stretch))
        with torch.no_grad():
            spikes = first_spike_times(times, column, neuron, 100.0).numpy()[:, 0]
        # A silent model is far from any spike, but at a finite distance.
        return np.asarray(stretch * np.where(np.isfinite(spikes), spikes, 20.0) + offset)

    best, residual = _fitted(model, medians)
    if not residual < LARGEST_RESIDUAL:
        raise CalibrationError(
            f"fit_scales: the best fit leaves spike times {residual:.3g} tau_syn off (root mean "
            f"square); expected less than {LARGEST_RESIDUAL}. Scales {best} are not to "
            "be trusted."
        )
    scale, stretch, offset = best
    return Scales(scale, stretch, offset, residual)


def _fitted(
    model: Callable[[float, float, float], Array], medians: Array
) -> tuple[tuple[float, float, float], float]:
    """Scales at which a model comes closest, and how far off (root mean square) it is there."""
    from scipy.optimize import least_squares  # takes long to import

    def deviations(parameters: Array) -> Array:
        found: Array = model(*parameters) - medians
        return found

    fits = [
        least_squares(deviations, start, loss="soft_l1", f_scale=0.01, x_scale=0.1,
                      bounds=([0.05, 0.3, -1.0], [20.0, 3.0, 1.0]), ftol=1e-12, xtol=1e-12)
        for start in _starts(lambda scale, stretch: medians - model(scale, stretch, 0.0))
    ]  # fmt: skip
    best = min(fits, key=lambda fit: float(fit.cost))
    scale, stretch, offset = (float(value) for value in best.x)
    return (scale, stretch, offset), float(np.sqrt(np.mean(deviations(best.x) ** 2)))


def _starts(missing: Callable[[float, float], Array]) -> list[list[float]]:
    """Where to begin: the three best of a grid of weight and time scales.

    Where a sample is about to fall silent, spike times jump, and a fit that begins on the wrong
    side stays there.

    Args:
        missing: what an offset would have to explain, for a weight scale and a time scale.
    """
    tried = []
    for scale in np.geomspace(0.25, 4, 25):
        for stretch in np.linspace(0.7, 1.4, 15):
            rest = missing(float(scale), float(stretch))
            offset = float(np.clip(np.median(rest), -0.99, 0.99))
            tried.append(
                (float(np.abs(rest - offset).mean()), [float(scale), float(stretch), offset])
            )
    return [start for _, start in sorted(tried)[:3]]


def _weight(session: Session, step: float) -> float:
    """A weight in the middle of the substrate's range, on its grid."""
    limit, levels = session.capabilities.weight_limit, session.capabilities.weight_levels
    if limit is None:
        return 0.5 * step
    if levels is None:
        return min(0.5 * step, 0.75 * limit)
    lsb = limit / levels
    return lsb * min(round(0.5 * step / lsb), levels)


def _samples(n_inputs: int, weight: float, step: float, neuron: NeuronSpec) -> Array:
    """Numbers of active channels from just enough upwards, in one group or two."""
    ratio = neuron.tau_mem / neuron.tau_syn
    # The largest membrane that an input of weight 1 makes is tau_syn r^(-1/(r - 1)).
    peak = 1 / math.e if ratio == 1 else ratio ** (-1 / (ratio - 1))
    least = step / (weight * neuron.tau_syn * peak)
    counts = np.unique(np.linspace(min(1.25 * least, n_inputs), n_inputs, 8).astype(int))
    rows = []
    for count in counts:
        together = np.where(
            np.arange(n_inputs) < count, 0.5 + STAGGER * np.arange(n_inputs), np.inf
        )
        rows.append(together)
        for gap in (0.5, 1.0, 2.0):
            apart = together.copy()
            apart[count // 2 :] += gap
            rows.append(apart)
    return np.stack(rows)
