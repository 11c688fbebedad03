"""The study open-loop-vs-in-the-loop in small: its arms, and what an earlier version left out."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.errors import ConfigError
from hxloop.experiments.open_loop_vs_in_the_loop.study import markdown_table, run
from hxloop.experiments.registry import FOLDER, load_experiment
from hxloop.runs.folder import RunDirectory
from tests.cli.command_line import SMALL

TINY = [*SMALL[1::2], "training.epochs=1", "study.chips=[1]", 'study.presets=["uncalibrated"]']


@pytest.mark.slow
def test_what_an_earlier_version_left_undone_is_done_and_the_rest_is_kept(tmp_path: Path) -> None:
    config = load_experiment("open-loop-vs-in-the-loop", TINY)
    whole = run(config, tmp_path / "study")
    row = whole["chips"][0]
    assert {"open_loop", "with_noise", "in_the_loop"} <= row.keys()
    assert "| uncalibrated | 1 |" in (tmp_path / "study" / "results.md").read_text()
    # As it would have been written without the arm; what was measured then is not touched.
    older = json.loads(json.dumps(whole))
    del older["with_noise"], older["chips"][0]["with_noise"]
    older["chips"][0]["in_the_loop"] = 0.125
    (tmp_path / "study" / "results.json").write_text(json.dumps(older))
    again = run(config, tmp_path / "study")
    assert again["chips"][0] == row | {"in_the_loop": 0.125}
    assert again["with_noise"]["uncalibrated"]["test_accuracy"] == pytest.approx(
        whole["with_noise"]["uncalibrated"]["test_accuracy"]
    )


def test_the_noise_is_that_of_the_preset_and_weights_are_the_chip_s(tmp_path: Path) -> None:
    config = load_experiment("open-loop-vs-in-the-loop", [*TINY, 'study.arms=["with-noise"]'])
    found = run(config, tmp_path / "study")
    assert found["software"] is None and "open_loop" not in found["chips"][0]
    folder = RunDirectory.open(tmp_path / "study" / "with-noise-uncalibrated")
    spread = Imperfections.uncalibrated()
    assert folder.config().backend.options["imperfections"] == {
        "preset": "none",
        "threshold_trial": math.hypot(spread.v_threshold, spread.v_leak, spread.threshold_trial),
    }
    assert not (tmp_path / "study" / "figure.png").exists()  # of transfer against the loop
    assert markdown_table(found).startswith("| preset | chip | with noise (%) |")


def test_arms_that_there_are_not(tmp_path: Path) -> None:
    for arms, message in ((["loop"], "arm in study.arms 'loop'"), ([], "without repeats")):
        config = load_experiment(
            "open-loop-vs-in-the-loop", [*TINY, f"study.arms={json.dumps(arms)}"]
        )
        with pytest.raises(ConfigError, match=message):
            run(config, tmp_path / "study")


def test_the_table_with_noise_is_that_of_its_results() -> None:
    folder = FOLDER / "open_loop_vs_in_the_loop"
    results = json.loads((folder / "results-with-noise.json").read_text(encoding="utf-8"))
    readme = (folder / "README.md").read_text(encoding="utf-8")
    for line in markdown_table(results).splitlines():
        assert line in readme
