"""Shared by all tests: one compute thread, so that results and times do not depend on cores."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
