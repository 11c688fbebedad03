"""Recorded activity as an NWB file (Neurodata Without Borders)."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity.formats.spike_lists import spike_lists, window
from hxloop.activity.recorded import RecordedActivity
from hxloop.errors import MissingDependencyError, OutputError
from hxloop.files import replacing, sha256_of
from hxloop.units import TimeBase

GAP = 0.25  # between samples, in windows


def write_nwb(
    path: str | os.PathLike[str],
    state: RecordedActivity,
    time_base: TimeBase,
    *,
    started: datetime | None = None,
) -> None:
    """Write an NWB file: samples are trials, one after the other; neurons are units.

    Args:
        path: the file, ``*.nwb``; replaced.
        state: what to write.
        time_base: how long a unit of model time is; NWB knows seconds.
        started: when the session started, with its time zone; None = now.

    The table of trials has the columns label, decision (-1 = none) and sample; the table of
    units has layer ("input", "layer 1", ..., "output"), neuron (its index in the layer) and
    population ("input", "excitatory", "inhibitory" or ""). All spikes are written; weights,
    delays and the network are not.

    Raises:
        MissingDependencyError: pynwb is not installed.
        OutputError: the file cannot be written, or its name does not end in ``.nwb``.
    """
    try:
        from pynwb import NWBHDF5IO, NWBFile
    except ImportError as error:
        raise MissingDependencyError(
            "NWB files need pynwb; install it with: pip install 'hxloop[nwb]'"
        ) from error
    path = checks.path("path", path, error=OutputError)
    if path.suffix != ".nwb":
        raise OutputError(f"{path}: expected a name that ends in .nwb")
    second = time_base.tau_syn_seconds
    length = window(state)
    period = (1 + GAP) * length
    digest = sha256_of(state.name, state.input_times, *state.layer_times, *_further(state))
    file = NWBFile(
        session_description=(
            f"hxloop: state '{state.name}' of the network {'-'.join(map(str, state.sizes))}, "
            f"{len(state)} samples; 1 tau_syn = {second:g} s"
        ),
        identifier=f"hxloop-{digest[:32]}",
        session_start_time=started or datetime.now(UTC),
    )
    file.add_trial_column("label", "index of the right output neuron")
    file.add_trial_column("decision", "index of the output neuron decided for; -1 = none")
    file.add_trial_column("sample", "index of the sample")
    for sample in range(len(state)):
        start = sample * period
        file.add_trial(
            start_time=start * second,
            stop_time=(start + length) * second,
            label=int(state.labels[sample]),
            decision=int(state.decisions[sample]),
            sample=sample,
        )
    file.add_unit_column("layer", "layer of the neuron, 'input' for input channels")
    file.add_unit_column("neuron", "index of the neuron in its layer")
    file.add_unit_column("population", "'input', 'excitatory', 'inhibitory', or '' where mixed")
    whole = np.array([[0.0, len(state) * period * second]])
    for spikes in spike_lists(state):
        times = (spikes.samples * period + spikes.times) * second
        for neuron, train in enumerate(spikes.by(spikes.neurons, spikes.n_neurons, times)):
            file.add_unit(
                spike_times=times[train],
                obs_intervals=whole,
                layer=spikes.name,
                neuron=neuron,
                population=spikes.populations[neuron],
            )
    with replacing(path) as new, NWBHDF5IO(new, "w") as io:
        io.write(file)


def _further(state: RecordedActivity) -> list[NDArray[np.float64]]:
    """Times of spikes of which first ones do not tell."""
    return [spikes.times for spikes in (state.inputs, *state.spikes) if not spikes.once]
