"""In which runs a chip would play a network: said without running it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from hxloop import NetworkSpec, get_backend
from hxloop.chip.cost import SLOT
from hxloop.chip.planned import planned
from tests.cli.command_line import SMALL

CHIP = "{name = 'emulated-chip', chip = %d, solver = 'event'}"
IN_PARTS = ("--backend", "partitioned", "--set")


def test_the_plan_is_that_of_the_backend_and_nothing_is_opened(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any, **__: Any) -> None:
        raise AssertionError("a plan needs no chip")

    monkeypatch.setattr("hxloop.backends.emulated.session.EmulatedChipSession.__init__", opened)
    two = f"backend.options.over=[{CHIP % 1}, {CHIP % 2}]"
    few = ("--set", "backend.options.circuits=5", "--set", "backend.options.inputs=4")
    code, out, _ = run("plan", "yin-yang", *SMALL, *IN_PARTS, two, *few, "--json")
    found = json.loads(out)
    # 5 inputs take two circuits each, 8 inputs of the outputs too: runs of two neurons.
    assert code == 0 and [r["neurons"] for r in found["runs"]] == [2, 2, 2, 2, 2, 1]
    assert found["runs"][3]["populations"] == ["hidden[6:8]"]
    assert found["utilisation"] == pytest.approx((5 * 4 + 2) / (6 * 5))
    # Four runs of the first stage and two of the second, on two chips: three rounds of 60 samples.
    slot = SLOT * 6.0
    assert found["chips"] == 2 and found["slot_us"] == pytest.approx(slot)
    assert found["seconds_an_epoch"] == pytest.approx(3 * 60 * slot * 1e-6)
    code, out, _ = run("plan", "yin-yang", *SMALL, *IN_PARTS, two, *few)
    assert "5-8-3 in 6 runs of at most 5 circuits" in out and "2 chips side by side" in out


def test_a_substrate_that_is_no_chip_or_too_small_is_told(run: Any) -> None:
    code, out, err = run("plan", "yin-yang", *SMALL)
    assert code == 0 and "5-8-3 in 1 run of at most 512 circuits" in out
    assert "'ideal' has no limits" in err
    large = ("--set", "network.hidden=[600]", "--backend", "emulated-chip")
    code, out, err = run("plan", "yin-yang", *SMALL, *large)
    # 600 hidden neurons, then outputs of five circuits for 600 inputs.
    assert code == 0 and "in 3 runs" in out and "'partitioned' over it" in err
    chip = get_backend("emulated-chip", solver="event", tau_syn_us=10.0)
    assert planned(chip, NetworkSpec.feed_forward(5, 8, 3)).remark == ""
    assert planned(chip, NetworkSpec.feed_forward(5, 8, 3)).slot_us == pytest.approx(300)


def test_circuits_that_a_calibration_left_out_are_not_counted_on() -> None:
    class Half:
        weight_scale, time_scale, spike_offset = 1.0, 1.0, 0.0
        usable = np.arange(512) % 2 == 0

    network = NetworkSpec.feed_forward(5, 300, 3)
    found = planned(get_backend("emulated-chip"), network, Half())
    assert [part.circuits for part in found.plan.parts] == [256, 44, 9]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((f"backend.options.over={CHIP % 1}", "backend.options.circuits=1",
          "backend.options.inputs=4"),
         "'hidden' has 5 inputs and takes 2 circuits (one for each 4); the chip has 1"),
        (("backend.options.over={name='pynn-brainscales2'}", "encoding.replicate=40"),
         "'hidden' has 200 inputs; the substrate takes at most 128"),
        ((f"backend.options.over={CHIP % 1}", "network.delays='axonal'"), "delays"),
        (("backend.options.circuits=1",), "needs the option 'over'"),
        ((f"backend.options.over=[{CHIP % 1}, {{name='ideal'}}]",), "substrates of one kind"),
    ],
)  # fmt: skip
def test_what_cannot_be_planned_is_refused_with_the_layer_and_the_limit(
    run: Any, settings: tuple[str, ...], message: str
) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    code, out, err = run("plan", "yin-yang", *SMALL, "--backend", "partitioned", *words)
    assert code == 2 and message in err and out == ""
