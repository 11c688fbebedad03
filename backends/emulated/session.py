"""A network on an emulated chip: one run after another, by either solver."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop.activity import Activity, RunInfo
from hxloop.backends.emulated.event_solver import ChipLayer, EventSolver
from hxloop.backends.emulated.knob_session import KnobSession
from hxloop.backends.emulated.model import TrialNoise
from hxloop.backends.emulated.readout import ChipReadout, ReadoutNoise
from hxloop.backends.precision import PRECISIONS
from hxloop.chip.calibration import KnobCalibration
from hxloop.chip.clock import n_moved, n_tied, truncate
from hxloop.chip.operating_point import OperatingPoint
from hxloop.chip.readout import Codes, check_codes
from hxloop.chip.weight_grid import WeightGrid
from hxloop.errors import (
    SessionClosedError,
)
from hxloop.network import NetworkSpec
from hxloop.substrate import check_run, check_stream
from hxloop.version import __version__

if TYPE_CHECKING:
    from hxloop.backends.emulated.backend import EmulatedChipBackend

Array = NDArray[np.float64]


class Solver(Protocol):
    """Computes the first spikes of a network whose parameters have all been drawn."""

    def run(self, input_times: Array, layers: Sequence[ChipLayer]) -> list[Array]:
        """First spike times of every layer, ``(batch, post)`` each, ``inf`` = silent."""
        ...

    def close(self) -> None:
        """Free what the solver holds."""
        ...


class EmulatedChipSession(KnobSession):
    """A network on an emulated chip.

    Attributes:
        circuits: for each layer ``(post, merged)``, which circuits make up its neurons.
    """

    def __init__(
        self,
        backend: EmulatedChipBackend,
        network: NetworkSpec,
        seed: int,
        calibration: KnobCalibration | None = None,
    ) -> None:
        self.network = network
        self.capabilities = backend.capabilities
        self._backend = backend
        self._seed = seed
        self._trial = 0
        self._imperfections = backend._imperfections
        self._curves = backend._curves(network)
        self._calibration = calibration
        point = OperatingPoint()
        trial_lsb = self._imperfections.threshold_trial * point.distance_lsb
        super().__init__(
            ChipReadout(
                self._curves,
                backend.weight_lsb,
                self.capabilities.weight_levels,
                ReadoutNoise(seed, trial_lsb),
            ),
            self._curves.model.chip_id,
            self._turned,
            self._check_open,
        )
        lsb = backend.weight_lsb
        if calibration is None:
            self._layers = backend.chip_model(network).place(network)
        else:
            lsb *= calibration.weight_scale
            codes = check_codes(calibration.codes, self.knob_ranges, self.n_circuits)
            self._readout.set_knobs(codes)
            self._turned(self.codes, calibration.target)
        self._grid = WeightGrid(lsb) if backend.quantise_weights else None
        if self._grid is not None:
            self.capabilities = replace(self.capabilities, weight_limit=self._grid.limit)
        self._dtype = PRECISIONS[backend.precision]
        self._solver: Solver | None = _make_solver(backend, network)

    @property
    def circuits(self) -> tuple[NDArray[np.int64], ...]:
        """For each layer ``(post, merged)``, which circuits make up its neurons."""
        return tuple(placed.circuits for placed in self._layers)

    def _turned(self, codes: Mapping[str, Codes], target: OperatingPoint | None) -> None:
        calibration = self._calibration
        if target is None:
            target = calibration.target if calibration else OperatingPoint()
        # The grid is in weights of the size that they were measured to have.
        scale = 1.0 if calibration is None else calibration.weight_scale
        model = self._curves.pattern(codes, target, scale)
        self._layers = model.place(self.network, calibration.usable if calibration else None)

    def _check_open(self) -> None:
        self._open_solver()

    def _open_solver(self) -> Solver:
        if self._solver is None:
            raise SessionClosedError(
                "backend 'emulated-chip': this session is closed; open another one"
            )
        return self._solver

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        """Run one batch; see ``hxloop.substrate.Session.run``."""
        solver = self._open_solver()
        trial = check_stream("trial", trial)
        matrices, times = check_run(self.network, weights, input_times, self.capabilities, record)
        start = time.perf_counter()
        with self._knob_lock:
            placed_layers = self._layers
            if trial is None:
                trial, self._trial = self._trial, self._trial + 1
        noise = TrialNoise(self._imperfections, self._seed, trial)

        scaled = times * self._time_scale
        delivered = self._truncate(scaled)
        n_rounded = n_moved(scaled, delivered, self._backend.tick, self.network.t_window)
        used, clipped, zeroed, layers = [], [], [], []
        for index, (matrix, placed) in enumerate(zip(matrices, placed_layers, strict=True)):
            if self._grid is None:
                held, n_clipped = matrix.astype(self._dtype, order="C"), 0
            else:
                quantised = self._grid.quantise(matrix)
                zeroed.append(quantised.n_zeroed)
                held = quantised.values.astype(self._dtype, copy=False)
                n_clipped = quantised.n_clipped
            used.append(held)
            clipped.append(n_clipped)
            shape = (times.shape[0], matrix.shape[1])
            shift = placed.scale * noise.threshold(index, shape[1])
            parameters = placed.parameters
            layers.append(
                ChipLayer(
                    weights=placed.effective_weights(held),
                    parameters=replace(parameters, v_threshold=parameters.v_threshold + shift),
                    jitter=noise.jitter(index, *shape),
                    lost=noise.lost(index, *shape),
                )
            )
        exact = solver.run(delivered, layers)
        spikes = [self._recorded(layer) for layer in exact]
        lost = sum(int(layer.lost.sum()) for layer in layers if layer.lost is not None)
        return Activity(
            input_times=delivered / self._time_scale,
            first_spike_times=tuple(spikes),
            weights_used=tuple(used),
            info=RunInfo(
                backend="emulated-chip",
                versions={"hxloop": __version__, "numpy": np.__version__},
                chip_id=self._chip_id,
                calibration_digest=self._calibration.digest if self._calibration else None,
                seed=self._seed,
                trial=trial,
                clipped_weights=tuple(clipped),
                zeroed_weights=tuple(zeroed),
                rounded_inputs=n_rounded,
                tied_outputs=n_tied(spikes[-1], exact[-1]),
                lost_spikes=lost,
                duration_seconds=time.perf_counter() - start,
            ),
        )

    @property
    def _time_scale(self) -> float:
        return 1.0 if self._calibration is None else self._calibration.time_scale

    def _recorded(self, spikes: Array) -> Array:
        """Spike times as recorded, in the model time that a calibration makes of them."""
        stamped = self._truncate(spikes)
        if self._calibration is None:
            return stamped
        times = np.maximum(stamped / self._time_scale - self._calibration.spike_offset, 0.0)
        return np.where(times > self.network.t_window, np.inf, times)

    def _truncate(self, times: Array) -> Array:
        """Times cut down to the chip's clock; always a new array."""
        if not self._backend.quantise_times:
            return times.copy()
        return truncate(times, self._backend.tick)

    def close(self) -> None:
        """Free the solver; ``run`` raises afterwards."""
        if self._solver is not None:
            self._solver.close()
            self._solver = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _make_solver(backend: EmulatedChipBackend, network: NetworkSpec) -> Solver:
    if backend.solver == "event":
        return EventSolver(network.t_window)
    # Imported here: Brian2 takes seconds to import and is not needed for the other solver.
    from hxloop.backends.emulated.brian2.chip import make_brian2_solver

    return make_brian2_solver(
        network,
        dt=backend.dt,
        codegen=backend.codegen,
        cache_dir=backend.cache_dir,
        jitter=backend._imperfections.spike_jitter,
    )
