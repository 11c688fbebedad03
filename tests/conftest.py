"""Shared by all tests: one compute thread, so that results and times do not depend on cores."""

from __future__ import annotations

import pytest
import torch

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file share a worker, and with it compiled models, pages and open simulators.

    Files whose tests say otherwise (the suite on every backend) are left alone.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.name))
