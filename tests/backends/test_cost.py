"""What a sample is estimated to cost on the chip."""

from __future__ import annotations

import pytest

from hxloop.chip.cost import cost_in_words, estimated_cost
from hxloop.substrate import get_backend
from hxloop.substrate.optional import cost_of_sample


def test_slots_power_and_link():
    cost = estimated_cost(6.0, 25, 63)
    assert cost.time_us == pytest.approx(180) and cost.shortest_time_us == pytest.approx(42)
    assert cost.energy_uj == pytest.approx(36)
    busy = estimated_cost(6.0, 40_000, 10_000)  # 50,000 events of 8 ns
    assert busy.time_us == busy.shortest_time_us == pytest.approx(400)
    assert "400 us and 80 uJ" in cost_in_words(busy.as_dict())


def test_only_what_is_a_chip_has_one():
    assert cost_of_sample(get_backend("ideal"), 1, 1) == {}
    chip = get_backend("emulated-chip", tau_syn_us=10.0)
    assert cost_of_sample(chip, 5, 6)["time_us"] == pytest.approx(300)
    assert cost_of_sample(chip, 5, 6)["events_out"] == 6


def test_of_the_real_chip_at_its_own_slots_and_time_constant():
    chip = get_backend("pynn-brainscales2", slot=20.0, time_scale=1.5)
    cost = cost_of_sample(chip, 5, 6)
    assert cost["time_us"] == pytest.approx(20 * 1.5 * chip.tau_syn_us)
    assert "in slots of 20 tau_syn" in cost_in_words(cost)
