"""What a substrate can do, as it declares it."""

from __future__ import annotations

from dataclasses import dataclass

from hxloop.network import Feature


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do, read by ``check_run``, by tolerances of tests and by users.

    Attributes:
        deterministic: the same run twice gives the same spikes.
        time_resolution: largest error of a spike time of one layer, in model time, where the
            membrane does not graze the threshold; a crossing that is undone sooner may be missed.
        latency: systematic delay of a spike time of one layer, in model time, that remains in the
            recorded times.
        weight_levels: number of weight values of one sign besides 0; None = continuous.
        weight_limit: largest magnitude of a weight; None = unlimited.
        max_neurons: neuron circuits of the substrate; None = unlimited.
        max_fan_in: signed inputs that one neuron can have; None = unlimited.
        max_layers: largest number of layers; None = unlimited.
        tau_ratios: the values of ``tau_mem/tau_syn`` it can do; None = every one.
        records: names that ``run(record=...)`` accepts beyond the first spikes.
        max_batch: largest number of samples of one run; None = unlimited.
        knobs: names of the settings that a calibration may turn, see ``hxloop.chip.readout``.
        observables: what a session with knobs can be read out with, beyond ``run``.
        spontaneous: whether a neuron may spike without a cause among its inputs: it rests above
            its threshold, or noise does the rest. None: those of a substrate that is not
            deterministic may.
        time_limit: seconds after which a run counts as hung; None: never, as for simulators.
        features: what it can do beyond a chain of layers whose neurons spike once, all nominal.
    """

    deterministic: bool
    time_resolution: float
    latency: float = 0.0
    weight_levels: int | None = None
    weight_limit: float | None = None
    max_neurons: int | None = None
    max_fan_in: int | None = None
    max_layers: int | None = None
    tau_ratios: tuple[float, ...] | None = None
    records: frozenset[str] = frozenset()
    max_batch: int | None = None
    knobs: frozenset[str] = frozenset()
    observables: frozenset[str] = frozenset()
    spontaneous: bool | None = None
    time_limit: float | None = None
    features: frozenset[Feature] = frozenset()

    @property
    def may_spike_unprompted(self) -> bool:
        """Whether neurons may spike before an input makes them; see ``spontaneous``."""
        return not self.deterministic if self.spontaneous is None else self.spontaneous
