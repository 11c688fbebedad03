"""A calibration that is stopped goes on, and comes to the same; an old one is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hxloop.calibration import (
    scale_network,
)
from hxloop.calibration.files import load_calibration
from hxloop.calibration.verify import verify
from hxloop.calibration.workflow import judge_result
from hxloop.chip.readout import Stimulus
from hxloop.errors import (
    CalibrationError,
    FileFormatError,
)
from tests.calibration.calibrated_chip import QUICK, calibrated, faulty_chip
from tests.calibration.calibrations import calibrate_with

pytestmark = pytest.mark.xdist_group("calibrated-chip")

# --- interruption -------------------------------------------------------------------------


class StopAt:
    def __init__(self, step):
        self.step, self.names = step, []

    def on_step(self, name, index, steps):
        self.names.append(name)
        if name == self.step:
            raise KeyboardInterrupt

    def on_run(self, runs):
        self.runs = runs


def test_an_interrupted_calibration_goes_on_where_it_was(tmp_path):
    file, backend = tmp_path / "half.h5", faulty_chip()
    options = replace(QUICK, repeats=2, refine_steps=0)
    stopped = StopAt("offset_exc")
    with pytest.raises(KeyboardInterrupt):
        calibrate_with(backend, options, progress=stopped, resume=file)
    assert file.exists() and stopped.names[0] == "before"
    again = StopAt(None)
    result = calibrate_with(backend, options, progress=again, resume=file)
    assert again.names[0] == "offset_exc" and not file.exists()
    assert result.runs > stopped.runs and result.runs == again.runs
    names = [step.name for step in result.steps]
    assert names[:3] == ["tau_syn_exc", "tau_syn_inh", "v_threshold"] and "v_leak again" in names
    assert judge_result(backend, result).passed_bad == ()


class StopInTheMiddle(StopAt):
    """Stop at the second measurement after a step began."""

    def on_step(self, name, index, steps):
        self.left = 2 if name == self.step else None

    def on_run(self, runs):
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt


def test_a_stopped_calibration_is_the_same_to_the_last_bit(tmp_path):
    """The noise began anew, so that other circuits failed; the digest took in the seconds."""
    options = replace(QUICK, repeats=2, refine_steps=0)
    whole = calibrate_with(faulty_chip(), options)
    file, out = tmp_path / "half.h5", tmp_path / "chip.h5"
    for step in ("strength_exc", "verify"):
        with pytest.raises(KeyboardInterrupt):
            calibrate_with(faulty_chip(), options, progress=StopInTheMiddle(step), resume=file)
    result = calibrate_with(faulty_chip(), options, resume=file, out=out)
    assert not file.exists() and load_calibration(out).digest == result.digest
    assert whole.digest == result.digest and whole.failures == result.failures
    assert whole.scales == result.scales and whole.runs == result.runs
    for part in ("codes", "before", "estimates", "errors_of_estimates"):
        ours, theirs = getattr(result, part), getattr(whole, part)
        assert ours.keys() == theirs.keys()
        for name, values in ours.items():
            np.testing.assert_array_equal(values, theirs[name], err_msg=f"{part}: {name}")
    assert replace(result, seconds=0.0, made="another day").digest == result.digest
    fewer = dict(list(result.failures.items())[1:])
    assert replace(result, failures=fewer).digest != result.digest


def test_a_measurement_s_noise_is_that_of_its_trial():
    with faulty_chip().open(scale_network(512), seed=1) as session:
        stimulus = Stimulus(20.0)
        first = [session.measure(stimulus, ["cadc"]).cadc for _ in range(3)]
        again = session.measure(stimulus, ["cadc"], trial=2).cadc
        np.testing.assert_array_equal(again, first[1])
        traces = [session.trace(stimulus, [[0, 1]], trial=7).samples for _ in range(2)]
        np.testing.assert_array_equal(*traces)
        assert (session.measure(stimulus, ["cadc"]).cadc != first[0]).any()


def test_what_was_interrupted_is_not_mixed_with_something_else(tmp_path):
    file, backend = tmp_path / "half.h5", faulty_chip()
    with pytest.raises(KeyboardInterrupt):
        calibrate_with(backend, QUICK, progress=StopAt("tau_syn_inh"), resume=file)
    with pytest.raises(CalibrationError, match="another target, other options, another chip"):
        calibrate_with(backend, replace(QUICK, seed=1), resume=file)
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(FileFormatError, match="truncated or corrupt"):
        calibrate_with(backend, QUICK, resume=file)


# --- drift --------------------------------------------------------------------------------


def test_verification_tells_a_fresh_calibration_from_an_old_one():
    result = calibrated()
    with faulty_chip().open(scale_network(512), seed=9) as session:
        fresh = verify(session, result)
    assert not fresh.expired and "still holds" in fresh.message
    with faulty_chip(hours=24 * 60.0).open(scale_network(512), seed=9) as session:
        old = verify(session, result)
    assert old.expired and "has expired" in old.message
    assert old.moved["v_leak"] > 3 * max(fresh.moved["v_leak"], 0.1)
    assert old.runs < 0.05 * result.runs
    with (
        faulty_chip(chip=6).open(scale_network(512), seed=9) as session,
        pytest.raises(CalibrationError, match="made on chip"),
    ):
        verify(session, result)
