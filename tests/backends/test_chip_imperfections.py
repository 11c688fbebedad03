"""What real chips do beyond the spread of their neurons, one by one, against closed forms."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hxloop import registry
from hxloop.activity import Spikes
from hxloop.backends.emulated.brian2.chip import dynamics_of
from hxloop.backends.emulated.event_solver import ChipLayer
from hxloop.backends.emulated.imperfections import FIRST_SPIKES_ONLY, Imperfections
from hxloop.backends.emulated.link import cross
from hxloop.backends.emulated.model import TrialNoise
from hxloop.backends.emulated.presets import Preset, preset_registry
from hxloop.backends.emulated.synapses import Synapses
from hxloop.errors import CapacityError, ConfigError, RunInputError, UnknownNameError
from hxloop.network import NetworkSpec, NeuronParameters, NeuronSpec, Population
from hxloop.substrate import get_backend

SILENT = np.inf


def chip(solver="event", **imperfections):
    return get_backend(
        "emulated-chip",
        imperfections={"preset": "none", **imperfections},
        solver=solver,
        quantise_weights=False,
        quantise_times=False,
    )


def spikes(weights, times, seed=0, trial=0, window=8.0, **imperfections):
    """First spikes of one layer."""
    weights, times = np.asarray(weights, dtype=float), np.asarray(times, dtype=float)
    network = NetworkSpec.feed_forward(*weights.shape, t_window=window)
    with chip(**imperfections).open(network, seed=seed) as session:
        return session.run([weights], times, trial=trial)


def noise(**imperfections):
    return TrialNoise(Imperfections.resolve({"preset": "none", **imperfections}), 1, 0)


# --- solved step by step ------------------------------------------------------------------


def test_step_by_step_is_the_exact_solution_where_nothing_bends():
    rng = np.random.default_rng(0)
    weights, times = rng.normal(0.3, 0.3, (12, 9)), rng.uniform(0, 2, (20, 12))
    exact = spikes(weights, times).output_times
    stepped = spikes(weights, times, input_saturation=1e-9).output_times
    both = np.isfinite(exact) & np.isfinite(stepped)
    assert both.sum() > 100 and (np.isfinite(exact) != np.isfinite(stepped)).mean() < 0.02
    assert np.median(np.abs(exact[both] - stepped[both])) < 1e-4


def test_a_saturated_input_drives_no_further_than_its_largest_current():
    # A huge charge holds the current at its largest, so v = I (1 - exp(-t)).
    huge = [[1e6]]
    assert spikes(huge, [[0.0]], input_saturation=1 / 0.95).output_times[0, 0] == SILENT
    for largest in (1.5, 4.0):
        found = spikes(huge, [[0.0]], input_saturation=1 / largest).output_times[0, 0]
        assert found == pytest.approx(-np.log(1 - 1 / largest), abs=0.01)


def test_noise_of_membranes_moves_spikes_by_noise_over_slope():
    weights, times = [[6.0]], np.zeros((400, 1))
    exact = spikes(weights, times[:1]).output_times[0, 0]
    slope = 6.0 * (1 - exact) * np.exp(-exact)
    found = spikes(weights, times, membrane_noise=0.02).output_times
    # Not yet at rest: a membrane has forgotten its start to exp(-2 t).
    sigma = 0.02 * np.sqrt(1 - np.exp(-2 * exact)) / slope
    assert found.std() == pytest.approx(sigma, rel=0.3)
    assert found.mean() == pytest.approx(exact, abs=3 * sigma)
    np.testing.assert_array_equal(found, spikes(weights, times, membrane_noise=0.02).output_times)
    other = spikes(weights, times, trial=1, membrane_noise=0.02).output_times
    assert (found != other).any()


def test_a_spike_lifts_the_membranes_beside_it():
    # exp(1) w is the peak of a membrane: 0.97 of the threshold, at 1.
    almost = 0.97 * np.e
    weights = [[8.0, almost]]
    assert spikes(weights, [[0.0]], spike_crosstalk=1e-3).output_times[0, 1] == SILENT
    early = spikes(weights, [[0.0]], spike_crosstalk=0.2).output_times
    assert early[0, 0] < early[0, 1] < 1.0


# --- synapses -----------------------------------------------------------------------------


def driven(weights, largest=None, **imperfections):
    weights = np.asarray(weights, dtype=float)
    network = NetworkSpec.feed_forward(*weights.shape)
    spread = Imperfections.resolve({"preset": "none", **imperfections})
    return Synapses(network, spread, 3, largest).driven([weights], TrialNoise(spread, 1, 0))[0]


def test_a_row_is_as_strong_for_every_neuron():
    factors = driven(np.ones((900, 3)), row_strength=0.1)
    np.testing.assert_array_equal(factors[:, 0], factors[:, 2])
    assert np.log(factors[:, 0]).std() == pytest.approx(0.1, rel=0.1)
    inhibitory = -driven(-np.ones((900, 3)), row_strength=0.1)
    assert abs(np.corrcoef(factors[:, 0], inhibitory[:, 0])[0, 1]) < 0.15
    # More inputs are the same rows, and some.
    np.testing.assert_array_equal(driven(np.ones((5, 1)), row_strength=0.1), factors[:5, :1])


def test_large_weights_work_less_than_in_proportion():
    weights = np.array([[0.0], [0.4], [-0.8]])
    np.testing.assert_allclose(
        driven(weights, largest=0.8, weight_curve=0.2), [[0.0], [0.4 * 0.95], [-0.8 * 0.8]]
    )


def test_weights_vary_from_run_to_run():
    shifts = driven(np.zeros((60, 60)), largest=0.5, weight_trial=0.04)
    assert shifts.std() == pytest.approx(0.02, rel=0.1)


def test_held_weights_are_told_not_the_driven_ones():
    activity = spikes([[3.0]], [[0.0]], row_strength=0.3, weight_curve=0.1)
    np.testing.assert_array_equal(activity.weights_used[0], [[3.0]])
    assert activity.output_times != spikes([[3.0]], [[0.0]]).output_times


# --- thresholds of each sample, the link --------------------------------------------------


def test_thresholds_of_each_sample_move_spikes_on_both_solvers():
    times = np.zeros((500, 1))
    found = spikes([[6.0]], times, threshold_sample=0.02).output_times
    exact = spikes([[6.0]], times[:1]).output_times[0, 0]
    slope = 6.0 * (1 - exact) * np.exp(-exact)
    assert found.std() == pytest.approx(0.02 / slope, rel=0.15)
    nominal = NeuronParameters.uniform(NeuronSpec(), 2)
    shifts = np.array([[0.1, -0.2]])
    layer = ChipLayer(np.ones((1, 2)), nominal, shifts=shifts)
    np.testing.assert_allclose(dynamics_of(layer, 1).threshold, 1 + shifts)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(0, 5), min_size=1, max_size=30),
    st.floats(1e-4, 0.5),
)
def test_events_wait_for_their_turn(times, interval):
    sent = np.array([[*times, np.inf]])
    left = cross([sent], noise(event_interval=interval), 0).times[0]
    order = np.argsort(sent[0, :-1], kind="stable")
    came = left[0, order]
    assert left[0, -1] == SILENT
    assert (left[0] >= sent[0] - 1e-12).all()
    assert came[0] == sent[0, order[0]]
    assert (np.diff(came) >= interval - 1e-9).all()
    # Nobody waits without need: it is due, or the one before has just left.
    before = np.concatenate([[-np.inf], came[:-1]])
    np.testing.assert_allclose(came, np.maximum(sent[0, order], before + interval), atol=1e-9)


def test_all_layers_share_the_way_out():
    groups = [np.array([[1.0, 1.0]]), np.array([[1.0]])]
    first, second = cross(groups, noise(event_interval=0.25), 1).times
    np.testing.assert_allclose([*first[0], *second[0]], [1.0, 1.25, 1.5])


def test_lost_events_are_counted_and_not_told():
    weights, times = np.full((20, 5), 0.6), np.full((60, 20), 0.3)
    clean = spikes(weights, times)
    lossy = spikes(weights, times, link_loss=0.2)
    np.testing.assert_array_equal(lossy.input_times, clean.input_times)
    share = lossy.info.lost_spikes / (times.size + np.isfinite(clean.output_times).sum())
    assert share == pytest.approx(0.2, abs=0.03)
    # 20 % of what was recorded, and what came later, because inputs did not come.
    assert np.isinf(lossy.output_times).mean() == pytest.approx(0.2, abs=0.05)
    later = lossy.output_times > clean.output_times
    assert later.mean() > 0.9


# --- refused by name, presets --------------------------------------------------------------


@pytest.mark.parametrize("name", ("membrane_noise", "input_saturation", "spike_crosstalk"))
def test_brian2_refuses_what_it_does_not_model(name):
    with pytest.raises(ConfigError, match=f"'brian2' does not model {name}"):
        chip("brian2", **{name: 0.1})


@pytest.mark.parametrize("name", FIRST_SPIKES_ONLY)
def test_all_spikes_refuse_what_is_modelled_of_first_ones(name):
    again = NetworkSpec(2, (Population("a", 2, NeuronSpec(t_refractory=1.0)),))
    with pytest.raises(CapacityError, match=name):
        chip(**{name: 0.01}).open(again)
    with chip(**{name: 0.01}).open(NetworkSpec.feed_forward(1, 1)) as session:
        twice = Spikes.from_events([0, 0], [0, 0], [0.1, 0.2], batch=1, n_units=1)
        with pytest.raises(RunInputError, match=name):
            session.run([np.ones((1, 1))], twice)


def test_presets_that_are_data():
    published = Imperfections.resolve("delgrad-hardware-aware")
    assert published == Imperfections.resolve(
        {
            "preset": "none",
            "v_threshold": 0.08 / 2.6,
            "threshold_offset": 0.13 / 2.6,
            "threshold_trial": 0.04 / 2.6,
        }
    )
    for name in preset_registry().names():
        preset = preset_registry().get(name)
        assert preset.source and preset.about and Imperfections.resolve(name) is not None


def test_a_preset_is_read_from_a_file(tmp_path):
    path = tmp_path / "mine.toml"
    table = '[mine]\nabout = "a"\nsource = "b"\nstart = "none"\nvalues = {tau_mem = 0.3}\n'
    path.write_text(table)
    assert Imperfections.resolve(str(path)) == Imperfections.resolve(
        {"preset": "none", "tau_mem": 0.3}
    )
    for text, message in (
        ("[mine", "cannot be read"),
        ("[mine]\nabout = 1\n", "expected a table with"),
        (table + table.replace("mine", "two"), "expected one table"),
        ("", "expected one table"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=message):
            Imperfections.resolve(str(path))
    path.write_text(table.replace("tau_mem", "tau_men"))
    with pytest.raises(UnknownNameError, match="tau_mem"):
        Imperfections.resolve(str(path))
    with pytest.raises(ConfigError, match="cannot be read"):
        Imperfections.resolve(str(tmp_path / "nowhere.toml"))


def test_a_package_brings_a_preset_by_entry_point(monkeypatch):
    point = EntryPoint("mine", "tests.backends.test_chip_imperfections:MINE", "hxloop.chip_presets")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] * (group == point.group))
    assert Imperfections.resolve("mine") == Imperfections.resolve(
        {"preset": "calibrated", "link_loss": 0.01}
    )
    with pytest.raises(UnknownNameError, match=r"known: .*mine"):
        Imperfections.resolve("yours")


MINE = Preset(about="a", source="b", start="calibrated", values={"link_loss": 0.01})
