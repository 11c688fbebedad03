"""BrainScaleS-2: what does not fit or work is told before the chip is used; placement."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hxloop import (
    LayerSpec,
    NetworkSpec,
    NeuronSpec,
    get_backend,
)
from hxloop.errors import (
    CapacityError,
    ConfigError,
    FileFormatError,
    MissingDependencyError,
    UnknownNameError,
)
from tests.backends.brainscales2_laboratory import INPUTS, NAME, NETWORK, TICK, WEIGHTS, differences

# --- what does not work, said before time of the chip is spent ------------------------------


def test_without_the_vendors_software_the_error_says_where_it_comes_from() -> None:
    with pytest.raises(MissingDependencyError, match=r"Heidelberg University.*not on PyPI"):
        get_backend(NAME).open(NETWORK)


def test_calibration_files_that_are_none(lab: Any, tmp_path: Path) -> None:
    lab()
    with pytest.raises(ConfigError, match=r"no calibration file .*absent\.pbin"):
        get_backend(NAME, calibration_file=str(tmp_path / "absent.pbin")).open(NETWORK)
    (tmp_path / "foreign.pbin").write_bytes(b"PK\x03\x04")
    backend = get_backend(NAME, calibration_file=str(tmp_path / "foreign.pbin"))
    with pytest.raises(FileFormatError, match=r"foreign\.pbin"):
        backend.open(NETWORK)
    # The failed attempt holds nothing.
    with get_backend(NAME).open(NETWORK) as session:
        session.run(WEIGHTS, INPUTS)


@pytest.mark.parametrize(
    "options",
    [
        {"tau_syn_us": 0.0},
        {"tau_syn_us": 31.0},
        {"tau_refrac_us": 33.0},
        {"relative_weight_lsb": float("nan")},
        {"weight_lsb": 1 / 78},
        {"slot": True},
        {"v_leak_lsb": 150.0, "v_threshold_lsb": 140.0},
        {"failed_neurons": (512,)},
        {"failed_neurons": (-1,)},
        {"failed_neurons": (1.5,)},
        {"calibration_file": 3},
    ],
)
def test_options_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        get_backend(NAME, **options)


def test_an_unknown_option() -> None:
    with pytest.raises(UnknownNameError, match="calibration_file"):
        get_backend(NAME, calibration_fil="x")


def test_slots_that_are_too_short(lab: Any) -> None:
    lab()
    with pytest.raises(ConfigError, match="slot = 5 is too short"):
        get_backend(NAME, slot=5.0).open(NETWORK)


def test_time_constants_that_the_calibration_file_does_not_have(
    lab: Any, calibration_file: str
) -> None:
    lab()
    backend = get_backend(NAME, calibration_file=calibration_file)
    other = NetworkSpec.feed_forward(10, 3, neuron=NeuronSpec(tau_mem=2.0), t_window=4.0)
    with pytest.raises(CapacityError, match="tau_mem/tau_syn"):
        backend.open(other)
    double = NetworkSpec.feed_forward(
        10, 3, neuron=NeuronSpec(tau_mem=2.0, tau_syn=2.0), t_window=4.0
    )
    with pytest.raises(CapacityError, match="unit of model time"):
        backend.open(double)


def test_neurons_calibrated_to_the_time_constants_of_the_network(lab: Any) -> None:
    lab()
    neuron = NeuronSpec(tau_mem=2.0)
    network = NetworkSpec.feed_forward(10, 30, 3, neuron=neuron, t_window=4.0)
    with get_backend(NAME).open(network) as session:
        activity = session.run([0.8 * w for w in WEIGHTS], INPUTS)
    for off in differences(activity, network):
        assert np.median(np.abs(off)) <= TICK


def test_thresholds_that_differ_between_layers(lab: Any) -> None:
    lab()
    layers = (LayerSpec(3), LayerSpec(3, NeuronSpec(v_threshold=2.0)))
    with pytest.raises(CapacityError, match="same distance"):
        get_backend(NAME).open(NetworkSpec(3, layers))
