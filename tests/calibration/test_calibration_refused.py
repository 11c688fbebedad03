"""What a calibrator may see, and what it refuses."""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from pathlib import Path

import pytest

import hxloop.calibration
from hxloop import get_backend
from hxloop.calibration import (
    CalibrationOptions,
    CalibrationTarget,
    calibrate,
    scale_network,
)
from hxloop.calibration.verdict import check_failures
from hxloop.errors import (
    CalibrationError,
    CapacityError,
    ConfigError,
    NetworkError,
    UnknownNameError,
)
from hxloop.network import NetworkSpec, NeuronSpec
from tests.calibration.calibrated_chip import QUICK, TARGET, Keyhole, calibrated, faulty_chip
from tests.calibration.calibrations import NETWORK, calibrate_with

pytestmark = pytest.mark.xdist_group("calibrated-chip")

# --- only through the session -------------------------------------------------------------


def test_the_calibrator_sees_no_more_than_the_protocol():
    # The calibration of all these tests was made through a keyhole that shows the protocol only.
    with faulty_chip().open(NETWORK, seed=1) as session:
        seen = Keyhole(session)
        assert seen.n_circuits == 512 and seen.capabilities.knobs
        for hidden in ("_curves", "_readout", "_backend", "_layers", "chip_model", "__dict__x"):
            with pytest.raises(AttributeError, match="no business"):
                getattr(seen, hidden)
    assert calibrated().runs > 5000


def test_the_calibrator_cannot_import_the_curves_nor_touch_what_is_private():
    folder = Path(inspect.getfile(hxloop.calibration)).parent
    # All but what calls it and asks for the truth afterwards.
    modules = sorted(path for path in folder.glob("*.py") if path.name != "workflow.py")
    assert len(modules) > 6
    for path in modules:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                assert "backends" not in (node.module or ""), path
            elif isinstance(node, ast.Import):
                assert all("backends" not in alias.name for alias in node.names), path
            elif isinstance(node, ast.Attribute) and node.attr.startswith("_"):
                owner = ast.unparse(node.value)
                assert owner == "self", f"{path}:{node.lineno}: {owner}.{node.attr}"
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("getattr", "vars", "eval", "exec", "__import__") or (
                    called == "getattr" and not isinstance(node.args[1], ast.Constant)
                ), f"{path}:{node.lineno}"
        # What is asked for by a computed name is a field of the result, never of the session.
        text = path.read_text(encoding="utf-8")
        assert "getattr(session" not in text and "getattr(chip" not in text
    for banned in ("parameters_at", "substrate_parameters", "chip_model"):
        assert not any(banned in path.read_text(encoding="utf-8") for path in modules)


def test_too_much_noise_is_reported_with_numbers():
    loud = faulty_chip(knob_options={"cadc_noise": 300.0, "madc_noise": 600.0})
    with pytest.raises(CalibrationError) as error:
        calibrate_with(loud, replace(QUICK, repeats=2, refine_steps=0))
    message = str(error.value)
    assert "of 512 circuits failed; at most 20%" in message
    assert "v_leak:" in message and "median deviation" in message and "tolerance 4" in message


def test_a_chip_with_too_many_failures_is_refused_and_can_be_allowed():
    broken = faulty_chip(knob_options={"stuck": 0.6})
    quick = replace(QUICK, repeats=2, refine_steps=0, scales=False)
    result = calibrate_with(broken, replace(quick, max_failed=0.9))
    with pytest.raises(CalibrationError, match=r"circuits failed.*max_failed"):
        check_failures(result.failures, result.estimates, TARGET, quick)
    assert len(result.failed) > 0.2 * 512
    big = NetworkSpec.feed_forward(20, 480)
    with pytest.raises(CapacityError, match=r"needs 480 neuron circuits; of 512 .* usable"):
        broken.open(big, calibration=result)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"v_leak_lsb": 30.0}, "v_leak_lsb: expected a number from 50 to 160.*got 30"),
        ({"v_threshold_lsb": 230.0}, "from 50 to 220"),
        ({"tau_mem_us": 0.1}, "from 0.5 to 60"),
        ({"tau_syn_us": float("nan")}, "from 0.3 to 30"),
        ({"tau_syn_us": "6"}, "from 0.3 to 30"),
        ({"v_threshold_lsb": 90.0}, "at least 20 LSB above leak and reset; got 90"),
    ],
)
def test_targets_out_of_reach_are_refused(target, message):
    with pytest.raises(ConfigError, match=message):
        CalibrationTarget(**target)
    with pytest.raises(UnknownNameError, match="unknown target 'tau'"):
        CalibrationTarget.from_mapping({"tau": 3.0})


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"search": "bisektion"}, UnknownNameError),
        ({"repeats": 1}, ConfigError),
        ({"refine_steps": -1}, ConfigError),
        ({"tolerance_lsb": 0.0}, ConfigError),
        ({"tolerance_tau": float("inf")}, ConfigError),
        ({"max_failed": "all"}, ConfigError),
    ],
)
def test_bad_options_are_refused(options, error):
    with pytest.raises(error):
        CalibrationOptions(**options)


def test_sessions_that_cannot_be_calibrated_are_refused():
    with (
        get_backend("ideal").open(scale_network(4)) as ideal,
        pytest.raises(CapacityError, match="no knobs to turn"),
    ):
        calibrate(ideal)
    with faulty_chip().open(NETWORK, seed=0) as session:
        with pytest.raises(CalibrationError, match=r"tau_mem_us=6 .*tau_syn_us=6|needs 6 and 6"):
            calibrate(session, CalibrationTarget(tau_mem_us=12.0))
        with pytest.raises(NetworkError, match="one layer and at least 16 inputs"):
            calibrate(session, TARGET, QUICK)


def test_a_calibration_of_another_chip_or_network_is_refused_unless_told_to():
    result = calibrated()
    other = faulty_chip(chip=6)
    with pytest.raises(CalibrationError, match=r"made on chip emulated-5.*this is emulated-6"):
        other.open(NETWORK, calibration=result)
    other.open(NETWORK, calibration=result.for_any_chip(), seed=0).close()
    slow = NetworkSpec.feed_forward(20, 10, neuron=NeuronSpec(tau_mem=2.0))
    with pytest.raises(CalibrationError, match=r"layer 0 .* needs 12 and 6 us.*--target"):
        faulty_chip().open(slow, calibration=result)
