"""Notes: what is odd about data, a network or a substrate, told once, with numbers.

A note never changes what is computed. It is told once, as a warning of the category
``HxloopWarning`` (the command line prints it as a line), and kept: in ``TrainingResult``,
``EvaluationResult`` and ``RunResult``, in ``metrics.jsonl`` and ``evaluation.json``, in what
``--json`` prints, and in the report.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import RunInfo
from hxloop.errors import HxloopWarning
from hxloop.network import NetworkSpec

Times = NDArray[np.floating]

# Input spikes of a sample that lie closer than this, in tau_syn, are one moment for a membrane.
MOMENT = 1e-3
# Shares below this are counted in the result, but nothing is said.
WORTH_A_WORD = 0.01
_PACKAGE = str(Path(__file__).parents[1])


@dataclass(frozen=True)
class Note:
    """Something odd.

    Attributes:
        key: what it is, e.g. "inputs-after-window"; the same in every run.
        text: a sentence, with numbers and what to do.
        values: the numbers, plain values by name.
    """

    key: str
    text: str
    values: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as files and ``--json`` have them."""
        return {"key": self.key, "text": self.text, **self.values}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Note:
        """What ``as_dict`` made."""
        rest = {name: value for name, value in content.items() if name not in ("key", "text")}
        return cls(str(content["key"]), str(content["text"]), rest)


def tell(notes: Iterable[Note]) -> None:
    """Warn of notes, as if from the line of the user's code that called hxloop."""
    for note in notes:
        warnings.warn(HxloopWarning(note.text), stacklevel=_depth_of_the_caller())


def latest(notes: Iterable[Note]) -> tuple[Note, ...]:
    """One note of each key, the last, in the order in which the keys first came."""
    return tuple({note.key: note for note in notes}.values())


def input_notes(input_times: Times, network: NetworkSpec, what: str = "") -> tuple[Note, ...]:
    """What is odd about input spike times.

    Args:
        input_times: ``(n, n_inputs)``, model time, ``inf`` = no spike.
        network: that they are for.
        what: which samples, e.g. "training", for the text.
    """
    times = np.asarray(input_times)
    samples = f"{what} samples".strip()
    found = [_after_window(times, network, samples), _at_once(times, network, samples)]
    if found[1] is None:
        found.append(_all_alike(times, samples))
    counts = (times < network.t_window).any(axis=1)
    if (n := int((~counts).sum())) and n >= WORTH_A_WORD * len(times):
        found.append(
            Note(
                "samples-without-input",
                f"{_share(n, len(times), samples)} have no input spike before the end of "
                "the window: nothing can spike in them.",
                {"samples": n, "of": len(times)},
            )
        )
    return tuple(note for note in found if note is not None)


def weight_notes(
    info: RunInfo, network: NetworkSpec, limit: float | None = None, *, initial: bool = False
) -> tuple[Note, ...]:
    """What a substrate did to the weights.

    Args:
        info: of a run, or of several of the same weights.
        network: whose weights.
        limit: largest weight of the substrate, where it has one.
        initial: whether they are the initial weights of a training on that substrate.
    """
    sizes = [pre * post for pre, post in network.shapes]
    which = "initial weights" if initial else "weights"
    notes = []
    if n := sum(info.clipped_weights):
        bound = "" if limit is None else f" (largest |weight| {limit:.4g})"
        advice = (
            "smaller initial weights (initialisation.means, initialisation.stdevs) or replicated "
            "inputs (encoding.replicate) keep them within"
            if initial
            else "train on this backend, or in software within its range (training.weight_limit"
            + (f" = {limit:.4g})" if limit is not None else ")")
        )
        notes.append(
            Note(
                "weights-clipped",
                f"{_share(n, sum(sizes), which)} lie beyond the range of {info.backend}{bound} and "
                f"were clipped: {_by_layer(info.clipped_weights, sizes)}; {advice}.",
                {"weights": n, "of": sum(sizes), "by_layer": list(info.clipped_weights)},
            )
        )
    zeroed = info.zeroed_weights
    if (n := sum(zeroed)) and any(
        count >= WORTH_A_WORD * size for count, size in zip(zeroed, sizes, strict=False)
    ):
        notes.append(
            Note(
                "weights-rounded-to-zero",
                f"{_share(n, sum(sizes), which)} are smaller than half a step of {info.backend} "
                f"and became 0: {_by_layer(zeroed, sizes)}; a finer step (the option weight_lsb "
                "where the backend has one) or larger weights keep them.",
                {"weights": n, "of": sum(sizes), "by_layer": list(zeroed)},
            )
        )
    return tuple(notes)


def silence_notes(
    silent_fraction: Sequence[float], network: NetworkSpec, undecided: int, samples: int
) -> tuple[Note, ...]:
    """What is odd about layers that do not spike.

    Args:
        silent_fraction: of (sample, neuron) pairs, for each layer.
        network: whose.
        undecided: samples without an output spike.
        samples: of all.
    """
    notes = []
    window = f"within network.t_window = {network.t_window:g}"
    dead = [i for i, silent in enumerate(silent_fraction) if silent >= 1]
    if dead:
        first = "the outputs" if dead[0] == len(silent_fraction) - 1 else f"layer {dead[0] + 1}"
        notes.append(
            Note(
                "layer-never-spikes",
                f"The network never decides: no neuron of {first} spiked in any of {samples} "
                f"samples {window}. Larger initial weights (initialisation.method = balanced "
                "finds them), a longer window, or earlier inputs help.",
                {"layers": [index + 1 for index in dead], "samples": samples},
            )
        )
    elif undecided >= max(1, WORTH_A_WORD * samples):
        silent = 100 * silent_fraction[-1]
        notes.append(
            Note(
                "undecided",
                f"{_share(undecided, samples, 'samples')} are not decided, because no output "
                f"neuron spiked {window}; they count as wrong. {silent:.1f} % of all output "
                "spikes are missing; if that is too many, lengthen the window.",
                {"samples": undecided, "of": samples, "silent_outputs": silent_fraction[-1]},
            )
        )
    return tuple(notes)


def physics_notes(info: RunInfo) -> tuple[Note, ...]:
    """What a substrate did that is possible, but odd.

    Args:
        info: of the runs of an evaluation.
    """
    notes = []
    if n := info.unprompted_spikes:
        notes.append(
            Note(
                "unprompted-spikes",
                f"{n} spikes came before any input with a positive weight: neurons of "
                f"{info.backend} rest above their threshold, or noise makes them spike. A "
                "calibration (hxloop calibrate) mends the first.",
                {"spikes": n},
            )
        )
    if n := info.moved_inputs:
        notes.append(
            Note(
                "inputs-moved",
                f"{n} input spikes were delivered by {info.backend} more than 0.1 tau_syn from "
                "when they were asked for. Many at one moment have to wait for each other: spread "
                "them, or replicate them less (encoding.replicate).",
                {"spikes": n},
            )
        )
    return tuple(notes)


def tie_notes(ties: int, right: int, samples: int) -> tuple[Note, ...]:
    """What is odd about decisions between equal output spikes.

    Args:
        ties: samples in which another output neuron was as good as the one decided for.
        right: of these, decided rightly.
        samples: of all.
    """
    if ties < max(1, WORTH_A_WORD * samples):
        return ()
    return (
        Note(
            "ties",
            f"{_share(ties, samples, 'decisions')} are ties: two output neurons spiked equally "
            "well, as on a coarse clock; of equals the one with the lower index is taken "
            f"({right} of these decisions are right).",
            {"samples": ties, "of": samples, "right": right},
        ),
    )


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
        f"{_share(n, total, 'input spikes')} of the {samples} come at or after the end of the "
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
        f"In {_share(n, total, samples)} all inputs spike within {MOMENT * tau:g} "
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


def _share(n: int, total: int, what: str) -> str:
    percent = 100 * n / max(total, 1)
    shown = f"{percent:.0f}" if percent >= 10 or percent == 0 else f"{percent:.2g}"
    # Never "100 %" of what is not all.
    shown = "99.9" if shown == "100" and n < total else shown
    return f"{n} of {total} {what} ({shown} %)"


def _by_layer(counts: Sequence[int], sizes: Sequence[int]) -> str:
    layers = [
        (count, f"layer {index + 1}: {count} of {size}")
        for index, (count, size) in enumerate(zip(counts, sizes, strict=False))
    ]
    if len(layers) <= 3:
        return ", ".join(text for _, text in layers)
    most = sorted(layers, key=lambda layer: -layer[0])[:3]
    return "most in " + ", ".join(text for _, text in most)


def _depth_of_the_caller() -> int:
    """``stacklevel`` of the first frame outside this package, seen from ``tell``."""
    frame, depth = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, depth = frame.f_back, depth + 1
    return depth
