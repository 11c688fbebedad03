"""What the study is made of: the ``[study]`` table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hxloop.errors import ConfigError
from hxloop.experiments.study_parts import check_list


@dataclass(frozen=True)
class StudyOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study; the experiment's name by default.
        seeds: of the networks in software.
        eight: hidden layers of the deeper network; () leaves it out.
        eight_seeds: of the deeper networks.
        eight_inhibitory: inhibitory neurons in each of them.
        chip: number of the emulated chip.
        chip_epochs: of the training in the loop on it; 0 leaves it out.
        substrates: recorded with the trained network of the first seed, see ``SUBSTRATES``.
        substrate_samples: how many samples on each.
        ablation_samples: with how many samples pathways are silenced.
    """

    name: str = "synchronization"
    seeds: tuple[int, ...] = (1, 2, 3)
    eight: tuple[int, ...] = (100,) * 8
    eight_seeds: tuple[int, ...] = (1, 2, 3)
    eight_inhibitory: int = 25
    chip: int = 1
    chip_epochs: int = 25
    substrates: tuple[str, ...] = ("chip", "uncalibrated chip", "NEST")
    substrate_samples: int = 300
    ablation_samples: int = 1000

    def __post_init__(self) -> None:
        check_list("seeds", self.seeds)
        unknown = [name for name in self.substrates if name not in SUBSTRATES]
        if unknown:
            raise ConfigError(
                f"study.substrates: known are {', '.join(SUBSTRATES)}; got {', '.join(unknown)}"
            )


SUBSTRATES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "chip": ("emulated-chip", {"imperfections": "calibrated"}),
    "uncalibrated chip": ("emulated-chip", {"imperfections": "uncalibrated"}),
    "NEST": ("pynn-nest", {}),
}

# The whole network on one chip: as many circuits as it takes.
ON_CHIP = {"solver": "event", "precision": "single", "enforce_limits": False}
