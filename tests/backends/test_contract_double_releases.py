"""The double as two releases of the vendor's software: each rule is broken once and seen."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyNN.parameters import Sequence

from tests.contract_double import simulator as simulator_module
from tests.contract_double.chip import Chip, CommonNeuronBackendConfigOnDLS, iter_all
from tests.contract_double.control import EBRAINS, MASTER, Laboratory, install, write_calibration
from tests.contract_double.router import N_NEURONS

BOTH = pytest.mark.parametrize("flavour", [EBRAINS, MASTER])


def software(monkeypatch: pytest.MonkeyPatch, flavour: str = EBRAINS, **values: Any) -> Any:
    install(monkeypatch, Laboratory(**{"imperfections": "none", "flavour": flavour, **values}))
    return importlib.import_module("pynn_brainscales.brainscales2")


def driven(pynn: Any, tmp_path: Path, *, scale: int | None = None, **cell: Any) -> np.ndarray:
    """Spikes (us) of a neuron that gets twelve strong events at 10 us."""
    chip = pynn.helper.chip_from_file(write_calibration(tmp_path / "chip.pbin"))
    if scale is not None:
        for place in iter_all(CommonNeuronBackendConfigOnDLS):
            chip.neuron_block.backends[place].clock_scale_fast = scale
    pynn.setup(initial_config=chip)
    source = pynn.Population(12, pynn.cells.SpikeSourceArray())
    target = pynn.Population(2, pynn.cells.HXNeuron(**cell))
    target.record("spikes")
    weight = pynn.synapses.StaticSynapse(weight=63)
    pynn.Projection(source, target, pynn.AllToAllConnector(), synapse_type=weight)
    pynn.run(None, pynn.RunCommand.PREPARE)
    source.set(spike_times=Sequence([0.01]))
    pynn.run(0.2)
    train = target.get_data("spikes").segments[-1].spiketrains[0]
    return np.asarray(train.magnitude) * 1000


@BOTH
def test_files_let_neurons_burst_and_counters_hold_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flavour: str
) -> None:
    pynn = software(monkeypatch, flavour)
    burst = driven(pynn, tmp_path)
    assert len(burst) > 1
    # 31 cycles of 64 ns, and the time that the membrane rises for again.
    assert 1.984 < np.diff(burst)[0] < 6
    assert len(driven(pynn, tmp_path, refractory_period_refractory_time=255)) == 1
    # The same counter, of a clock four times as fast.
    assert len(driven(pynn, tmp_path, refractory_period_refractory_time=40, scale=1)) > 1
    with pytest.raises(OverflowError):
        driven(pynn, tmp_path, refractory_period_refractory_time=256)


@BOTH
def test_spikes_are_stamped_late(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flavour: str
) -> None:
    late = driven(software(monkeypatch, flavour), tmp_path)[0]
    at_once = driven(software(monkeypatch, flavour, offset_ns=0.0), tmp_path)[0]
    assert late - at_once == pytest.approx(0.080, abs=0.008)


def test_neurons_may_spike_without_a_cause(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = driven(software(monkeypatch, spontaneous_hz=1e6, late_us=0.0), tmp_path)
    assert (found < 10).any()


def test_silent_neurons_have_no_train_on_ebrains(monkeypatch: pytest.MonkeyPatch) -> None:
    for flavour, trains in ((EBRAINS, 0), (MASTER, 2)):
        pynn = software(monkeypatch, flavour)
        pynn.setup()
        population = pynn.Population(2, pynn.cells.CalibHXNeuronCuba())
        population.record("spikes")
        pynn.run(0.1)
        assert len(population.get_data("spikes").segments[-1].spiketrains) == trains


def test_each_release_tells_how_a_run_went_by_a_function_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    functions = {EBRAINS: "get_execution_health_info", MASTER: "get_execution_instance_data"}
    for flavour, own in functions.items():
        names = vars(software(monkeypatch, flavour))
        assert [name for name in functions.values() if name in names] == [own]
        pynn = software(monkeypatch, flavour)
        pynn.setup()
        with pytest.raises(RuntimeError, match=r"after pynn\.run"):
            names[own]()


@BOTH
def test_drops_are_counted_and_felt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flavour: str
) -> None:
    pynn = software(monkeypatch, flavour, drops=1.0)
    with pytest.raises(IndexError if flavour == EBRAINS else AssertionError):
        assert driven(pynn, tmp_path).size
    assert simulator_module.state.dropped == 12


def test_a_program_that_is_too_long_is_played_wrongly_and_in_silence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    right = driven(software(monkeypatch), tmp_path)[0]
    monkeypatch.setattr(simulator_module, "PROGRAM_MEMORY", 23)
    late = [driven(software(monkeypatch, seed=seed), tmp_path)[0] - right for seed in range(8)]
    assert max(late) > 0.0


def test_runs_beyond_the_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    for flavour in (EBRAINS, MASTER):
        pynn = software(monkeypatch, flavour)
        pynn.setup()
        pynn.Population(1, pynn.cells.SpikeSourceArray())
        if flavour == EBRAINS:
            with pytest.raises(ValueError, match="to long"):
                pynn.run(34_360.0)
        else:
            pynn.run(34_360.0)


def test_more_neurons_than_there_are_are_partitioned_in_silence_on_master(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for flavour in (EBRAINS, MASTER):
        pynn = software(monkeypatch, flavour)
        pynn.setup()
        pynn.Population(N_NEURONS, pynn.cells.HXNeuron())
        if flavour == EBRAINS:
            with pytest.raises(ValueError, match="more neurons"):
                pynn.Population(1, pynn.cells.HXNeuron())
        else:
            assert pynn.Population(1, pynn.cells.HXNeuron()).hardware.tolist() == [0]


def test_a_cache_that_is_a_path_fails_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    pynn = software(monkeypatch, MASTER)
    with pytest.raises(TypeError, match="calibration_cache"):
        pynn.setup(calibration_cache="/tmp")
    pynn = software(monkeypatch, EBRAINS)
    pynn.setup(calibration_cache="/tmp")
    pynn.Population(1, pynn.cells.CalibHXNeuronCuba())
    with pytest.raises(RuntimeError, match="'t', 'm', 'p'"):
        pynn.run(None, pynn.RunCommand.PREPARE)


def test_the_recorder_of_the_input_gathers_segments_until_it_is_cleared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pynn = software(monkeypatch)
    pynn.setup()
    source = pynn.Population(1, pynn.cells.SpikeSourceArray())
    for _ in range(3):
        pynn.run(0.1)
        pynn.reset()
    assert len(source._segments) == 3
    source.get_data("spikes", clear=True)
    assert not source._segments


@BOTH
@pytest.mark.parametrize(("places", "cycles"), [([0, 1, 2, 3], 1), ([0, 1, 256, 257], 2)])
def test_inputs_of_one_moment_arrive_one_by_one_an_event_for_each_half(
    monkeypatch: pytest.MonkeyPatch, flavour: str, places: list[int], cycles: int
) -> None:
    pynn = software(monkeypatch, flavour)
    pynn.setup(enable_neuron_bypass=True, neuronPermutation=places)
    source = pynn.Population(4, pynn.cells.SpikeSourceArray())
    target = pynn.Population(4, pynn.cells.HXNeuron())
    target.record("spikes")
    synapse = pynn.synapses.StaticSynapse(weight=63)
    pynn.Projection(source, target, pynn.OneToOneConnector(), synapse_type=synapse)
    pynn.run(None, pynn.RunCommand.PREPARE)
    source.set(spike_times=[Sequence([0.01])] * 4)
    pynn.run(0.1)
    (arrived,) = zip(*target.get_data("spikes").segments[-1].spiketrains, strict=True)
    steps = np.diff([float(time.magnitude) for time in arrived])
    np.testing.assert_allclose(steps, cycles * 8e-6, rtol=1e-6)


def test_the_last_cycle_of_the_counter_holds_nothing() -> None:
    """32 of the files are 2 us by the vendor's count: whole cycles of 64 ns in it, and one."""
    chip = Chip()
    assert chip.refractory_counter == int(2 / 0.064) + 1
    assert chip.held_us(chip.refractory_counter) == pytest.approx(31 * 0.064)
    assert chip.held_us(1) == 0.0
