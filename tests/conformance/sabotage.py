"""Backends that break one promise each, made of the ideal one, to see that a check notices."""

from __future__ import annotations

import math
import mmap
import os
import pickle
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from hxloop.activity import Activity
from hxloop.errors import HxloopError, SessionClosedError
from hxloop.network import NetworkSpec, NeuronSpec, Parameters
from hxloop.substrate import Capabilities, Session, get_backend

Array = np.ndarray
# What a sabotage does instead of a run: given the state of the session, the good run, and what
# the run was called with.
Run = Callable[["Sabotaged", Callable[..., Activity], list[Array], Array], Activity]


def honest(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    return run(w, t)


@dataclass
class Backend:
    """The ideal backend, or another one, with something wrong.

    Args:
        run: what a session does when it runs.
        network: changes the network that is opened.
        declares: changes of the capabilities.
        inner: name and options of the backend inside.
        on_open: called with the backend and the new session.
        refuses: whether unknown calibrations and recordings are refused.
        closes: whether closing does anything.
    """

    run: Run = honest
    network: Callable[[NetworkSpec], NetworkSpec] = lambda network: network
    declares: dict[str, Any] = field(default_factory=dict)
    inner: tuple[str, dict[str, Any]] = ("ideal", {})
    on_open: Callable[[Backend, Sabotaged], None] = lambda backend, session: None
    refuses: bool = True
    closes: bool = True
    known_deviations: dict[str, str] = field(default_factory=dict)
    sessions: list[Sabotaged] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.inner[0]

    @property
    def capabilities(self) -> Capabilities:
        inner = get_backend(self.inner[0], **self.inner[1])
        return replace(inner.capabilities, **self.declares)

    def open(self, network: NetworkSpec, *, calibration: Any = None, seed: Any = None) -> Session:
        inner = get_backend(self.inner[0], **self.inner[1])
        calibration = calibration if self.refuses else None
        opened = inner.open(self.network(network), calibration=calibration, seed=seed)
        session = Sabotaged(self, opened, network)
        self.sessions.append(session)
        self.on_open(self, session)
        return session


class Sabotaged:
    """A session of such a backend. Sabotages keep what they need in ``memory``."""

    def __init__(self, backend: Backend, inner: Session, network: NetworkSpec) -> None:
        self.backend, self.inner, self.network = backend, inner, network
        self.capabilities = backend.capabilities
        self.memory: list[Any] = []

    def run(self, weights: Any, input_times: Any, *, record: Any = (), trial: Any = None) -> Any:
        record = record if self.backend.refuses else ()

        def good(w: Any, t: Any) -> Activity:
            return self.inner.run(w, t, record=record, trial=trial)

        return self.backend.run(self, good, weights, input_times)

    def close(self) -> None:
        if self.backend.closes:
            self.inner.close()

    def __enter__(self) -> Sabotaged:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


# --- ways to go wrong ---------------------------------------------------------------------


def spikes(change: Callable[[Array, Array], Array], layer: int | None = None) -> Run:
    """Spike times changed, of every layer or of one; told the input times, too."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        activity = run(w, t)
        layers = list(activity.first_spike_times)
        for index in range(len(layers)) if layer is None else [layer]:
            layers[index] = change(layers[index], np.asarray(t))
        return replace(activity, first_spike_times=tuple(layers))

    return run


def inputs(change: Callable[[Array], Array]) -> Run:
    """Other inputs are delivered than asked for, and nothing is said about it."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        return replace(run(w, change(np.asarray(t))), input_times=np.array(t))

    return run


def weights(change: Callable[[Array], Array]) -> Run:
    """Other weights are in use than reported."""

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        activity = run([change(np.asarray(matrix)) for matrix in w], t)
        return replace(activity, weights_used=tuple(np.array(m) for m in w))

    return run


def info(**changes: Any) -> Run:
    return lambda session, run, w, t: replace(
        (activity := run(w, t)), info=replace(activity.info, **changes)
    )


def counts_clipped_codes(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Any:
    """A weight that is rounded to the limit from above is not counted as clipped."""
    half = (1 + 0.5 / 63) * session.inner.capabilities.weight_limit
    clipped = tuple(int((np.abs(matrix) > half).sum()) for matrix in w)
    return info(clipped_weights=clipped)(session, run, w, t)


def views(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    return replace(run(w, t), input_times=np.asarray(t))


def writes(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    t[t > 4] = np.inf
    return run(w, t)


def one_buffer(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    activity = run(w, t)
    if not session.memory:
        session.memory.append(activity.first_spike_times[0].copy())
    session.memory[0][:] = activity.first_spike_times[0]
    layers = (session.memory[0], *activity.first_spike_times[1:])
    return replace(activity, first_spike_times=layers)


def drifts(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    session.memory.append(None)
    return spikes(lambda s, _: s + 1e-12 * len(session.memory))(session, run, w, t)


def remembers(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    """Spikes of the last run reach the next one, where that has none."""
    activity = run(w, t)
    last = session.memory[-1:]
    session.memory.append(activity.first_spike_times)
    if not last or last[0][0].shape != activity.first_spike_times[0].shape:
        return activity
    merged = zip(activity.first_spike_times, last[0], strict=True)
    layers = tuple(np.where(np.isinf(now), before, now) for now, before in merged)
    return replace(activity, first_spike_times=layers)


def stale_weights(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    session.memory.append([np.array(matrix) for matrix in w])
    return replace(run(session.memory[0], t), weights_used=tuple(np.array(m) for m in w))


def leaks(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    # Pages of their own: an array might be given room that earlier tests have freed.
    area = mmap.mmap(-1, 2_000_000)
    area.write(b"\1" * len(area))
    LEAKED.append(area)
    return run(w, t)


LEAKED: list[Any] = []


def leaves_files_open(backend: Backend, session: Sabotaged) -> None:
    LEAKED.append(open("/dev/null"))  # noqa: SIM115


def slows_down(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
    """What closed sessions built goes on being simulated."""
    end = time.process_time() + 0.02 * len(session.backend.sessions)
    while time.process_time() < end:
        pass
    return run(w, t)


def closes_the_others(backend: Backend, session: Sabotaged) -> None:
    for other in backend.sessions[:-1]:
        other.inner.close()


def through_one_place(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Any:
    """Arguments travel to the substrate by one place that all threads share."""
    session.memory[:] = w
    time.sleep(0.005)
    return run(list(session.memory), t)


def through_one_file(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Any:
    """As ``through_one_place``, by a file: forked children share that, too."""
    file = _file_of(session)
    file.write_bytes(pickle.dumps(w))
    time.sleep(0.005)
    return run(pickle.loads(file.read_bytes()), t)


def in_a_folder(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Any:
    """What a session keeps in a folder is gone once anybody has closed it."""
    file = _file_of(session)
    session.close = lambda: file.unlink(missing_ok=True)  # type: ignore[method-assign]
    if session.memory[1:] and not file.exists():
        raise FileNotFoundError(file)
    file.touch()
    session.memory.append(None)
    return run(w, t)


def _file_of(session: Sabotaged) -> Path:
    if not session.memory:
        session.memory.append(tempfile.TemporaryDirectory())
    return Path(session.memory[0].name) / "weights"


def in_the_parent_only(what: Callable[[], Any]) -> Run:
    """A session that does something else in a forked child."""
    parent = os.getpid()

    def run(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Activity:
        if os.getpid() != parent:
            what()
        return run(w, t)

    return run


def refuses_without_names() -> None:
    raise SessionClosedError("no")


def is_copied_by(copier: Callable[[Sabotaged], Any]) -> Callable[[Backend, Sabotaged], None]:
    def on_open(backend: Backend, session: Sabotaged) -> None:
        session.__deepcopy__ = lambda memo: copier(session)  # type: ignore[attr-defined]

    return on_open


def without_end(session: Sabotaged) -> Any:
    return without_end(session)


def refuses_nothing(session: Sabotaged, run: Callable[..., Activity], w: Any, t: Any) -> Any:
    try:
        return run(w, t)
    except HxloopError:
        shapes = session.network.shapes
        delays = [
            None if shape is None else np.ones(shape) for shape in session.network.delay_shapes
        ]
        zeros = Parameters(tuple(np.zeros(shape) for shape in shapes), tuple(delays))
        return run(zeros, np.zeros((1, shapes[0][0])))


def as_if(**changes: float) -> Callable[[NetworkSpec], NetworkSpec]:
    """Every neuron opened with other parameters."""

    def change(network: NetworkSpec) -> NetworkSpec:
        def other(neuron: NeuronSpec) -> NeuronSpec:
            return replace(neuron, **changes)

        layers = [replace(layer, neuron=other(layer.neuron)) for layer in network.layers]
        return replace(network, layers=tuple(layers))

    return change


def wider(network: NetworkSpec) -> NetworkSpec:
    return replace(network, t_window=1.5 * network.t_window)


def without_inhibition(matrix: Array) -> Array:
    return np.maximum(matrix, 0)


def first_of_equal(times: Array) -> Array:
    """Of simultaneous inputs only the first is delivered."""
    result = times.copy()
    for row in result:
        _, first = np.unique(row, return_index=True)
        row[np.setdiff1d(np.arange(len(row)), first)] = math.inf
    return result


CHIP = ("emulated-chip", {"solver": "event", "imperfections": "none"})
NOISY = ("emulated-chip", {"solver": "event"})
