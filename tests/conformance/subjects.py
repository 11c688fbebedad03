"""Which backends the suite is run on, how each is made, and which of them CI may not skip."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hxloop.conformance import Subject
from hxloop.network import NeuronSpec
from hxloop.substrate import get_backend
from tests.contract_double.control import MASTER, Laboratory
from tests.engine.brute_force import first_spike


def in_ci(environment: Mapping[str, str]) -> bool:
    """Whether the tests run in CI, where nothing that is required may be skipped."""
    return environment.get("CI", "").lower() not in ("", "0", "false")


CI = in_ci(os.environ)


@dataclass(frozen=True)
class Entry:
    """One row of the table below.

    Attributes:
        name: of the backend.
        options: of the backend.
        required: CI fails if the substrate is missing, rather than skip.
        settings: of the ``Subject``.
        only: groups of checks; (): all of them.
        double: runs on a stand-in of the vendor's software with this chip behind it.
        quick: groups of checks that run in every suite, the others in the slow one; (): all do.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    required: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    double: Laboratory | None = None
    quick: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [str(v) for v in self.options.values() if not isinstance(v, Mapping | list)]
        if self.double is not None:
            words.append(self.double.flavour.replace(" ", ""))
        return "-".join([self.name, *words])


def scanned_layer(
    times: np.ndarray, weights: np.ndarray, neuron: NeuronSpec, window: float
) -> np.ndarray:
    """Expected times for the ideal backend, by the brute force: it shares no line with it."""
    distance = neuron.v_threshold - neuron.v_leak
    result = np.full((len(times), weights.shape[1]), np.inf)
    for sample, post in np.ndindex(result.shape):
        result[sample, post], _ = first_spike(
            times[sample], weights[:, post].astype(np.float64), neuron.tau_mem, neuron.tau_syn,
            neuron.tau_syn, distance, window, points=2001,
        )  # fmt: skip
    return result


SCANNED = {"reference": scanned_layer}
NO_NOISE = {"imperfections": "none"}
EVENT_CHIP = {"name": "emulated-chip", "solver": "event"}
# So small that the networks of the suite take several runs, and its loops just fit.
SMALL = {"circuits": 36, "inputs": 8, "tick": 1 / 750}

ENTRIES = (
    Entry("ideal", {"precision": "double"}, settings=SCANNED),
    Entry("ideal", {"precision": "single"}, settings=SCANNED),
    Entry("emulated-chip", {"solver": "event", **NO_NOISE}),
    Entry("emulated-chip", {"solver": "event", "precision": "single", **NO_NOISE}),
    Entry("emulated-chip", {"solver": "event", "imperfections": "calibrated"}),
    Entry("emulated-chip", {"solver": "event", "imperfections": "uncalibrated"}),
    Entry(
        "emulated-chip",
        {"solver": "event", "delay_neurons": True, **NO_NOISE},
        only=("delays", "read-out"),
    ),
    Entry("emulated-chip", {"solver": "brian2", **NO_NOISE}),
    Entry("pynn-nest"),
    Entry("pynn-neuron", {"dt": 0.02}),
    Entry("pynn-brian2", {"dt": 0.05}),
    Entry("partitioned", {"over": EVENT_CHIP | NO_NOISE, **SMALL}, quick=("accuracy", "recurrent")),
    Entry("ensemble", {"over": EVENT_CHIP, "numbers": [1, 2, 3]}, quick=("accuracy", "repeat")),
    Entry("pynn-brainscales2", double=Laboratory(imperfections="none")),
    Entry(
        "pynn-brainscales2",
        double=Laboratory(imperfections="none", flavour=MASTER),
        quick=("accuracy", "repeat"),
    ),
)


def subject_of(entry: Entry) -> Subject:
    """The backend of a row, ready for checks."""
    backend = get_backend(entry.name, **entry.options)
    return Subject(backend, label=str(entry), **entry.settings)
