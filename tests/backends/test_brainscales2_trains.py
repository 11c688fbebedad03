"""All spikes of a BrainScaleS-2 chip, through the double of the vendor's interface."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hxloop import NetworkSpec, NeuronSpec, get_backend
from hxloop.activity import Spikes
from hxloop.engine.spike_trains import spike_trains
from hxloop.errors import CapacityError, ConfigError
from tests.backends.brainscales2_laboratory import NAME, TICK, WEIGHTS

AGAIN = NeuronSpec(t_refractory=0.5, v_reset=-0.25)
NETWORK = NetworkSpec.feed_forward(10, 30, 3, t_window=4.0, neuron=AGAIN)


def drawn(batch: int = 12) -> Spikes:
    rng = np.random.default_rng(6)
    n = 20 * batch
    return Spikes.from_events(
        rng.integers(0, batch, n), rng.integers(0, 10, n), rng.uniform(0, 3, n),
        batch=batch, n_units=10,
    )  # fmt: skip


def cells() -> list[Any]:
    state = importlib.import_module("pynn_brainscales.brainscales2").simulator.state
    return [population.celltype.parameters for population in state.populations[1:]]


def test_all_spikes_of_a_perfect_chip_are_those_of_the_model_up_to_its_clock(lab: Any) -> None:
    lab()
    once = replace(NETWORK.layers[-1], neuron=replace(AGAIN, t_refractory=np.inf))
    mixed = replace(NETWORK, layers=(NETWORK.layers[0], once))
    for network in (NETWORK, mixed):
        with get_backend(NAME).open(network) as session:
            activity = session.run(WEIGHTS, drawn())
            parameters = cells()
        expected = spike_trains(network, activity.parameters, activity.inputs)
        assert activity.spikes[0].count.max() >= 4
        for mine, exact in zip(activity.spikes, expected, strict=True):
            # A membrane that grazes the threshold decides otherwise: of one neuron in ten.
            assert (mine.count == exact.count).mean() >= 0.9
            for rank in range(3):
                both = np.isfinite(mine.nth(rank)) & np.isfinite(exact.nth(rank))
                off = np.abs(mine.nth(rank)[both] - exact.nth(rank)[both])
                # An event waits for those at the same time, and what it drives as long as it rises;
                # the vendor's calibration counts refractory times to 3 %.
                counted = rank * 0.03 * AGAIN.t_refractory
                assert off.size == 0 or np.median(off) < 10 * TICK + counted
        assert parameters[0]["tau_refrac"] == pytest.approx(3.0)
        assert parameters[0]["v_reset"] == pytest.approx(80 - 0.25 * 70)
    # Neurons that spike once are held as long as the chip is told to, and their first spike counts.
    assert activity.spikes[1].once
    assert (parameters[1]["tau_refrac"], parameters[1]["v_reset"]) == (30.0, 80.0)


def test_input_spikes_are_delivered_in_cycles_of_the_clock(lab: Any) -> None:
    lab()
    inputs = drawn()
    with get_backend(NAME).open(NETWORK) as session:
        activity = session.run(WEIGHTS, inputs)
    np.testing.assert_array_equal(activity.inputs.count, inputs.count)
    late = np.sort(inputs.times) - np.sort(activity.inputs.times)
    assert (late > -1e-9).all() and (late < TICK).all()
    assert activity.info.rounded_inputs == inputs.n_spikes
    beyond = tuple(int((np.abs(matrix) > 63.001 / 78).sum()) for matrix in WEIGHTS)
    assert activity.info.clipped_weights == beyond


def test_slots_are_as_long_as_spikes_may_go_on(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lab()
    strong = [np.full(shape, 0.8) for shape in NETWORK.shapes]
    units, times = (each.ravel() for each in np.meshgrid(np.arange(10), np.arange(0.0, 4.0, 0.1)))
    few, when = np.arange(5), np.linspace(1.0, 1.2, 5)
    quiet = Spikes.from_events(np.zeros(5, int), few, when, batch=1, n_units=10)
    both = Spikes.from_events(
        np.repeat([0, 1], [units.size, 5]), np.append(units, few), np.append(times, when),
        batch=2, n_units=10,
    )  # fmt: skip
    # Room for the refractory time after the window, and no more.
    with get_backend(NAME, slot=4.6, tau_refrac_us=0.5).open(NETWORK) as session:
        alone = session.run(strong, quiet).spikes
        after = session.run(strong, both).spikes
        for mine, other in zip(after, alone, strict=True):
            assert mine.select([1]).count.tolist() == other.count.tolist()
            off = np.abs(mine.select([1]).times - other.times)
            assert off.max(initial=0.0) < 1e-3 + 2 * TICK  # a thousandth of the threshold
        assert alone[0].n_spikes > 0
        name = "hxloop.backends.brainscales2.dialect.train_spacing"
        monkeypatch.setattr(name, lambda *args, **options: 0.0)
        felt = session.run(strong, both).spikes[0].select([1])
    assert felt != alone[0]


def test_what_a_calibration_file_has_not_is_refused(lab: Any, tmp_path: Any) -> None:
    from tests.contract_double.control import write_calibration

    lab()
    file = str(write_calibration(tmp_path / "file.pbin", v_reset=62.5))
    with pytest.raises(CapacityError, match=r"v_reset = -0.25, -0.25 of .*\(v_reset_lsb\)"):
        get_backend(NAME, calibration_file=file).open(NETWORK)
    told = {"calibration_file": file, "v_reset_lsb": 62.5}
    with get_backend(NAME, **told).open(NETWORK) as session:
        activity = session.run(WEIGHTS, drawn())
    # The file's refractory time is 2 us; the network's, of 3 us, is counted by the finest clock.
    expected = spike_trains(NETWORK, activity.parameters, activity.inputs)
    intervals = [np.diff(np.sort(activity.spikes[0].times))]
    assert intervals[0].size and activity.spikes[0].count.max() >= 4
    assert (activity.spikes[0].count == expected[0].count).mean() >= 0.95
    for neuron, told_so in ((replace(AGAIN, t_refractory=6.0), "0.006667 to 5.333"),
                            (replace(AGAIN, v_reset=-1.0), "-0.429 to")):  # fmt: skip
        with pytest.raises(CapacityError, match=told_so):
            get_backend(NAME).open(NetworkSpec.feed_forward(10, 30, 3, neuron=neuron))
    with pytest.raises(ConfigError, match=r"slot = 4.4 is too short.* until 4.5"):
        get_backend(NAME, slot=4.4).open(NETWORK)
    with pytest.raises(ConfigError, match="v_reset_lsb"):
        get_backend(NAME, v_reset_lsb=-1)
