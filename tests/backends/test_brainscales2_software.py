"""BrainScaleS-2: what the vendor's software does and says, in both releases of the double."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hxloop import LoopNetwork, NetworkSpec, get_backend
from hxloop.activity import Spikes
from hxloop.backends.brainscales2 import pieces as pieces_module
from hxloop.backends.brainscales2.pieces import MOST_EVENTS, pieces
from hxloop.backends.brainscales2.refractory import refractory_of
from hxloop.chip.refractory import period_us, refractory_codes
from hxloop.errors import CapacityError, ConfigError, RunFailed
from hxloop.training.notes.of_runs import physics_notes
from tests.backends.brainscales2_laboratory import INPUTS, NAME, NETWORK, TICK, WEIGHTS
from tests.contract_double.control import EBRAINS, MASTER, NOT_SUCCESSFUL, write_calibration
from tests.contract_double.router import REFUSED

BOTH = pytest.mark.parametrize("flavour", [EBRAINS, MASTER])


def state() -> Any:
    return importlib.import_module("pynn_brainscales.brainscales2").simulator.state


# --- operating points and refractory times ---------------------------------------------------


def test_a_file_at_another_point_than_the_options_is_refused_with_both(tmp_path: Path) -> None:
    file = str(write_calibration(tmp_path / "spiking_cocolist.pbin"))
    with pytest.raises(ConfigError) as caught:
        get_backend(NAME, calibration_file=file)
    for part in (
        "tau_syn_us = 10, tau_mem_us = 10, v_threshold_lsb = 125, synapse_dac_bias = 600",
        "say tau_syn_us = 6, tau_mem_us = 6, v_threshold_lsb = 150, synapse_dac_bias = 1000",
        "spiking2_cocolist",
    ):
        assert part in str(caught.value)
    point = {"tau_syn_us": 10, "tau_mem_us": 10, "v_threshold_lsb": 125, "synapse_dac_bias": 600}
    get_backend(NAME, calibration_file=file, **point)
    with pytest.raises(ConfigError, match="v_reset_lsb = 70; the options say v_reset_lsb = 80"):
        get_backend(NAME, calibration_file=file, v_reset_lsb=80, **point)
    # A file of one's own may be anywhere.
    get_backend(NAME, calibration_file=str(tmp_path / "mine.pbin"), v_threshold_lsb=140)


@pytest.mark.parametrize(("us", "counter", "scale"), [(30, 235, 4), (20, 157, 4), (2, 251, 0)])
def test_refractory_counters(us: float, counter: int, scale: int) -> None:
    found = refractory_of([us], "chip")
    assert (found.counters, found.clock_scale) == ((counter,), scale)
    assert found.held_us[0] == pytest.approx(us, rel=0.005)


@pytest.mark.parametrize("us", [0.04, 2.0, 2.04, 16.3, 30.0])
def test_the_last_cycle_of_a_refractory_counter_holds_no_membrane(us: float) -> None:
    """The emulated chip and the real one are told the same; the former held 255 cycles of 255."""
    (code,) = refractory_codes([us], where="chip")
    real = refractory_of([us], "chip")
    assert (code.counter, code.period_us) == (real.counters[0], period_us(real.clock_scale))
    assert code.time_us == real.held_us[0] == (code.counter - 1) * code.period_us
    assert code.counter <= 255 and code.time_us == pytest.approx(us, rel=0.03)
    # Of the finest clock: the next finer one would have to count further.
    assert code.period_us == period_us(0) or us / (code.period_us / 2) + 1 > 255


def test_refractory_times_that_one_clock_cannot_count() -> None:
    assert refractory_of([30.0, 3.0], "chip").counters == (235, 24)
    with pytest.raises(CapacityError, match=r"population 1 is to be held for 0.2 us.* 0.256 us"):
        refractory_of([30.0, 0.2], "chip")


@BOTH
def test_neurons_of_a_file_spike_once_though_the_file_lets_them_burst(
    lab: Any, calibration_file: str, flavour: str
) -> None:
    lab(flavour=flavour)
    network = NetworkSpec.feed_forward(8, 4, t_window=4.0)
    weights, inputs = [np.full((8, 4), 0.8)], np.full((3, 8), 0.5)
    with get_backend(NAME, calibration_file=calibration_file).open(network) as session:
        once = session.run(weights, inputs).info
    with get_backend(NAME, calibration_file=calibration_file, tau_refrac_us=2.0).open(
        network
    ) as session:
        bursts = session.run(weights, inputs).info
    assert (once.repeated_spikes, once.discarded_spikes) == (0, 0)
    assert bursts.repeated_spikes >= 12
    (note,) = physics_notes(bursts)
    assert note.key == "repeated-spikes" and str(bursts.repeated_spikes) in note.text


# --- scales, offsets, losses ------------------------------------------------------------------


def test_a_measured_time_scale_is_no_target(lab: Any) -> None:
    lab()
    scales = SimpleNamespace(weight_scale=1.0, time_scale=1.05, spike_offset=0.0, digest="abc")
    with get_backend(NAME).open(NETWORK, calibration=scales) as session:
        activity = session.run(WEIGHTS, INPUTS)
        cell = state().populations[1].celltype.parameters
        played = np.concatenate([train for train in state().populations[0].trains])
    assert (cell["tau_m"], cell["tau_syn_E"], cell["tau_syn_I"]) == (6.0, 6.0, 6.0)
    # But times are in the unit that was measured: 6.3 us.
    lead = np.ceil((1 + 0.08 / 6.3) / (8e-9 / 6.3e-6)) * 8e-9 / 6.3e-6
    first = (INPUTS[0].min() + lead) * 6.3e-3
    assert played.min() == pytest.approx(first, abs=1e-5)
    assert activity.info.calibration_digest == "abc"


@BOTH
def test_spikes_stamped_before_their_sample_count_at_its_start(lab: Any, flavour: str) -> None:
    # A chip that stamps at once, of which 80 ns are subtracted all the same.
    lab(flavour=flavour, offset_ns=0.0, spontaneous_hz=2e4)
    with get_backend(NAME).open(NETWORK) as session:
        activity = session.run(WEIGHTS, np.full((40, 10), np.inf))
    times = activity.first_spike_times[0]
    assert np.isfinite(times).any()
    assert (times[np.isfinite(times)] >= 0).all()


@BOTH
def test_events_that_the_chip_drops_are_counted(lab: Any, flavour: str) -> None:
    lab(flavour=flavour, drops=0.2)
    with get_backend(NAME).open(NETWORK) as session:
        lost = session.run(WEIGHTS, INPUTS).info.lost_spikes
    many = int(np.isfinite(INPUTS).sum())
    assert abs(lost - 0.2 * many) < 5 * np.sqrt(0.16 * many)
    lab(flavour=flavour, spike_loss=0.2)
    with get_backend(NAME).open(NETWORK) as session:
        assert session.run(WEIGHTS, INPUTS).info.lost_spikes == 0  # nobody counts those of the link


def test_which_chip_it_was(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lab(chip=7)
    with get_backend(NAME).open(NETWORK) as session:
        assert session.run(WEIGHTS, INPUTS).info.chip_id == "double-7"
    pynn = importlib.import_module("pynn_brainscales.brainscales2")

    def nobody() -> list[str]:
        raise RuntimeError("no chip behind this connection")

    monkeypatch.setattr(pynn.helper, "get_unique_identifier", nobody)
    with get_backend(NAME).open(NETWORK) as session:
        assert session.run(WEIGHTS, INPUTS).info.chip_id is None


def test_the_recorder_of_the_input_is_cleared(lab: Any) -> None:
    lab()
    with get_backend(NAME).open(NETWORK) as session:
        for _ in range(5):
            session.run(WEIGHTS, INPUTS)
        assert max(len(p._segments) for p in state().populations) <= 1


# --- long batches -----------------------------------------------------------------------------


def test_pieces_of_a_batch() -> None:
    few = np.full(20_000, 10)
    assert pieces(few, 180e-6, "x")[:2] == [slice(0, 5555), slice(5555, 11110)]
    cut = pieces(np.full(300, 10_000), 180e-6, "x")
    assert [s.stop - s.start for s in cut] == [100, 100, 100]
    assert sum(s.stop - s.start for s in pieces(few, 180e-6, "x")) == 20_000
    with pytest.raises(CapacityError, match="1000001 input events"):
        pieces(np.array([MOST_EVENTS + 1]), 180e-6, "x")


@pytest.mark.parametrize("trains", [False, True])
def test_a_long_batch_is_several_runs_with_the_same_result(
    lab: Any, monkeypatch: pytest.MonkeyPatch, trains: bool
) -> None:
    laboratory = lab()
    inputs: Any = INPUTS
    if trains:
        rng = np.random.default_rng(6)
        samples, units = rng.integers(0, 12, 240), rng.integers(0, 10, 240)
        inputs = Spikes.from_events(samples, units, rng.uniform(0, 3, 240), batch=12, n_units=10)
    with get_backend(NAME).open(NETWORK) as session:
        whole = session.run(WEIGHTS, inputs)
        before = laboratory.log.count("run")
        monkeypatch.setattr(pieces_module, "MOST_EVENTS", 50)
        cut = session.run(WEIGHTS, inputs)
        assert laboratory.log.count("run") - before >= 3
    for a, b in zip(whole.first_spike_times, cut.first_spike_times, strict=True):
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b))
        both = np.isfinite(a)
        np.testing.assert_allclose(a[both], b[both], atol=1.01 * TICK)
    np.testing.assert_array_equal(whole.input_times, cut.input_times)
    assert whole.info.rounded_inputs == cut.info.rounded_inputs
    assert whole.inputs == cut.inputs


def test_an_input_of_a_layer_in_both_halves_is_two_events(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab()
    monkeypatch.setattr(pieces_module, "MOST_EVENTS", 19)
    wide = NetworkSpec.feed_forward(10, 300, t_window=4.0)
    for network, fits in ((NETWORK, True), (wide, False)):
        with get_backend(NAME).open(network) as session:
            weights = [np.zeros(shape) for shape in network.shapes]
            if fits:
                session.run(weights, INPUTS[:1])
                continue
            with pytest.raises(CapacityError, match="20 input events"):
                session.run(weights, INPUTS[:1])


# --- failures ---------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("fault", "first", "later"),
    [
        (NOT_SUCCESSFUL, True, True),
        ("Run of playback program not successful.", True, True),
        ("Something that nobody has seen before.", False, True),
        (REFUSED, False, False),
        ("Synapse driver allocations not successful.", False, False),
    ],
)
def test_what_is_worth_another_try(
    lab: Any, flavour: str, fault: str, first: bool, later: bool
) -> None:
    laboratory = lab(flavour=flavour, fault=fault)
    for before, retryable in ((False, first), (True, later)):
        with get_backend(NAME).open(NETWORK) as session:
            if before:
                session.run(WEIGHTS, INPUTS)
            laboratory.stalls = 1
            with pytest.raises(RunFailed) as caught:
                session.run(WEIGHTS, INPUTS)
            assert caught.value.retryable is retryable
            assert fault in str(caught.value)


def test_pynns_error_for_a_wrong_sign_is_permanent(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pyNN.errors import ConnectionError as WrongSign

    lab()
    pynn = importlib.import_module("pynn_brainscales.brainscales2")

    def refuse(self: Any, **_: Any) -> None:
        raise WrongSign("Weights must be positive")

    with get_backend(NAME).open(NETWORK) as session:
        session.run(WEIGHTS, INPUTS)
        monkeypatch.setattr(pynn.Projection, "set", refuse)
        with pytest.raises(RunFailed) as caught:
            session.run(WEIGHTS, INPUTS)
    assert not caught.value.retryable


@BOTH
def test_stalls_are_retried_by_the_loop(lab: Any, flavour: str) -> None:
    laboratory = lab(flavour=flavour)
    with get_backend(NAME).open(NETWORK) as session:
        laboratory.stalls = 2
        _, activity = LoopNetwork(session, WEIGHTS, retries=2).forward(INPUTS)
    assert activity.info.retries == 2


def test_a_cache_by_path_is_refused_with_what_to_do() -> None:
    with pytest.raises(ConfigError, match="XDG_CACHE_HOME"):
        get_backend(NAME, calibration_cache="/tmp")
