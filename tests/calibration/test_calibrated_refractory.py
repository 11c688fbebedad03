"""Refractory times: counters make up for what circuits are held longer than they count."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hxloop.calibration import (
    CalibrationOptions,
    calibrate,
    load_calibration,
    save_calibration,
    scale_network,
)
from hxloop.calibration.measurements import Bench
from hxloop.calibration.refractory import HELD_US, refractory_excess
from hxloop.calibration.result import REFRACTORY, CalibrationResult
from hxloop.chip.readout import Stimulus
from hxloop.chip.refractory import RefractoryCode, trimmed_us
from hxloop.errors import RunInputError
from hxloop.network import NetworkSpec, NeuronSpec
from tests.calibration.calibrated_chip import TARGET, Keyhole, calibrated, faulty_chip

pytestmark = pytest.mark.xdist_group("calibrated-chip")
SPIKING = NeuronSpec(t_refractory=0.5)
NETWORK = NetworkSpec.feed_forward(6, 120, 60, neuron=SPIKING)
# 0.5 tau_syn is counted in cycles of 16 ns; a spread that is more than a few of them.
ASKED_US, PERIOD_US = 3.0, 0.016


@pytest.fixture(scope="module")
def measured() -> tuple[np.ndarray, np.ndarray]:
    """What circuits of the calibrated chip are held too long, and what was measured of it."""
    result, backend = calibrated(), faulty_chip()
    with backend.open(scale_network(512), seed=3) as session:
        bench = Bench(Keyhole(session), TARGET)
        runs = [refractory_excess(bench, result.codes) for _ in range(4)]
        again = refractory_excess(Bench(Keyhole(session), TARGET), result.codes)
    np.testing.assert_array_equal(again, runs[0])  # the noise is that of the measurement's number
    return 6 * backend.chip_model(scale_network(512)).t_refractory, np.mean(runs, axis=0)


@pytest.fixture(scope="module")
def with_refractory(measured: tuple[np.ndarray, np.ndarray]) -> CalibrationResult:
    made = calibrated()
    options = replace(made.options, refractory=True)
    return replace(made, options=options, estimates={**made.estimates, REFRACTORY: measured[1]})


def held_us(calibration: CalibrationResult, **options: object) -> list[np.ndarray]:
    with faulty_chip(**options).open(NETWORK, seed=0, calibration=calibration) as session:
        scale = calibration.time_scale
        return [6 * layer.parameters.t_refractory / scale for layer in session.placed]


def test_it_is_measured_from_spikes_alone_well_below_a_cycle(measured):
    truth, found = measured
    usable = calibrated().usable
    assert np.std(truth[usable]) > 2 * PERIOD_US
    error = found[usable] - truth[usable]
    assert np.abs(error).max() < PERIOD_US / 2 and np.abs(np.mean(error)) < 0.002


def test_calibrated_refractory_times_are_within_the_counter_s_resolution(with_refractory):
    before, after = held_us(calibrated()), held_us(with_refractory)
    for raw, good in zip(before, after, strict=True):
        assert np.std(raw) > 2 * PERIOD_US
        assert np.abs(good - ASKED_US).max() <= PERIOD_US  # half a cycle, and what it is known to
        assert np.std(good) < 0.2 * np.std(raw)
    # Without counters there is nothing to make up with.
    for raw, same in zip(held_us(calibrated(), quantise_times=False),
                         held_us(with_refractory, quantise_times=False), strict=True):  # fmt: skip
        np.testing.assert_array_equal(raw, same)


def test_it_is_kept_in_the_file_and_without_it_files_and_keys_are_what_they_were(
    with_refractory, tmp_path: Path
):
    plain = calibrated()
    assert plain.refractory_excess_us is None and REFRACTORY not in plain.estimates
    assert "refractory" not in plain.options.as_dict()
    assert with_refractory.key != plain.key and with_refractory.digest != plain.digest
    assert set(with_refractory.pattern()) == set(plain.pattern())
    for result in (plain, with_refractory):
        save_calibration(tmp_path / "chip.h5", result)
        back = load_calibration(tmp_path / "chip.h5")
        assert (back.digest, back.options) == (result.digest, result.options)
    np.testing.assert_array_equal(back.refractory_excess_us, with_refractory.estimates[REFRACTORY])


@pytest.mark.slow  # two calibrations
def test_a_calibration_without_it_is_to_the_bit_what_it_was():
    quick = CalibrationOptions(search="prediction", repeats=2, refine_steps=0, max_failed=1.0)
    results = []
    for refractory in (False, True):
        with faulty_chip().open(scale_network(512), seed=1) as session:
            options = replace(quick, refractory=refractory)
            results.append(calibrate(Keyhole(session), TARGET, options))
    plain, result = results
    assert (plain.scales, plain.failures) == (result.scales, result.failures)
    for name, values in plain.codes.items():
        np.testing.assert_array_equal(values, result.codes[name])
    for name, values in plain.estimates.items():
        np.testing.assert_array_equal(values, result.estimates[name])
    assert set(result.estimates) - set(plain.estimates) == {REFRACTORY}
    assert result.runs == plain.runs + 2
    truth = 6 * faulty_chip().chip_model(scale_network(512)).t_refractory
    error = (result.refractory_excess_us - truth)[result.usable]
    assert np.abs(error).max() < PERIOD_US / 2


def test_other_measurements_do_not_look_at_counters():
    """So that calibrations without this one are, to the bit, what they were."""
    stimulus = Stimulus(60.0, current=20.0, leak=False, spiking=True)
    held = replace(stimulus, refractory_us=HELD_US)
    seen = []
    for spread in (0.0, 0.05):
        chip = {"imperfections": {"preset": "uncalibrated", "t_refractory": spread}}
        with faulty_chip(**chip).open(scale_network(512), seed=3) as session:
            readings = [session.measure(s, ["spikes"], trial=1) for s in (stimulus, held)]
        seen.append([each.spike_times_us for each in readings])
    np.testing.assert_array_equal(seen[0][0], seen[1][0])
    assert (seen[0][1][:, :2] != seen[1][1][:, :2]).any()


def test_counters_end_where_they_end():
    code = RefractoryCode(187, PERIOD_US)
    found = trimmed_us(code, ASKED_US, np.array([0.0, 0.02, -0.02, 100.0, -100.0])) / PERIOD_US
    np.testing.assert_allclose(found, [188, 186, 189, 0, 255])


def test_what_makes_no_sense_is_refused():
    for wrong in (-1.0, 61.0, np.nan):
        with pytest.raises(RunInputError, match=r"Stimulus\.refractory_us: expected 0 to"):
            Stimulus(60.0, refractory_us=wrong)
    assert CalibrationOptions(refractory=True).as_dict()["refractory"] is True
