"""What a backend is: the protocol, what it can do, the checks before a run, the registry.

A backend describes a substrate; opening it with a network gives a session, and a session
has one job: run weights and input times, return the activity. Everything that can be
wrong with an input is checked here, before any substrate sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from importlib.metadata import EntryPoint, entry_points
from os import PathLike
from types import NoneType, TracebackType
from typing import Any, Protocol, Self, get_args, get_type_hints, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity import Activity
from hxloop.errors import (
    CapacityError,
    ConfigError,
    HxloopError,
    MissingDependencyError,
    RunInputError,
    UnknownNameError,
    unknown_name,
)
from hxloop.network import NetworkSpec

ENTRY_POINT_GROUP = "hxloop.backends"


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
        knobs: names of the settings that a calibration may turn, see ``hxloop.readout``.
        observables: what a session with knobs can be read out with, beyond ``run``.
        spontaneous: whether a neuron may spike without a cause among its inputs: it rests above
            its threshold, or noise does the rest. None: those of a substrate that is not
            deterministic may.
        time_limit: seconds after which a run counts as hung; None: never, as for simulators.
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

    @property
    def may_spike_unprompted(self) -> bool:
        """Whether neurons may spike before an input makes them; see ``spontaneous``."""
        return not self.deterministic if self.spontaneous is None else self.spontaneous


@runtime_checkable
class Session(Protocol):
    """A network opened on a substrate. A context manager: closing frees the substrate."""

    @property
    def network(self) -> NetworkSpec:
        """The network this session was opened with."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What the substrate can do for this network."""
        ...

    def run(
        self,
        weights: Sequence[ArrayLike],
        input_times: ArrayLike,
        *,
        record: Iterable[str] = (),
        trial: int | None = None,
    ) -> Activity:
        """Run one batch.

        Args:
            weights: one signed matrix ``(pre, post)`` for each layer. Never written to.
            input_times: ``(batch, n_inputs)`` in model time, ``inf`` = no spike. Never
                written to.
            record: what to record beyond the first spikes; see ``Capabilities.records``.
            trial: which stream of trial noise to use. The same session seed and trial give
                the same noise on a seeded backend; None takes the next stream. Real
                hardware has no say in its noise and ignores it.

        Raises:
            RunInputError: weights or times do not fit the network, or hold NaN, infinite
                weights or negative times.
            RunFailed: the substrate did not deliver; ``retryable`` says if it may next time.
            SessionClosedError: the session has been closed.
        """
        ...

    def close(self) -> None:
        """Free the substrate. Closing twice is allowed."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


@runtime_checkable
class Backend(Protocol):
    """A substrate, described. Small, picklable, with its options as fields."""

    @property
    def name(self) -> str:
        """Name under which ``get_backend`` finds it."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    def open(
        self, network: NetworkSpec, *, calibration: Any = None, seed: int | None = None
    ) -> Session:
        """Open a session.

        Args:
            network: what to run.
            calibration: a calibration result of this substrate; None uses it as it is.
            seed: seed of the trial noise, where the substrate has a seed.

        Raises:
            CapacityError: the network does not fit.
        """
        ...


def check_network(network: NetworkSpec, capabilities: Capabilities, backend: str) -> None:
    """Refuse a network that the substrate cannot do.

    Limits that depend on placement (merged circuits) are the backend's own business.

    Raises:
        CapacityError: too many layers, or a ratio of time constants it cannot do.
    """
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


def check_run(
    network: NetworkSpec,
    weights: Sequence[ArrayLike],
    input_times: ArrayLike,
    capabilities: Capabilities,
    record: Iterable[str] = (),
) -> tuple[tuple[NDArray[np.float64], ...], NDArray[np.float64]]:
    """Check the input of a run, before any substrate time is spent on it.

    Args:
        network: the network the session was opened with.
        weights: one matrix ``(pre, post)`` for each layer.
        input_times: ``(batch, n_inputs)``, model time, ``inf`` = no spike.
        capabilities: of the session.
        record: names of what to record.

    Returns:
        Weights and input times as float64 arrays, views of the caller's own where they already
        are; they cannot be written to.

    Raises:
        RunInputError: wrong number of matrices, wrong shapes, an empty or too large batch,
            NaN, infinite weights, negative times, or a recording the backend cannot make.
    """
    matrices = checks.matrices(
        "weights", weights, network.shapes, of=f"network {network}", error=RunInputError
    )
    times = checks.spike_times("input_times", input_times, shape=("batch", network.n_inputs))
    if times.shape[0] == 0:
        raise RunInputError("input_times: expected at least one sample; got an empty batch")
    if capabilities.max_batch is not None and times.shape[0] > capabilities.max_batch:
        raise RunInputError(
            f"input_times: at most {capabilities.max_batch} samples a run on this backend; got "
            f"{times.shape[0]}. Split the batch."
        )
    if isinstance(record, str):
        raise RunInputError(f"record: expected a sequence of names; got the string {record!r}")
    names = checks.names("record", record, error=RunInputError)
    unknown = sorted(set(names) - capabilities.records)
    if unknown:
        known = ", ".join(sorted(capabilities.records)) or "nothing beyond the first spikes"
        raise RunInputError(f"record: this backend records {known}; got {', '.join(unknown)}")
    return tuple(checks.read_only(matrix) for matrix in matrices), checks.read_only(times)


# --- registry -----------------------------------------------------------------------------


def _entry_points() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def backend_names() -> tuple[str, ...]:
    """Names of all installed backends, sorted."""
    return tuple(sorted(_entry_points()))


def backend_class(name: str) -> type[Any]:
    """The class registered under ``name``.

    Raises:
        UnknownNameError: there is no backend of that name.
        MissingDependencyError: its module needs a package that is not installed.
    """
    points = _entry_points()
    if name not in points:
        raise UnknownNameError(unknown_name("backend", name, points))
    try:
        loaded: type[Any] = points[name].load()
    except ImportError as error:
        raise MissingDependencyError(
            f"backend {name!r} needs the package {error.name!r}, which is not installed ({error}); "
            "try: pip install " + str(error.name).partition(".")[0]
        ) from error
    return loaded


def get_backend(name: str, **options: Any) -> Backend:
    """Make the backend registered under ``name``.

    Args:
        name: one of ``backend_names()``.
        **options: fields of the backend, for example ``chip=3`` for ``emulated-chip``.

    Raises:
        UnknownNameError: no such backend or no such option; the message lists the known ones.
        MissingDependencyError: a package that it needs is not installed.
        HxloopError: an option has a value that the backend refuses.
    """
    cls = backend_class(name)
    if is_dataclass(cls):
        known = {field.name: field for field in fields(cls) if field.init}
        for option in options:
            if option not in known:
                raise UnknownNameError(unknown_name(f"option of backend {name!r}", option, known))
        for option, field in known.items():
            if option not in options and field.default is field.default_factory is MISSING:
                raise ConfigError(
                    f"backend {name!r}: needs the option {option!r}; got "
                    f"{', '.join(options) or 'no options'}. Give it: --set {option}=..., in Python "
                    f"get_backend({name!r}, {option}=...)"
                )
    options = {option: checks.plain(value) for option, value in options.items()}
    try:
        backend: Backend = cls(**options)
    except (TypeError, ValueError, AttributeError) as error:
        if not isinstance(error, HxloopError):
            _check_types(cls, name, options)
        raise
    _check_types(cls, name, options)
    return backend


def _check_types(cls: type[Any], name: str, options: Mapping[str, Any]) -> None:
    """Check that numbers, flags and text are what the fields of a backend say they are.

    Backends check their options themselves; this is for what they overlook. Fields of other types
    than these are theirs alone.

    Raises:
        ConfigError: an option of another type.
    """
    known: dict[Any, Callable[[str, Any], Any]] = {
        int: checks.whole, bool: checks.flag, float: _any_number, str: _text_or_path,
    }  # fmt: skip
    try:
        hints = get_type_hints(cls)
    except (NameError, TypeError):  # names that are imported for type checkers alone
        return
    for option, value in options.items():
        kinds = set(get_args(hints.get(option))) or {hints.get(option)}
        if value is None and NoneType in kinds:
            continue
        kinds.discard(NoneType)
        kind = kinds.pop()
        if not kinds and kind in known:
            known[kind](f"backend {name!r}: {option}", value)


def _any_number(where: str, value: Any) -> float:
    """A number; whether it is in range, NaN and ``inf`` included, the backend knows."""
    got = checks.plain(value)
    if isinstance(got, float):
        return got
    return checks.number(where, value)


def _text_or_path(where: str, value: Any) -> Any:
    if isinstance(value, str | PathLike):
        return value
    raise ConfigError(f"{where}: expected text; got {checks.shown(value)}")
