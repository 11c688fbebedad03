"""The double of the vendor's interface keeps the rules, or what runs through it proves nothing."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyNN.errors import ConnectionError, NonExistentParameterError
from pyNN.parameters import Sequence

from tests.contract_double import control
from tests.contract_double.control import EBRAINS, MASTER, Laboratory, install, write_calibration
from tests.contract_double.router import REFUSED

CYCLE_MS = 8e-6


@pytest.fixture
def pynn(monkeypatch: pytest.MonkeyPatch) -> Any:
    install(monkeypatch, Laboratory(imperfections="none", offset_ns=0.0))
    return importlib.import_module("pynn_brainscales.brainscales2")


@pytest.fixture
def calibrated(pynn: Any, tmp_path: Path) -> Any:
    return pynn.helper.chip_from_file(write_calibration(tmp_path / "chip.pbin"))


def pair(
    pynn: Any, n_in: int = 1, n: int = 1, weight: int = 63, **cell: Any
) -> tuple[Any, Any, Any]:
    source = pynn.Population(n_in, pynn.cells.SpikeSourceArray())
    target = pynn.Population(n, pynn.cells.HXNeuron(**cell))
    target.record("spikes")
    projection = pynn.Projection(
        source,
        target,
        pynn.AllToAllConnector(),
        synapse_type=pynn.synapses.StaticSynapse(weight=weight),
        receptor_type="excitatory",
    )
    return source, target, projection


def trains(population: Any) -> list[np.ndarray]:
    found = [np.zeros(0)] * len(population)
    for train in population.get_data("spikes").segments[-1].spiketrains:
        found[train.annotations["source_index"]] = np.asarray(train.magnitude)
    return found


def test_one_run_between_two_resets(pynn: Any) -> None:
    pynn.setup()
    pair(pynn)
    pynn.run(0.1)
    with pytest.raises(RuntimeError, match="Stacking"):
        pynn.run(0.1)
    pynn.reset()
    pynn.run(0.1)


def test_unknown_setup_arguments(pynn: Any) -> None:
    with pytest.raises(KeyError, match="spike_precision"):
        pynn.setup(spike_precision="off_grid")


def test_nothing_without_setup_and_after_end(pynn: Any) -> None:
    with pytest.raises(RuntimeError, match="setup"):
        pynn.Population(1, pynn.cells.HXNeuron())
    pynn.setup()
    pynn.end()
    with pytest.raises(RuntimeError, match="setup"):
        pynn.Population(1, pynn.cells.HXNeuron())


@pytest.mark.parametrize(
    ("permutation", "error"),
    [([8, 8], ValueError), ([512], OverflowError), (range(513), OverflowError), ([-1], TypeError)],
)
@pytest.mark.parametrize("flavour", [EBRAINS, MASTER])
def test_permutations_that_make_no_sense(
    pynn: Any, permutation: Any, error: Any, flavour: str
) -> None:
    control.current.flavour = flavour
    with pytest.raises(error if flavour == MASTER else ValueError):
        pynn.setup(neuronPermutation=permutation)


def test_a_permutation_may_be_short_and_says_where_neurons_are(pynn: Any) -> None:
    pynn.setup(neuronPermutation=[5, 300, 2])
    assert pynn.Population(2, pynn.cells.HXNeuron()).hardware.tolist() == [5, 300]
    assert pynn.Population(1, pynn.cells.HXNeuron()).hardware.tolist() == [2]
    with pytest.raises(ValueError, match="permutation"):
        pynn.Population(1, pynn.cells.HXNeuron())


def test_set_and_get_wait_for_the_mapping(pynn: Any) -> None:
    pynn.setup()
    source, target, projection = pair(pynn)
    for action in (
        lambda: source.set(spike_times=Sequence([0.01])),
        lambda: target.get("leak_v_leak"),
        lambda: projection.set(weight=3),
        lambda: projection.get("weight"),
    ):
        with pytest.raises(RuntimeError, match="PREPARE"):
            action()
    pynn.run(None, pynn.RunCommand.PREPARE)
    projection.set(weight=3)
    assert projection.get("weight").tolist() == [[3.0]]


def test_execute_needs_a_runtime(pynn: Any) -> None:
    pynn.setup()
    with pytest.raises(ValueError, match="scheduled"):
        pynn.run(None)


@pytest.mark.parametrize(("receptor", "weight"), [("excitatory", -1), ("inhibitory", 1)])
def test_signs_belong_to_receptors(pynn: Any, receptor: str, weight: int) -> None:
    pynn.setup()
    source, target, _ = pair(pynn)

    def connect(value: float) -> Any:
        return pynn.Projection(
            source,
            target,
            pynn.AllToAllConnector(),
            synapse_type=pynn.synapses.StaticSynapse(weight=value),
            receptor_type=receptor,
        )

    with pytest.raises(ConnectionError):
        connect(weight)
    projection = connect(0)
    pynn.run(None, pynn.RunCommand.PREPARE)
    with pytest.raises(ConnectionError):
        projection.set(weight=weight)
    projection.set(weight=-2.6 * weight)
    assert projection.get("weight").tolist() == [[-3.0 * weight]]


def test_no_delays(pynn: Any) -> None:
    pynn.setup()
    _, _, projection = pair(pynn)
    with pytest.raises(ValueError, match="delay"):
        pynn.synapses.StaticSynapse(weight=1, delay=0.1)
    pynn.run(None, pynn.RunCommand.PREPARE)
    with pytest.raises(ValueError, match="delay"):
        projection.set(delay=0.1)


def test_unknown_parameters(pynn: Any) -> None:
    with pytest.raises(NonExistentParameterError):
        pynn.cells.HXNeuron(tau_m=10.0)
    with pytest.raises(NonExistentParameterError):
        pynn.cells.CalibHXNeuronCuba(leak_v_leak=1)


def test_calibration_targets_out_of_range(pynn: Any) -> None:
    pynn.setup()
    source = pynn.Population(1, pynn.cells.SpikeSourceArray())
    target = pynn.Population(1, pynn.cells.CalibHXNeuronCuba(tau_m=61.0))
    pynn.Projection(source, target, pynn.AllToAllConnector())
    with pytest.raises(ValueError, match="tau_m"):
        pynn.run(0.1)


def test_synaptic_biases_are_common_to_the_chip(pynn: Any) -> None:
    pynn.setup()
    pynn.Population(1, pynn.cells.CalibHXNeuronCuba(synapse_dac_bias=600))
    pynn.Population(1, pynn.cells.CalibHXNeuronCuba(synapse_dac_bias=700))
    with pytest.raises(RuntimeError, match="synapse_dac_bias"):
        pynn.run(None, pynn.RunCommand.PREPARE)


@pytest.mark.parametrize(("weight", "fits"), [(63, 256), (64, 128), (200, 64)])
def test_large_weights_cost_rows(pynn: Any, weight: int, fits: int) -> None:
    pynn.setup()
    pair(pynn, n_in=fits, weight=weight)
    pynn.run(None, pynn.RunCommand.PREPARE)
    pynn.setup()
    pair(pynn, n_in=fits + 1, weight=weight)
    with pytest.raises(RuntimeError, match=REFUSED):
        pynn.run(None, pynn.RunCommand.PREPARE)


@pytest.mark.parametrize(
    ("hardware", "fits"),
    # The bus of a source is its column // 32 % 4.
    [(range(65), True), (list(range(32)) + list(range(128, 160)), True),
     (list(range(32)) + list(range(128, 161)), True),
     (list(range(32)) + list(range(128, 160)) + [256], False),
     # Left 28 drivers and right 4 can be told apart, left 30 and right 2 cannot: 64 of a bus both.
     (list(range(32)) + list(range(256, 280)) + list(range(128, 136)), True),
     (list(range(32)) + list(range(256, 284)) + list(range(128, 132)), False)],
)  # fmt: skip
def test_rows_of_a_bus_are_counted(pynn: Any, hardware: Any, fits: bool) -> None:
    sources = list(hardware)
    pynn.setup(neuronPermutation=[*sources, 511])
    hidden = pynn.Population(len(sources), pynn.cells.HXNeuron())
    output = pynn.Population(1, pynn.cells.HXNeuron())
    pynn.Projection(hidden, output, pynn.AllToAllConnector())
    if fits:
        pynn.run(None, pynn.RunCommand.PREPARE)
        return
    with pytest.raises(RuntimeError, match=REFUSED):
        pynn.run(None, pynn.RunCommand.PREPARE)


def test_raw_neurons_are_silent_without_a_calibration(pynn: Any, calibrated: Any) -> None:
    found = []
    for config in (None, calibrated):
        pynn.setup(initial_config=config)
        source, target, _ = pair(pynn, n_in=4)
        pynn.run(None, pynn.RunCommand.PREPARE)
        source.set(spike_times=Sequence([0.01]))
        pynn.run(0.1)
        found.append(len(trains(target)[0]))
        pynn.end()
    assert found[0] == 0
    assert found[1] >= 1


def test_spike_times_are_those_of_the_model(pynn: Any, calibrated: Any) -> None:
    # Four events of 63/78 at once: u(s) = 4 w s/tau exp(-s/tau) = 1.
    pynn.setup(initial_config=calibrated)
    source, target, _ = pair(pynn, n_in=4)
    pynn.run(None, pynn.RunCommand.PREPARE)
    source.set(spike_times=Sequence([0.01]))
    pynn.run(0.1)
    drive = 4 * 63 / 78
    scan = np.linspace(0, 1, 1_000_001)
    crossing = scan[np.argmax(drive * scan * np.exp(-scan) >= 1)]
    # Simultaneous events leave in successive cycles, at most three late.
    late = trains(target)[0][0] - (0.01 + 0.006 * crossing)
    assert -CYCLE_MS <= late <= 3 * CYCLE_MS


def test_times_are_on_the_clock_and_inputs_truncated(pynn: Any, calibrated: Any) -> None:
    recorded = []
    for shift in (0.0, 0.9, 1.1):
        pynn.setup(initial_config=calibrated)
        source, target, _ = pair(pynn, n_in=4)
        pynn.run(None, pynn.RunCommand.PREPARE)
        # A little more than a whole number of cycles, so that rounding does not decide.
        source.set(spike_times=Sequence([(1000.01 + shift) * CYCLE_MS]))
        pynn.run(0.1)
        recorded.append(trains(target)[0][0] / CYCLE_MS)
    assert np.allclose(recorded, np.round(recorded), atol=1e-6)
    assert round(recorded[1] - recorded[0]) == 0
    assert round(recorded[2] - recorded[0]) == 1


def test_a_neuron_feels_what_came_before_and_spikes_again(pynn: Any, calibrated: Any) -> None:
    pynn.setup(initial_config=calibrated)
    source, target, _ = pair(pynn, n_in=4)
    pynn.run(None, pynn.RunCommand.PREPARE)
    # Half of the drive, twice: only together do they reach the threshold; then once more, later.
    first, second = Sequence([0.01, 0.1]), Sequence([0.012, 0.1])
    source.set(spike_times=[first, first, second, second])
    pynn.run(0.2)
    times = trains(target)[0]
    assert len(times) == 2
    assert 0.012 < times[0] < 0.03
    assert 0.1 < times[1] < 0.11


def test_late_spikes_are_dropped_with_a_warning(pynn: Any, calibrated: Any) -> None:
    pynn.setup(initial_config=calibrated)
    source, target, _ = pair(pynn, n_in=4)
    pynn.run(None, pynn.RunCommand.PREPARE)
    source.set(spike_times=Sequence([0.01]))
    pynn.run(0.0101)
    with pytest.warns(UserWarning, match="after t_stop"):
        assert trains(target)[0].size == 0


def test_segments_gather_until_they_are_cleared(pynn: Any) -> None:
    pynn.setup()
    _, target, _ = pair(pynn)
    for _ in range(3):
        pynn.run(0.1)
        pynn.reset()
    pynn.run(0.1)
    assert len(target.get_data("spikes").segments) == 4
    target.get_data("spikes", clear=True)
    assert len(target.get_data("spikes").segments) == 1


def test_a_stall_is_told_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Laboratory(stalls=1))
    pynn = importlib.import_module("pynn_brainscales.brainscales2")
    pynn.setup()
    pair(pynn)
    with pytest.raises(RuntimeError, match="playback program"):
        pynn.run(0.1)
    pynn.run(0.1)


def test_spikes_get_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    counts = []
    for loss in (0.0, 0.3):
        install(monkeypatch, Laboratory(imperfections="none", spike_loss=loss))
        pynn = importlib.import_module("pynn_brainscales.brainscales2")
        chip = pynn.helper.chip_from_file(write_calibration(tmp_path / "chip.pbin"))
        pynn.setup(initial_config=chip)
        # Held for longer than the input lasts: one spike each.
        source, target, _ = pair(pynn, n_in=8, n=200, refractory_period_refractory_time=255)
        pynn.run(None, pynn.RunCommand.PREPARE)
        source.set(spike_times=Sequence([0.01]))
        pynn.run(0.02)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            counts.append(sum(len(train) > 0 for train in trains(target)))
    assert counts[0] == 200
    # 5 standard deviations of a binomial with 200 draws of 0.7.
    assert abs(counts[1] - 140) < 5 * np.sqrt(200 * 0.3 * 0.7)


def test_a_file_that_is_no_calibration(pynn: Any, tmp_path: Path) -> None:
    (tmp_path / "foreign.pbin").write_bytes(b"\x00\x01")
    with pytest.raises(RuntimeError, match="stream"):
        pynn.helper.chip_from_file(tmp_path / "foreign.pbin")
