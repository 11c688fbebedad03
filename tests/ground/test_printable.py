"""Names and texts from files reach terminals and pages as text only."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hxloop.activity.log.schema import info_from_json, info_to_json
from hxloop.activity.types import RunInfo
from hxloop.cli import output as cli_output
from hxloop.data import Dataset
from hxloop.errors import ConfigError, FileFormatError
from hxloop.page import escape
from hxloop.runs.config import ExperimentConfig
from hxloop.substrate.recording.texts import capabilities_from_json
from hxloop.text import check_printable, printable

HOSTILE = ["\x1b]0;title\x07", "a\x1b[31mb", "a\rb", "a\x9b2Jb", "a\u202eb", "\udc80", "a\x00"]


@given(st.text(st.characters(codec=None), max_size=30))
def test_nothing_is_left_that_a_terminal_obeys(text):
    shown = printable(text)
    shown.encode()  # halves of characters cannot be written at all
    for character in shown:
        assert character in "\n\t" or unicodedata.category(character) not in ("Cc", "Cs")
    assert printable(shown) == shown
    if shown != text:
        with pytest.raises(ConfigError) as caught:
            check_printable("name", text)
        assert printable(str(caught.value)) == str(caught.value)


@given(st.text("aä τ→·²日本😀", max_size=10))
def test_readable_text_is_left_alone(text):
    assert printable(text) == text
    check_printable("name", text)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_is_shown_is_written_out(text, capsys):
    cli_output.line(f"chip {text}")
    cli_output.note(f"chip {text}")
    cli_output.error(f"chip {text}")
    told = capsys.readouterr()
    for line in (told.out, told.err, escape(text)):
        assert "chip" in line or line == escape(text)
        assert all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cs") for c in line)
        assert "\u202e" not in line


@pytest.mark.parametrize("text", HOSTILE)
def test_names_that_hold_more_than_text_are_refused(text):
    for key in ("name", "description"):
        with pytest.raises(ConfigError, match="without control characters"):
            ExperimentConfig.from_mapping({key: text}, "config.toml")
    with pytest.raises(ConfigError, match="without control characters"):
        Dataset("mine", np.zeros((1, 2)), np.zeros(1, int), 2, ("left", text))


@pytest.mark.parametrize(
    "change",
    [
        {"rounded_inputs": -1},
        {"clipped_weights": [3, -1]},
        {"clipped_weights": 3},
        {"duration_seconds": float("nan")},
        {"retries": float("inf")},
        {"trial": -2},
    ],
)
def test_records_of_runs_that_cannot_be_are_refused(change):
    values = json.loads(info_to_json(RunInfo("ideal", trial=2, clipped_weights=(0, 1))))
    assert info_from_json(json.dumps(values).encode()).clipped_weights == (0, 1)
    with pytest.raises(FileFormatError, match="record of a run is damaged"):
        info_from_json(json.dumps(values | change).encode())


@pytest.mark.parametrize(
    "change", [{"time_resolution": -0.1}, {"weight_limit": float("nan")}, {"tau_ratios": [-1]}]
)
def test_capabilities_that_cannot_be_are_refused(change):
    values = {"deterministic": True, "time_resolution": 0.1, "latency": 0.2}
    assert capabilities_from_json(json.dumps(values)).latency == 0.2
    with pytest.raises(ValueError, match="the capability"):
        capabilities_from_json(json.dumps(values | change))
