"""What one run adds to the tables of a state."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity.log.schema import INPUT_SPIKES, spikes_place
from hxloop.activity.recorded import RecordedActivity
from hxloop.activity.spikes import Spikes
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec

Rows = dict[str, NDArray[Any]]


def rows_of(
    run: RecordedActivity, network: NetworkSpec, ends: NDArray[np.int64], *, input_trains: bool
) -> tuple[Rows, NDArray[np.int64]]:
    """Rows for the tables of a state, but for those of ``runs/``.

    Args:
        run: its activity.
        network: whose it is; of its neurons that may spike again all spikes are written.
        ends: what was written before, see ``hxloop.activity.log.schema``.
        input_trains: whether all input spikes are written, else the first ones.

    Returns:
        Rows by the names of their tables, and ``ends`` afterwards.

    Raises:
        RunInputError: neurons or channels that spike more than once where they should not.
    """
    rows: Rows = {"labels": run.labels, "decisions": run.decisions}
    after = ends.copy()
    after[0] += len(run)
    if input_trains:
        rows |= _listed(INPUT_SPIKES, run.inputs, ends[-1])
        after[-1] += run.inputs.n_spikes
    else:
        _check_once(
            run.inputs,
            f"state {run.name!r}, input",
            "expected one spike of a channel at most, as in the first run of the state; begin the "
            "state with input_trains=True",
        )
        rows["input_times"] = run.input_times
    for layer, (first, spec) in enumerate(zip(run.layer_times, network.layers, strict=True)):
        where = f"state {run.name!r}, {run.layer_names[1 + layer]}"
        if spec.neuron.spikes_once:
            rows[f"layers/{layer}/first_spike_times"] = first
            if run.spike_trains is not None:
                _check_once(
                    run.spike_trains[layer],
                    where,
                    "expected one spike of a neuron at most, because its t_refractory is inf",
                )
        else:
            if run.further_spikes is not None:
                raise RunInputError(
                    f"{where}: its neurons may spike more than once; expected all of their spikes "
                    "in the activity (Activity.of_spikes), and no further_spikes"
                )
            spikes = run.spikes[layer]
            rows |= _listed(spikes_place(layer), spikes, ends[1 + layer])
            after[1 + layer] += spikes.n_spikes
    for layer, further in enumerate(run.further_spikes or ()):
        place = f"layers/{layer}/further_spikes"
        rows[f"{place}/samples"] = further.samples + ends[0]
        rows[f"{place}/neurons"], rows[f"{place}/times"] = further.neurons, further.times
        after[1 + layer] += len(further.times)
    return rows, after


def _listed(place: str, spikes: Spikes, before: np.int64) -> Rows:
    times, units, offsets = spikes.events
    return {
        f"{place}/ends": offsets[1:] + before,
        f"{place}/times": times,
        f"{place}/units": units,
    }


def _check_once(spikes: Spikes, where: str, expected: str) -> None:
    if spikes.once:
        return
    sample, unit = (int(i) for i in np.argwhere(spikes.count > 1)[0])
    raise RunInputError(
        f"{where}: number {unit} spikes {spikes.count[sample, unit]} times in sample {sample}; "
        f"{expected}"
    )
