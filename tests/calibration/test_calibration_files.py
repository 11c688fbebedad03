"""Calibrations on disk: whole, checked, and only where they belong."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from hxloop.calibration import load_calibration, save_calibration
from hxloop.calibration.files import load_unfinished, save_unfinished
from hxloop.calibration.options import options_from
from hxloop.calibration.result import Unfinished
from hxloop.calibration.workflow import calibrate_backend
from hxloop.errors import (
    CalibrationError,
    ConfigError,
    FileFormatError,
    OutputError,
    UnknownNameError,
)
from hxloop.files.lock import FileLock
from hxloop.network import NetworkSpec, NeuronSpec
from tests.calibration.calibrated_chip import QUICK, calibrated

pytestmark = pytest.mark.xdist_group("calibrated-chip")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "chip.h5"
    save_calibration(path, calibrated())
    return path


def test_a_result_comes_back_as_it_was(file):
    before, after = calibrated(), load_calibration(file)
    for name in ("target", "options", "chip_id", "failures", "scales", "runs", "made", "version"):
        assert getattr(after, name) == getattr(before, name), name
    for name in ("codes", "before", "estimates", "errors_of_estimates"):
        old, new = getattr(before, name), getattr(after, name)
        assert set(old) == set(new)
        for key in old:
            np.testing.assert_array_equal(old[key], new[key])
    assert len(after.steps) == len(before.steps)
    for old, new in zip(before.steps, after.steps, strict=True):
        assert (old.name, old.knob, old.runs) == (new.name, new.knob, new.runs)
        np.testing.assert_array_equal(old.convergence, new.convergence)
    assert after.digest == before.digest and after.key == before.key
    np.testing.assert_array_equal(after.usable, before.usable)
    assert [p.name for p in file.parent.iterdir()] == ["chip.h5"]  # no temporary file is left


def test_the_digest_is_of_what_was_asked_and_what_came_of_it():
    result = calibrated()
    codes = {name: values.copy() for name, values in result.codes.items()}
    codes["v_leak"][3] += 1
    others = [
        replace(result, codes=codes),
        replace(result, options=replace(QUICK, seed=3)),
        replace(result, target=replace(result.target, tau_mem_us=7.0)),
        replace(result, chip_id="another"),
        replace(result, version="0.0.1"),
    ]
    assert len({result.digest, *(other.digest for other in others)}) == 6
    # The key that a cache goes by is of what was asked alone.
    assert others[0].key == result.key and all(o.key != result.key for o in others[1:])


@pytest.mark.parametrize("keep", [0, 10, 1000, 0.5, 0.95])
def test_truncated_files_are_refused(file, keep):
    content = file.read_bytes()
    file.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(FileFormatError, match=r"chip\.h5: truncated or corrupt"):
        load_calibration(file)


def test_a_changed_number_is_noticed(file):
    with h5py.File(file, "r+") as content:
        content["codes/v_leak"][7] += 1
    with pytest.raises(FileFormatError, match="corrupt, its checksum does not match"):
        load_calibration(file)


def test_other_files_and_schemas_are_refused(file, tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        load_calibration(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("v_leak = 3")
    with pytest.raises(FileFormatError, match="truncated or corrupt"):
        load_calibration(text)
    with h5py.File(file, "r+") as content:
        content.attrs["schema"] = "hxloop-calibration-1"
    with pytest.raises(FileFormatError, match="expected schema 'hxloop-calibration-2'; got"):
        load_calibration(file)
    with h5py.File(tmp_path / "other.h5", "w") as content:
        content["weights"] = np.zeros(3)
    with pytest.raises(FileFormatError, match="expected schema"):
        load_calibration(tmp_path / "other.h5")


def test_another_chip_or_network_is_refused_unless_told_to(file):
    chip = calibrated().chip_id
    assert load_calibration(file, chip_id=chip).chip_id == chip
    with pytest.raises(CalibrationError, match=rf"chip\.h5: .*made on chip {chip}; this is chip x"):
        load_calibration(file, chip_id="x")
    slow = NetworkSpec.feed_forward(3, 2, neuron=NeuronSpec(tau_mem=2.0))
    with pytest.raises(CalibrationError, match="needs 12 and 6 us"):
        load_calibration(file, network=slow)
    load_calibration(file, network=NetworkSpec.feed_forward(3, 2))
    forced = load_calibration(file, chip_id="x", network=slow, force=True)
    assert forced.chip_id is None


def test_folders_that_cannot_be_written_are_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        save_calibration(tmp_path / "file" / "chip.h5", calibrated())


def test_an_unfinished_calibration_comes_back(tmp_path):
    result, path = calibrated(), tmp_path / "half"
    assert load_unfinished(path, "k") is None
    state = Unfinished(
        dict(result.codes), dict(result.before), list(result.steps[:3]), {"strength_exc": 17.5},
        42, 1.5,
    )  # fmt: skip
    save_unfinished(path, "k", state)
    again = load_unfinished(path, "k")
    assert (again.runs, again.seconds, again.targets) == (42, 1.5, {"strength_exc": 17.5})
    assert [step.name for step in again.steps] == [step.name for step in result.steps[:3]]
    np.testing.assert_array_equal(again.codes["v_leak"], result.codes["v_leak"])
    with pytest.raises(CalibrationError, match="another target"):
        load_unfinished(path, "other")
    with pytest.raises(FileFormatError, match="expected schema 'hxloop-calibration-2'"):
        load_calibration(path)


def test_options_by_name():
    assert options_from({"repeats": 3}).repeats == 3
    with pytest.raises(UnknownNameError, match=r"unknown .* option 'repeat'.*'repeats'"):
        options_from({"repeat": 3})
    with pytest.raises(ConfigError, match="repeats"):
        options_from({"repeats": 0.5})


def test_two_calibrations_into_one_file(tmp_path):
    out = tmp_path / "new" / "chip.h5"
    out.parent.mkdir()
    with FileLock.beside(out), pytest.raises(OutputError, match="only one can at a time"):
        # Refused before the chip is opened.
        calibrate_backend(None, calibrated().target, QUICK, out=out)
