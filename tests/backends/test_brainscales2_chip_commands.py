"""BrainScaleS-2: the commands in the order in which a person with a chip runs them."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hxloop import get_backend
from hxloop.backends.brainscales2 import vendor
from hxloop.backends.brainscales2.link import check_link
from hxloop.calibration import load_scales, measure_scales, save_scales, scale_network
from hxloop.chip import placement
from hxloop.cli import chips
from hxloop.cli.entry import main
from hxloop.errors import CalibrationError, FileFormatError
from hxloop.experiments.registry import load_experiment
from hxloop.runs.plan import plan
from tests.backends.brainscales2_laboratory import NAME
from tests.contract_double import router
from tests.contract_double.control import EBRAINS, MASTER


def command(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as done:
        main(list(words))
    out = capsys.readouterr()
    return int(done.value.code or 0), out.out, out.err


@pytest.fixture(autouse=True)
def no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in vendor.CONNECTION:
        monkeypatch.delenv(name, raising=False)


# --- 0: the vendor's router ---------------------------------------------------------------------


def test_the_router_is_shown_networks_and_no_chip(
    lab: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    laboratory = lab()
    monkeypatch.setenv(vendor.ZERO_MOCK, "0")  # restored afterwards
    monkeypatch.delenv(vendor.ZERO_MOCK)
    status, out, err = command(capsys, "check-backend", NAME, "--prepare-only", "--json")
    told = json.loads(out)
    assert status == 0 and told["good"] and "HXCOMM_ENABLE_ZERO_MOCK=1 was set" in err
    outcomes = [row["outcome"] for row in told["networks"]]
    assert [text.startswith("placed and routed") for text in outcomes] == [True] * 4 + [False]
    assert outcomes[-1].startswith("refused before")
    assert "run" not in laboratory.log
    # A router that refuses what was placed is told.
    monkeypatch.setattr(router, "DRIVERS", 20)
    status, out, _ = command(capsys, "check-backend", NAME, "--prepare-only")
    assert status == 1 and "REFUSED BY THE VENDOR'S SOFTWARE" in out
    status, _, err = command(capsys, "check-backend", "ideal", "--prepare-only")
    assert status == 2 and "no vendor's software behind backend 'ideal'" in err


# --- 1: the link --------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", [EBRAINS, MASTER])
def test_the_link_is_measured(lab: Any, flavour: str) -> None:
    lab(flavour=flavour, drops=0.1, offset_ns=300.0)
    lossy = check_link((0.5, 5.0), 1.0)
    assert lossy.release == flavour and lossy.sustained() == 0.0
    for each in lossy.rates:
        assert each.sent - each.received == each.dropped > 0
        assert abs(each.lost - 0.1) < 5 * np.sqrt(0.09 / each.sent)
    lab(flavour=flavour, offset_ns=300.0)
    clean = check_link((0.5, 5.0), 1.0)
    assert clean.sustained() == 5.0
    # Sent in the middle of a cycle, delivered at its start, stamped on the clock.
    assert clean.offset_us == pytest.approx(0.3, abs=0.012)


def test_the_link_as_a_command(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lab(spike_loss=0.2)
    status, out, _ = command(capsys, "check-link", NAME, "--milliseconds", "0.5", "--json")
    told = json.loads(out)
    assert status == 0 and told["chip"] == "double-3" and told["sustained_events_per_us"] == 0
    assert told["rates"][0]["dropped"] == 0  # of the link's losses nobody knows
    status, out, _ = command(capsys, "check-link", NAME, "--milliseconds", "0.5")
    assert status == 0 and "Stamped late by" in out
    assert command(capsys, "check-link", NAME, "--milliseconds", "0")[0] == 2


# --- 2: scales ----------------------------------------------------------------------------------


def test_scales_are_measured(lab: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    lab(imperfections="calibrated", weight_lsb=1 / 60, offset_ns=140.0)
    file = tmp_path / "chip3.json"
    words = ["fit-scales", NAME, "--out", str(file), "--neurons", "24", "--trials", "1"]
    status, out, err = command(capsys, *words, "--json")
    assert status == 0, err
    told = json.loads(out)
    assert told["weight_scale"] == pytest.approx(78 / 60, rel=0.05)
    assert told["spike_offset"] == pytest.approx(0.06 / 6, abs=0.03)
    assert told["spikes_per_sample"] == pytest.approx(1, abs=0.02)
    assert told["chip"] == "double-3" and told["measured"] == 24
    assert command(capsys, *words)[0] == 2  # it is there
    scales = load_scales(file)
    config = load_experiment("yin-yang", [
        f"backend.name={NAME}", f"backend.calibration={file}", "dataset.train_size=40",
        "dataset.validation_size=20", "dataset.test_size=20",
    ])  # fmt: skip
    with plan(config).open_session() as session:
        assert session.capabilities.weight_limit == pytest.approx(63 / 78 * scales.weight_scale)
    # Another chip is not taken for this one.
    lab(chip=4)
    with pytest.raises(CalibrationError, match="measured on chip double-3; this is chip double-4"):
        get_backend(NAME).open(scale_network(4), calibration=scales)


@pytest.mark.slow
def test_scales_are_trained_with(
    lab: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lab()
    file, run = tmp_path / "chip3.json", tmp_path / "run"
    scales = measure_scales(get_backend(NAME), neurons=24, n_circuits=512, trials=1)
    save_scales(file, scales)
    status, out, err = command(
        capsys, "train", "yin-yang-in-the-loop", "--backend", NAME, "--epochs", "1",
        "--set", f"backend.calibration={file}", "--set", "dataset.train_size=40",
        "--set", "dataset.validation_size=20", "--set", "dataset.test_size=20",
        "--set", "network.hidden=[10]", "--out", str(run), "--json",
    )  # fmt: skip
    assert status == 0, err
    assert json.loads(out)["calibration_digest"] == scales.digest


def test_the_command_knows_as_many_circuits_as_the_chip_has() -> None:
    assert chips.N_CIRCUITS == placement.N_CIRCUITS


def test_circuits_that_misbehave_are_found(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.contract_double import simulator

    lab()
    drawn = simulator.draw_chip
    with get_backend(NAME).open(scale_network(40)) as session:
        broken = sorted(session.circuits[0][[5, 9], 0].tolist())

    def with_dead(number: int, imperfections: str) -> Any:
        chip = drawn(number, imperfections)
        chip.dead[broken] = True
        return chip

    monkeypatch.setattr(simulator, "draw_chip", with_dead)
    found = measure_scales(get_backend(NAME), neurons=40, n_circuits=512, trials=1)
    assert np.flatnonzero(~found.usable).tolist() == broken
    with get_backend(NAME).open(scale_network(40), calibration=found) as session:
        assert not set(broken) & set(np.concatenate(session.circuits).ravel().tolist())


def test_scales_files_that_are_none(lab: Any, tmp_path: Path) -> None:
    lab()
    measured = measure_scales(get_backend(NAME), neurons=8, n_circuits=512, trials=1)
    file = tmp_path / "scales.json"
    save_scales(file, measured)
    again = load_scales(file)
    assert again.digest == measured.digest and again.scales == measured.scales
    np.testing.assert_array_equal(again.usable, measured.usable)
    values = json.loads(file.read_text())
    wrong: list[dict[str, Any]] = [
        {"schema": "other"}, {"usable": [512]}, {"n_circuits": "x"}, {"scales": {}},
        {"scales": {**values["scales"], "weight_scale": -1}},
    ]  # fmt: skip
    for change in wrong:
        file.write_text(json.dumps({**values, **change}))
        with pytest.raises(FileFormatError, match=r"scales\.json"):
            load_scales(file)
    file.write_text("{")
    with pytest.raises(FileFormatError):
        load_scales(file)


# --- doctor -------------------------------------------------------------------------------------


def test_the_doctor_finds_what_there_is(
    lab: Any,
    capsys: pytest.CaptureFixture[str],
    calibration_file: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lab(flavour=MASTER)
    monkeypatch.setenv("QUIGGELDY_ENABLED", "1")
    words = ["doctor", "--connect", "--calibration", calibration_file]
    status, out, _ = command(capsys, *words, "--json")
    told = json.loads(out)
    chip = told["sections"][NAME]
    assert status == 0 and told["problems"] == []
    assert chip["chip"] == "double-3" and "release: master" in chip["software"]
    assert "tau_syn_us 6" in chip["operating point"] and chip["QUIGGELDY_ENABLED"] == "1"
    status, out, _ = command(capsys, *words[:2], "--calibration", "absent.pbin")
    assert status == 1 and "! absent.pbin: no such calibration file" in out


def test_a_chip_that_does_not_answer_is_told_with_what_to_do(
    lab: Any, capsys: pytest.CaptureFixture[str], calibration_file: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    lab(stalls=1000)
    scales = ("fit-scales", NAME, "--out", str(tmp_path / "s.json"), "--neurons", "4")
    for words in (("check-link", NAME), scales):
        status, _, err = command(capsys, *words)
        assert status == 1 and "playback program" in err and "should not happen" not in err
        assert "No connection is configured: on EBRAINS run setup_hardware_client()" in err
    monkeypatch.setenv("QUIGGELDY_IP", "129.206.1.2")
    _, _, err = command(capsys, "check-link", NAME)
    assert "Configured is QUIGGELDY_IP=129.206.1.2. Whether a chip answers there" in err
    monkeypatch.setenv(vendor.ZERO_MOCK, "1")
    _, _, err = command(capsys, "check-link", NAME)
    assert "HXCOMM_ENABLE_ZERO_MOCK=1 is set, so that no chip is asked: unset it" in err
    # What the router refuses no connection mends.
    assert vendor.advice(RuntimeError(router.REFUSED)) == ""
    assert vendor.advice(ValueError("v_rest: 200 is outside 50 to 160")) == ""


def test_the_doctor_reads_the_calibration(
    lab: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    lab()
    page = tmp_path / "spiking2_cocolist.pbin"
    page.write_text("<html>404 not found")
    status, out, _ = command(capsys, "doctor", "--calibration", str(page))
    assert status == 1 and "! calibration file" in out and "save_nightly_calibration(" in out


def test_the_doctor_without_the_vendors_software(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = command(capsys, "doctor")
    assert status == 0 and "not installed (No module named 'pynn_brainscales')" in out
    status, out, _ = command(capsys, "doctor", "--connect")
    assert status == 1 and "Heidelberg University" in out


def test_the_doctor_names_what_is_too_old(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from hxloop.cli import doctor

    known = doctor.version

    def other(name: str) -> str:
        if name == "numba":
            raise PackageNotFoundError(name)
        return "1.13.1" if name == "torch" else known(name)

    monkeypatch.setattr(doctor, "version", other)
    status, out, _ = command(capsys, "doctor")
    assert status == 1
    assert "! torch 1.13.1 is too old: hxloop is tested from 2.4 on" in out
    assert "! numba is not installed" in out
