"""A network larger than a chip, on chips of real size: run after run, and joined.

Every batch is played through all parts of the network (``hxloop.chip.partition``), on one chip or
on several side by side. The host keeps the spikes of every run and plays them into the next ones
(``hxloop.chip.hop``). What is joined is the activity of one network: the spikes of a population are
at the times at which the next run got them, so the gradient at recorded spikes is what it always
was.

The same circuits serve several parts: neuron 0 of one part has the fixed pattern of neuron 0 of
another. The noise of every run is its own.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Activity, RunInfo, Spikes
from hxloop.backends.over import Over, backends_of, common_capabilities, run_side_by_side
from hxloop.backends.partitioned_joining import Joined
from hxloop.chip.hop import Hop
from hxloop.chip.partition import partition
from hxloop.chip.run_plan import Limits, Part, Plan
from hxloop.errors import CapacityError, RunFailed
from hxloop.network import Feature, NetworkSpec, Parameters
from hxloop.substrate import (
    Backend,
    BaseBackend,
    BaseSession,
    Calibration,
    Capabilities,
    Session,
    Simulated,
    check_network,
    check_stream,
    refuse_calibration,
)
from hxloop.substrate.optional import circuits_of, known_deviations, usable_circuits

Array = NDArray[np.float64]
# Not between two runs.
_NOT_OFFERED = {Feature.DELAYS, Feature.NEURON_PARAMETERS}


@dataclass(frozen=True)
class PartitionedBackend(BaseBackend):
    """One chip for a network that needs several, or several side by side.

    Args:
        over: the chip, as a backend or as its ``name`` and options; or a list of them, which play
            side by side what does not wait for one another.
        circuits: neuron circuits of each.
        inputs: signed inputs of a circuit; a neuron with more takes several circuits.
        latency: by how much later, in model time, a spike reaches the next run than it was
            recorded. About 80 ns on BrainScaleS-2: 0.0133 at ``tau_syn`` = 6 us.
        tick: cycle of the clock by which spikes are played into the next run, one in each cycle,
            model time; 8 ns are 1/750 at 6 us. 0: whenever they come.
        reopen: have one session open at a time, for substrates with room for one only.

    Raises:
        ConfigError: a value out of range, or chips of different kinds.
        UnknownNameError: ``over`` names a backend or option that does not exist.
    """

    name: ClassVar[str] = "partitioned"

    over: Over
    circuits: int = Limits.circuits
    inputs: int = Limits.inputs
    latency: float = 0.0
    tick: float = 0.0
    reopen: bool = False

    def __post_init__(self) -> None:
        hop = Hop(latency=self.latency, tick=self.tick)
        checks.settle(
            self,
            over=backends_of(f"{self.name}: over", self.over),
            circuits=checks.whole(f"{self.name}: circuits", self.circuits, low=1),
            inputs=checks.whole(f"{self.name}: inputs", self.inputs, low=1),
            latency=hop.latency,
            tick=hop.tick,
            reopen=checks.flag(f"{self.name}: reopen", self.reopen),
        )
        common_capabilities(f"{self.name}: over", self.chips)

    @property
    def chips(self) -> tuple[Backend, ...]:
        """The chips."""
        return self.over  # type: ignore[return-value]

    @property
    def hop(self) -> Hop:
        """What becomes of spikes between two runs."""
        return Hop(latency=self.latency, tick=self.tick)

    @property
    def capabilities(self) -> Capabilities:
        """What each chip can do, without the limit of its size."""
        each = common_capabilities(f"{self.name}: over", self.chips)
        return replace(
            each,
            time_resolution=each.time_resolution + self.hop.largest_step,
            max_neurons=None,
            max_fan_in=min(self.inputs * self.circuits, each.max_fan_in or 2**62),
            max_layers=None,
            features=each.features - _NOT_OFFERED,
        )

    @property
    def known_deviations(self) -> Mapping[str, str]:  # type: ignore[override]
        """Those of the chips."""
        found = [known_deviations(chip) for chip in self.chips]
        return {check: why for each in found for check, why in each.items()}

    def plan(self, network: NetworkSpec, calibration: Calibration | None = None) -> Plan:
        """The runs in which a network is played.

        Args:
            network: any without delays.
            calibration: of the chip; circuits that it left unusable are not counted on.

        Raises:
            CapacityError: see ``hxloop.chip.partition.partition``.
        """
        each = common_capabilities(f"{self.name}: over", self.chips)
        circuits = min(self.circuits, each.max_neurons or self.circuits)
        if calibration is not None:
            circuits = int(usable_circuits(calibration, circuits).sum())
        limits = Limits(circuits=circuits, inputs=self.inputs, max_fan_in=each.max_fan_in)
        return partition(network, limits)

    def open(
        self,
        network: NetworkSpec,
        *,
        calibration: Calibration | None = None,
        seed: int | None = None,
    ) -> PartitionedSession:
        """Make the plan, and open its parts on the chips.

        Args:
            network: what to run.
            calibration: of the chip, where it is one.
            seed: of the noise, of all parts; None draws one.

        Raises:
            CapacityError: the plan cannot be made, a chip cannot do its part, or a calibration was
                given for several chips.
        """
        seed = check_stream("seed", seed)
        if len(self.chips) > 1:
            refuse_calibration(self.name, calibration, "being over several chips")
        check_network(network, self.capabilities, self.name)
        try:
            plan = self.plan(network, calibration)
        except CapacityError as error:
            raise CapacityError(f"backend {self.name!r}: {error}") from error
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        return PartitionedSession(self, network, plan, seed, calibration)


class PartitionedSession(BaseSession[PartitionedBackend]):
    """A network that is played in several runs.

    Attributes:
        plan: the runs.
    """

    def __init__(
        self,
        backend: PartitionedBackend,
        network: NetworkSpec,
        plan: Plan,
        seed: int,
        calibration: Calibration | None,
    ) -> None:
        super().__init__(backend, network, seed=seed)
        self.plan, self._seed = plan, seed
        self._calibration = calibration
        self._sessions: dict[tuple[int, NetworkSpec], Session] = {}
        self._circuits: dict[tuple[int, NetworkSpec], tuple[NDArray[np.int64], ...] | None] = {}
        # Parts of a stage go to the chips in turn; the same part is always on the same chip.
        self._chip_of = {
            part.number: turn % len(backend.chips)
            for parts in plan.stages
            for turn, part in enumerate(parts)
        }
        try:
            opened = [self._session_of(part).capabilities for part in plan.parts]
        except BaseException:
            self._free()
            raise
        limits = [each.weight_limit for each in opened if each.weight_limit is not None]
        self.capabilities = replace(
            self.capabilities,
            time_resolution=max(each.time_resolution for each in opened) + backend.hop.largest_step,
            weight_limit=min(limits) if limits else None,
        )

    @property
    def circuits(self) -> tuple[NDArray[np.int64], ...] | None:
        """For each population ``(post, merged)``, its circuits; None: a chip does not say."""
        rows: list[list[NDArray[np.int64]]] = [[] for _ in self.network.layers]
        for part in self.plan.parts:
            found = self._circuits[self._chip_of[part.number], part.network]
            if found is None:
                return None
            for index, here in zip(part.populations, found, strict=True):
                rows[index].append(here)
        return tuple(np.concatenate(each) for each in rows)

    @property
    def n_open(self) -> int:
        """How many sessions are open on the chips."""
        return len(self._sessions)

    def _session_of(self, part: Part) -> Session:
        """The session that plays a part: parts of equal shape on one chip share one."""
        chip = self._chip_of[part.number]
        key = chip, part.network
        if key not in self._sessions:
            if self.backend.reopen:
                self._close_sessions(chip)
            opened = self.backend.chips[chip].open(
                part.network, calibration=self._calibration, seed=self.seed
            )
            self._sessions[key] = opened
            self._circuits[key] = circuits_of(opened)
        return self._sessions[key]

    def _close_sessions(self, chip: int) -> None:
        for key in [key for key in self._sessions if key[0] == chip]:
            self._sessions.pop(key).close()

    def _free(self) -> None:
        for chip in range(len(self.backend.chips)):
            self._close_sessions(chip)

    def _simulate(
        self, weights: tuple[Array, ...], input_times: Array, trial: int | None
    ) -> Simulated:
        joined, info = self._play(weights, Spikes.from_first(input_times), trial)
        return Simulated(
            first_spike_times=[spikes.first for spikes in joined.spikes()],
            input_times=joined.inputs.first,
            weights_used=joined.weights(),
            info=info,
        )

    def _simulate_trains(
        self, parameters: Parameters, inputs: Spikes, trial: int | None
    ) -> Simulated:
        joined, info = self._play(parameters.weights, inputs, trial)
        return Simulated(
            spikes=joined.spikes(), inputs=joined.inputs, weights_used=joined.weights(), info=info
        )

    def _play(
        self, weights: tuple[Array, ...], inputs: Spikes, trial: int | None
    ) -> tuple[Joined, RunInfo]:
        """One stage after the other, whole batches.

        Raises:
            RunFailed: of a part, with its number; what other parts have done is thrown away.
        """
        start, stream = time.perf_counter(), self._stream(trial)
        joined = Joined(self.plan, weights, inputs, self.backend.hop)

        def run(part: Part) -> Activity:
            try:
                # Noise is that of a run: the parts of one trial must not share it.
                return self._session_of(part).run(
                    joined.weights_of(part),
                    joined.inputs_of(part),
                    trial=stream * len(self.plan.parts) + part.number,
                )
            except RunFailed as error:
                chip = self._chip_of[part.number]
                error.add_note(
                    f"It was run {part.number} of {len(self.plan.parts)} of a network in parts, on "
                    f"chip {chip} ({self.backend.chips[chip].name}); the whole batch has no result."
                )
                raise

        for stage in self.plan.stages:
            for part, activity in zip(
                stage, run_side_by_side(run, stage, len(self.backend.chips)), strict=True
            ):
                joined.add(part, activity)
            joined.hand_over()
        seconds = time.perf_counter() - start
        return joined, joined.info(self.backend.name, self._seed, stream, seconds)
