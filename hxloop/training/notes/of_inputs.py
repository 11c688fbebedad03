"""What is odd about the spikes that a network is given."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.network import NetworkSpec
from hxloop.training.notes.note import WORTH_A_WORD, Note, share
from hxloop.training.samples import SpikeData

Times = NDArray[np.floating]

# Input spikes of a sample that lie closer than this, in tau_syn, are one moment for a membrane.
MOMENT = 1e-3


def data_notes(data: SpikeData, network: NetworkSpec, what: str = "") -> tuple[Note, ...]:
    """``input_notes`` of encoded samples, and how many spikes were lost when they were made."""
    found = input_notes(data.input_times, network, what)
    if data.clipped:
        note = Note(
            "values-clipped",
            f"{data.clipped} value{'s' * (data.clipped > 1)} of the "
            f"{f'{what} samples'.strip()} lay beyond the range of the training samples, and were "
            "cut to it.",
            {"values": data.clipped},
        )
        found = (*found, note)
    if not data.merged:
        return found
    n = data.merged + Spikes.of(data.input_times, data.n_inputs).n_spikes
    note = Note(
        "inputs-merged",
        f"{share(data.merged, n, 'input spikes')} of the {f'{what} samples'.strip()} came at the "
        "very time of another one on their channel, because channels were merged or times are "
        "stored coarsely, and count once with it.",
        {"spikes": data.merged, "of": n},
    )
    return (*found, note)


def input_notes(
    input_times: Times | Spikes, network: NetworkSpec, what: str = ""
) -> tuple[Note, ...]:
    """What is odd about input spike times.

    Args:
        input_times: ``(n, n_inputs)``, model time, ``inf`` = no spike; or all spikes.
        network: that they are for.
        what: which samples, e.g. "training", for the text.
    """
    # Of several spikes of a channel the columns are spikes in their order, not channels.
    times = _in_order(input_times) if isinstance(input_times, Spikes) else np.asarray(input_times)
    samples = f"{what} samples".strip()
    found = [_after_window(times, network, samples), _at_once(times, network, samples)]
    alike = not isinstance(input_times, Spikes) or bool(
        (input_times.count == input_times.count[:1]).all()
    )
    if found[1] is None and alike:
        found.append(_all_alike(times, samples))
    counts = (times < network.t_window).any(axis=1)
    if (n := int((~counts).sum())) and n >= WORTH_A_WORD * len(times):
        found.append(
            Note(
                "samples-without-input",
                f"{share(n, len(times), samples)} have no input spike before the end of "
                "the window: nothing can spike in them.",
                {"samples": n, "of": len(times)},
            )
        )
    return tuple(note for note in found if note is not None)


def _in_order(spikes: Spikes) -> Times:
    """``(n, most spikes of a sample)``, the times of each sample in their order, then ``inf``."""
    counts = np.diff(spikes.offsets)
    table = np.full((spikes.batch, int(counts.max(initial=0))), np.inf)
    table[np.arange(table.shape[1]) < counts[:, None]] = spikes.times
    return table


def _after_window(times: Times, network: NetworkSpec, samples: str) -> Note | None:
    window, tau = network.t_window, min(layer.neuron.tau_syn for layer in network.layers)
    spikes = np.isfinite(times)
    # A spike at the very end of the window cannot make another one within it.
    n, total = int((spikes & (times >= window)).sum()), int(spikes.sum())
    if not n:
        return None
    middle = float(np.median(times[spikes]))
    unit = (
        f" Half of them come after {middle:.3g}. Times are in units of the synaptic time "
        "constant: if yours are in milliseconds or microseconds, divide them by it."
        if middle > max(window, 3 * tau)
        else ""
    )
    return Note(
        "inputs-after-window",
        f"{share(n, total, 'input spikes')} of the {samples} come at or after the end of the "
        f"window, network.t_window = {window:g}, and never count; lengthen it, or let the inputs "
        f"come earlier (encoding.t_late, encoding.bias_times).{unit}",
        {"spikes": n, "of": total, "t_window": window, "median_time": middle},
    )


def _at_once(times: Times, network: NetworkSpec, samples: str) -> Note | None:
    tau = min(layer.neuron.tau_syn for layer in network.layers)
    spikes = np.isfinite(times)
    several = spikes.sum(axis=1) >= 2
    first = np.where(spikes, times, np.inf).min(axis=1, initial=np.inf)
    last = np.where(spikes, times, -np.inf).max(axis=1, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        span = last - first
    at_once = several & (span < MOMENT * tau)
    n, total = int(at_once.sum()), int(several.sum())
    if n < max(1, 0.1 * total):
        return None
    widest = float(span[at_once].max())
    return Note(
        "inputs-at-once",
        f"In {share(n, total, samples)} all inputs spike within {MOMENT * tau:g} "
        f"(at most {widest:.2g} apart), which is one moment for a neuron. Times are in units of "
        "the synaptic time constant: if yours are in seconds, divide them by it.",
        {"samples": n, "of": total, "largest_span": widest},
    )


def _all_alike(times: Times, samples: str) -> Note | None:
    if len(times) < 2 or times.shape[1] == 0:
        return None
    same = np.isinf(times).all(axis=0) | np.isfinite(times).all(axis=0)
    if not same.all():
        return None
    finite = times[:, np.isfinite(times[0])]
    if finite.size and float(np.ptp(finite, axis=0).max()) >= MOMENT:
        return None
    return Note(
        "inputs-alike",
        f"All {len(times)} {samples} have the same input times (within {MOMENT:g}): nothing in "
        "them tells the classes apart.",
        {"samples": len(times)},
    )
