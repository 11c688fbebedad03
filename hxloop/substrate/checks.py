"""The checks before a run: nothing that can be wrong with an input reaches a substrate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.errors import (
    CapacityError,
    RunInputError,
)
from hxloop.network import Feature, NetworkSpec, Parameters
from hxloop.substrate.capabilities import Capabilities


def check_network(network: NetworkSpec, capabilities: Capabilities, backend: str) -> None:
    """Refuse a network that the substrate cannot do.

    Limits that depend on placement (merged circuits) are the backend's own business.

    Raises:
        CapacityError: a feature that it lacks (several spikes, loops, delays, ...), too many
            layers, or a ratio of time constants it cannot do.
    """
    missing = sorted(feature.value for feature in network.features - capabilities.features)
    if missing:
        known = ", ".join(sorted(feature.value for feature in capabilities.features))
        raise CapacityError(
            f"backend {backend!r}: network {network} needs {', '.join(missing)}, which it cannot "
            f"do; it does {known or 'chains of layers whose neurons spike once'}"
        )
    if capabilities.max_layers is not None and len(network.layers) > capabilities.max_layers:
        raise CapacityError(
            f"backend {backend!r}: at most {capabilities.max_layers} layers; network {network} "
            f"has {len(network.layers)}"
        )
    if capabilities.tau_ratios is None:
        return
    for index, layer in enumerate(network.layers):
        ratio = layer.neuron.tau_mem / layer.neuron.tau_syn
        if not any(np.isclose(ratio, known, rtol=1e-9) for known in capabilities.tau_ratios):
            raise CapacityError(
                f"backend {backend!r}: tau_mem/tau_syn must be one of {capabilities.tau_ratios}; "
                f"layer {index} has {ratio:g}"
            )


def check_takes_neurons(names: Sequence[str], capabilities: Capabilities, where: str) -> None:
    """Refuse parameters of neurons where the substrate has neurons of its own.

    Args:
        names: which there are.
        capabilities: of the session.
        where: begins the message.

    Raises:
        CapacityError: see above.
    """
    if not names or Feature.NEURON_PARAMETERS in capabilities.features:
        return
    raise CapacityError(
        f"{where}: parameters of neurons ({', '.join(names)}): this substrate takes none "
        f"(feature {Feature.NEURON_PARAMETERS.value}); its neurons are the nominal ones, or what a "
        "calibration makes of them. Give weights and delays alone, or use a backend that takes "
        'them: "ideal", a simulator ("pynn-nest", "pynn-neuron", "pynn-brian2") or "emulated-chip" '
        "without a calibration"
    )


def refuse_calibration(
    backend: str, calibration: object, why: str = "it has nothing to calibrate"
) -> None:
    """For a backend that takes none.

    Raises:
        CapacityError: a calibration was given.
    """
    if calibration is not None:
        raise CapacityError(
            f"backend {backend!r}: takes no calibration (backend.calibration), {why}; got "
            f"{calibration!r}"
        )


def check_stream(name: str, number: Any) -> int | None:
    """Check a number that chooses a stream of noise: a seed or a trial.

    Returns:
        It, as a plain int, or None.

    Raises:
        RunInputError: not None and not a whole number >= 0.
    """
    if number is None:
        return None
    try:
        return checks.whole(name, number, low=0, error=RunInputError)
    except RunInputError as error:
        raise RunInputError(f"{error}; None: the next stream") from error


def check_input(
    network: NetworkSpec,
    weights: Any,
    inputs: Any,
    capabilities: Capabilities,
    record: Iterable[str] = (),
) -> tuple[Parameters, Spikes]:
    """Check the input of a run of any network, before any substrate time is spent on it.

    Args:
        network: the network the session was opened with.
        weights: one matrix ``(pre, post)`` for each projection, or ``Parameters``.
        inputs: ``(batch, n_inputs)``, model time, ``inf`` = no spike; or ``Spikes``, any number
            of each channel.
        capabilities: of the session.
        record: names of what to record.

    Returns:
        Float64 arrays, views of the caller's own where they already are; they cannot be written
        to.

    Raises:
        RunInputError: wrong number of matrices, wrong shapes, an empty or too large batch,
            NaN, infinite weights, negative times, delays that are missing or too short, several
            spikes of a channel where the substrate takes one, or a recording that it cannot make.
        CapacityError: parameters of neurons where it takes none.
    """
    parameters = Parameters.of(network, weights)
    own = [f"{name} of {each}" for each, own in parameters.neurons.items() for name in own]
    check_takes_neurons(own, capabilities, "run")
    if isinstance(inputs, Spikes):
        spikes = Spikes.of(inputs, network.n_inputs, where="input_times")
        if not spikes.once and Feature.MULTI_SPIKE not in capabilities.features:
            np.asarray(spikes)  # says so
    else:
        shape = ("batch", network.n_inputs)
        spikes = Spikes.from_first(checks.spike_times("input_times", inputs, shape=shape))
    if spikes.batch == 0:
        raise RunInputError("input_times: expected at least one sample; got an empty batch")
    if capabilities.max_batch is not None and spikes.batch > capabilities.max_batch:
        raise RunInputError(
            f"input_times: at most {capabilities.max_batch} samples a run on this backend; got "
            f"{spikes.batch}. Split the batch."
        )
    if isinstance(record, str):
        raise RunInputError(f"record: expected a sequence of names; got the string {record!r}")
    names = checks.names("record", record, error=RunInputError)
    unknown = sorted(set(names) - capabilities.records)
    if unknown:
        known = ", ".join(sorted(capabilities.records)) or "nothing beyond the first spikes"
        raise RunInputError(f"record: this backend records {known}; got {', '.join(unknown)}")
    return parameters.read_only(), spikes.read_only()


def check_run(
    network: NetworkSpec,
    weights: Sequence[ArrayLike],
    input_times: ArrayLike,
    capabilities: Capabilities,
    record: Iterable[str] = (),
) -> tuple[tuple[NDArray[np.float64], ...], NDArray[np.float64]]:
    """``check_input`` of a network whose neurons and inputs spike once.

    Returns:
        Weights, and first spike times ``(batch, n_inputs)``.

    Raises:
        RunInputError: see ``check_input``.
    """
    parameters, spikes = check_input(network, weights, input_times, capabilities, record)
    return parameters.weights, np.asarray(spikes, np.float64)
