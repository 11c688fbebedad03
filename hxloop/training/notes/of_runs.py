"""What is odd about a network, a substrate, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import RunInfo
from hxloop.network import NetworkSpec
from hxloop.training.notes.note import WORTH_A_WORD, Note, share

Times = NDArray[np.floating]


def dale_note(forbidden: int) -> Note:
    """That so many initial weights were against Dale's law."""
    return Note(
        "weights-against-dale",
        f"{forbidden} of the initial weights had a sign that Dale's law does not allow their "
        "neuron (n_inhibitory); they were set to 0 before training",
        {"weights": forbidden},
    )


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
                f"{share(n, sum(sizes), which)} lie beyond the range of {info.backend}{bound} and "
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
                f"{share(n, sum(sizes), which)} are smaller than half a step of {info.backend} "
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
    output = network.output_index
    dead = [
        i
        for i, silent in enumerate(silent_fraction)
        if silent >= 1 and not network.layers[i].neuron.never_spikes
    ]
    if dead:
        first = "the outputs" if dead[0] == output else f"layer {dead[0] + 1}"
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
        why = "because no output neuron spiked"
        if network.layers[output].neuron.never_spikes:
            why = "because no membrane of the read-out rose above leak"
        silent = silent_fraction[output]
        notes.append(
            Note(
                "undecided",
                f"{share(undecided, samples, 'samples')} are not decided, {why} {window}; they "
                f"count as wrong. {100 * silent:.1f} % of all output "
                "spikes are missing; if that is too many, lengthen the window.",
                {"samples": undecided, "of": samples, "silent_outputs": silent},
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
    if n := info.repeated_spikes:
        notes.append(
            Note(
                "repeated-spikes",
                f"{n} spikes were further ones of neurons that are to spike once in a sample: "
                f"{info.backend} lets them spike again, other neurons feel it, and the gradient "
                "knows the first spike only. A longer refractory time, or a network whose neurons "
                "may spike again (network.neuron.t_refractory), mends it.",
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
            f"{share(ties, samples, 'decisions')} are ties: two output neurons spiked equally "
            "well, as on a coarse clock; of equals the one with the lower index is taken "
            f"({right} of these decisions are right).",
            {"samples": ties, "of": samples, "right": right},
        ),
    )


def neuron_notes(metrics: Mapping[str, Any]) -> tuple[Note, ...]:
    """That training led parameters of neurons to their bounds.

    Args:
        metrics: of an epoch.
    """
    if not (n := metrics.get("clipped_neurons", 0)):
        return ()
    return (
        Note(
            "neurons-clipped",
            f"In epoch {metrics['epoch']} {n} times a step led a time constant, threshold or reset "
            "out of its bounds (LoopNetwork.enforce_neurons); it was set back to the bound. "
            "Smaller steps (training.neuron_rate) keep more of them within.",
            {"values": n, "epoch": metrics["epoch"]},
        ),
    )


def _by_layer(counts: Sequence[int], sizes: Sequence[int]) -> str:
    layers = [
        (count, f"layer {index + 1}: {count} of {size}")
        for index, (count, size) in enumerate(zip(counts, sizes, strict=False))
    ]
    if len(layers) <= 3:
        return ", ".join(text for _, text in layers)
    most = sorted(layers, key=lambda layer: -layer[0])[:3]
    return "most in " + ", ".join(text for _, text in most)
