"""What backends and sessions may offer beyond the minimum, and what holds without."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hxloop import LoopNetwork, NetworkSpec, get_backend, record
from hxloop.chip.calibration import as_knob_calibration, truth_at_codes
from hxloop.errors import CalibrationError, CapacityError, NetworkError
from hxloop.substrate import Backend, Session
from hxloop.substrate.optional import (
    Described,
    Deviating,
    check_calibration,
    circuits_of,
    description,
    digest_of_calibration,
    known_deviations,
    network_of,
    offers,
    true_parameters,
    usable_circuits,
)
from hxloop.training.twin import digital_twin

NETWORK = NetworkSpec.feed_forward(3, 4, 2, t_window=6.0)
WEIGHTS = [np.ones(shape) for shape in NETWORK.shapes]


class OldSession:
    """As of the minimal protocol: not a line more."""

    def __init__(self, network: NetworkSpec) -> None:
        self._inner = get_backend("ideal").open(network)
        self.network, self.capabilities = network, self._inner.capabilities

    def run(self, weights: Any, input_times: Any, *, record: Any = (), trial: Any = None) -> Any:
        return self._inner.run(weights, input_times, record=record, trial=trial)

    def close(self) -> None:
        self._inner.close()

    def __enter__(self) -> OldSession:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class OldBackend:
    """As of the minimal protocol: not a line more."""

    name = "old"
    capabilities = get_backend("ideal").capabilities

    def open(
        self, network: NetworkSpec, *, calibration: Any = None, seed: int | None = None
    ) -> OldSession:
        return OldSession(network)


def test_an_old_backend_is_one_and_has_what_holds_without() -> None:
    backend = OldBackend()
    assert isinstance(backend, Backend)
    assert description(backend) == "" and known_deviations(backend) == {}
    assert true_parameters(backend, NETWORK) == {} and truth_at_codes(backend) is None
    anything: Any = object()
    check_calibration(backend, NETWORK, anything)  # it cannot tell
    with backend.open(NETWORK) as session:
        assert isinstance(session, Session) and network_of(session) == NETWORK
        assert circuits_of(session) is None
        with pytest.raises(CapacityError, match="OldSession does not say on which circuits"):
            digital_twin(session, {})
        loop = LoopNetwork(session, WEIGHTS)
        assert loop.forward(np.zeros((2, 3)))[0].shape == (2, 2)


def test_an_old_emulator_that_takes_no_calibration_is_asked_without() -> None:
    class Emulator(OldBackend):
        def substrate_parameters(self, network: NetworkSpec) -> Mapping[str, Any]:
            return {"tau_mem": np.ones(sum(network.sizes[1:]))}

    assert len(true_parameters(Emulator(), NETWORK)["tau_mem"]) == 6


def test_the_emulated_chip_offers_all() -> None:
    chip = get_backend("emulated-chip", imperfections="none")
    assert "compiles its model once" in description(chip)
    assert description(get_backend("emulated-chip", solver="event")) == ""
    assert description(get_backend("emulated-chip", codegen="numpy")) == ""
    assert len(true_parameters(chip, NETWORK)["tau_mem"]) == 6
    assert truth_at_codes(chip) is chip
    nothing: Any = object()
    with pytest.raises(CalibrationError, match="got object"):
        check_calibration(chip, NETWORK, nothing)
    check_calibration(chip, NETWORK, None)


def test_what_is_wrapped_offers_what_is_inside(tmp_path: Path) -> None:
    chip = get_backend("emulated-chip", solver="event")
    with record(chip.open(NETWORK), tmp_path / "runs.h5") as session:
        circuits = circuits_of(session)
        assert circuits is not None and [c.shape for c in circuits] == [(4, 1), (2, 1)]
        assert network_of(session) == NETWORK


def test_what_is_half_there_is_not_offered() -> None:
    assert offers(SimpleNamespace(known_deviations={}), Deviating)
    assert not offers(SimpleNamespace(known_deviations={}), Described)
    some: Any = SimpleNamespace(weight_scale=1.0, time_scale=1.0, spike_offset=0.0, digest="abc")
    assert as_knob_calibration(some) is None
    assert digest_of_calibration(some) == "abc" and digest_of_calibration(None) is None
    assert usable_circuits(some, 5).tolist() == [True] * 5
    some.usable = np.arange(5) > 2
    assert usable_circuits(some, 5).tolist() == [False] * 3 + [True] * 2


def test_what_is_no_session_is_refused_by_name() -> None:
    assert network_of(get_backend("ideal")) is None
    unopened: Any = get_backend("ideal")
    with pytest.raises(NetworkError, match="expected an open session"):
        LoopNetwork(unopened, WEIGHTS)
