"""The ideal substrate: exact, deterministic, unlimited. The reference, and a template to copy.

A new backend needs what is here: a small class with a name, capabilities and ``open``, and a
session with ``run`` and ``close``. ``check_run`` has done the checking by the time any
substrate is touched.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from hxloop.activity import Activity, RunInfo
from hxloop.backends.precision import PRECISIONS, RESOLUTION, check_precision
from hxloop.engine import NeuronParameters
from hxloop.engine.compiled.interface import first_spike_times_cpu
from hxloop.errors import CapacityError, SessionClosedError
from hxloop.network import NetworkSpec
from hxloop.substrate import Capabilities, check_network, check_run, check_stream
from hxloop.version import __version__


@dataclass(frozen=True)
class IdealBackend:
    """Runs the nominal model of every neuron exactly, in software.

    Args:
        precision: of membranes, and of the gradient, which follows the weights in use: "double",
            or "single", about 1.5 times as fast. In single precision spike times are off by 1e-6
            in the median; those that graze the threshold, where the digits halve, by up to 5e-3.

    Raises:
        ConfigError: another precision.
    """

    precision: str = "double"

    name: ClassVar[str] = "ideal"

    def __post_init__(self) -> None:
        check_precision(self.name, self.precision)

    @property
    def capabilities(self) -> Capabilities:
        """No limits; spike times are exact to rounding."""
        return Capabilities(deterministic=True, time_resolution=RESOLUTION[self.precision])

    def open(
        self, network: NetworkSpec, *, calibration: Any = None, seed: int | None = None
    ) -> IdealSession:
        """Open a session. ``seed`` is not used: there is no noise.

        Raises:
            CapacityError: a calibration was given; there is nothing to calibrate.
        """
        if calibration is not None:
            raise CapacityError(
                "backend 'ideal': takes no calibration (backend.calibration), it has nothing to "
                f"calibrate; got {calibration!r}"
            )
        check_stream("seed", seed)
        check_network(network, self.capabilities, self.name)
        return IdealSession(network, self.capabilities, PRECISIONS[self.precision])


class IdealSession:
    """An open network on the ideal substrate."""

    def __init__(
        self, network: NetworkSpec, capabilities: Capabilities, dtype: type[np.floating[Any]]
    ) -> None:
        self.network = network
        self.capabilities = capabilities
        self._dtype = dtype
        self._open = True

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        """Run one batch; see ``hxloop.substrate.Session.run``."""
        if not self._open:
            raise SessionClosedError("backend 'ideal': this session is closed; open another one")
        matrices, times = check_run(self.network, weights, input_times, self.capabilities, record)
        check_stream("trial", trial)
        start = time.perf_counter()
        # Copies: the caller goes on changing its weights.
        held = tuple(matrix.astype(self._dtype, order="C") for matrix in matrices)
        layers: list[np.ndarray] = []
        previous = times
        for matrix, layer in zip(held, self.network.layers, strict=True):
            neurons = NeuronParameters.uniform(layer.neuron, matrix.shape[1])
            previous = first_spike_times_cpu(previous, matrix, neurons, self.network.t_window)
            layers.append(previous)
        return Activity(
            input_times=times.copy(),
            first_spike_times=tuple(layers),
            weights_used=held,
            info=RunInfo(
                backend="ideal",
                versions={"hxloop": __version__, "numpy": np.__version__},
                clipped_weights=(0,) * len(layers),
                duration_seconds=time.perf_counter() - start,
            ),
        )

    def close(self) -> None:
        """Close the session; ``run`` raises afterwards."""
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
