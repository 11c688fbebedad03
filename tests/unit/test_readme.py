"""What the README shows, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hxloop.cli import main

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_example_trains_a_network(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 25
    exec(compile(example, "README.md", "exec"), {})
    printed = capsys.readouterr().out
    accuracy = float(re.search(r"accuracy ([\d.]+)", printed)[1])
    assert accuracy > 0.8


def test_files_and_pictures_it_points_to_exist():
    links = re.findall(r"\]\(([^)#]+)\)", README) + re.findall(r'src="([^"]+)"', README)
    assert links
    for link in links:
        if not link.startswith("http"):
            assert (ROOT / link).exists(), link


def test_make_targets_and_commands_it_names_exist(capsys):
    targets = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert {"demo", "test"} <= targets
    assert targets <= set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for command in set(re.findall(r"(?:`|^)hxloop ([a-z-]+)", README, re.MULTILINE)):
        with pytest.raises(SystemExit) as status:
            main([command, "--help"])
        assert status.value.code == 0, command
    capsys.readouterr()
