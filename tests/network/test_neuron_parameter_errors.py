"""Parameters of neurons that make no sense are refused, with the field and the neuron."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.errors import NetworkError
from hxloop.network import NeuronParameters, NeuronSpec

FINE = NeuronParameters.uniform(NeuronSpec(t_refractory=1.0), 3)


def changed(name: str, neuron: int, value: float) -> dict[str, np.ndarray]:
    fields = {key: np.array(getattr(FINE, key)) for key in FINE.__dataclass_fields__}
    fields[name][neuron] = value
    return fields


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("tau_mem", 0.0, r"tau_mem: expected positive finite .* got 0.0 at neuron 2"),
        ("tau_mem", np.inf, r"tau_mem: expected positive finite .* got inf at neuron 2"),
        ("v_threshold", np.nan, r"v_threshold: NaN at neuron 2"),
        (
            "t_refractory",
            -0.5,
            r"t_refractory: expected times of 0 or more .* got -0.5 at neuron 2",
        ),
    ],
)
def test_one_neuron_that_makes_no_sense_is_told(name: str, value: float, said: str) -> None:
    with pytest.raises(NetworkError, match=said):
        NeuronParameters(**changed(name, 2, value))


def test_a_neuron_that_would_spike_for_ever_is_refused() -> None:
    fields = changed("v_reset", 1, 1.5)
    NeuronParameters(**fields)  # held there for a while, it leaks away
    fields["t_refractory"][1] = 0.0
    with pytest.raises(NetworkError, match=r"v_reset: expected potentials below v_threshold"):
        NeuronParameters(**fields)


def test_another_number_of_values_is_refused() -> None:
    fields = {**changed("v_leak", 0, 0.0), "v_leak": np.zeros(2)}
    with pytest.raises(
        NetworkError, match=r"v_leak: expected one value for each neuron, shape \(3,\)"
    ):
        NeuronParameters(**fields)
