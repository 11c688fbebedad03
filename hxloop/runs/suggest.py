"""A configuration for data that nobody has trained on yet: a beginning, with its reasons."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from hxloop.data import OwnData, suggested_encoding
from hxloop.data.own.suggest import LONG
from hxloop.runs.toml_text import toml_text

STEPS = 2000  # of the optimiser, about
EPOCHS = (10, 50)
BATCHES = (10, 100)
_SPIKING = ("spike-trains", "level-crossing")


@dataclass(frozen=True)
class Suggestion:
    """A configuration, and why it is so.

    Attributes:
        values: nested, as ``ExperimentConfig.from_mapping`` takes them.
        found: what the data are, in words.
        reasons: for tables of the configuration, by name.
    """

    values: Mapping[str, Any]
    found: str
    reasons: Mapping[str, str]

    def to_toml(self) -> str:
        """A file that says why, above each table that there is a reason for."""
        tables = {key: value for key, value in self.values.items() if isinstance(value, dict)}
        plain = {key: value for key, value in self.values.items() if key not in tables}
        parts = [toml_text(plain)]
        for key, value in tables.items():
            lines = textwrap.wrap(self.reasons.get(key, ""), 96)
            head = "".join(f"# {line}\n" for line in lines)
            parts.append(head + toml_text({key: value}))
        return "\n".join(parts)


def suggestion_for(data: OwnData, name: str) -> Suggestion:
    """A configuration that trains on somebody's data.

    Values and images get a network of first spikes, time series and spikes one of several spikes
    with a read-out. Epochs make about ``STEPS`` steps.

    Args:
        data: the files.
        name: of the configuration.

    Raises:
        HxloopError: data that cannot be read, see ``OwnData.load``.
    """
    training = data.load("train")
    encoding, why = suggested_encoding(training)
    sizes = {split: len(data.load(split).labels) for split in ("train", "validation", "test")}
    given = {
        field.name: str(value) if field.name.endswith("path") else value
        for field in fields(OwnData)
        if (value := getattr(data, field.name)) != field.default
    }
    batch = min(BATCHES[1], max(BATCHES[0], sizes["train"] // 20))
    epochs = min(EPOCHS[1], max(EPOCHS[0], round(STEPS * batch / sizes["train"])))
    values: dict[str, Any] = {
        "name": name,
        "description": f"{training.n_classes} classes of {data.title}",
        "seed": 1,
        "dataset": given,
        "encoding": encoding,
        "network": {"hidden": [100], "t_window": 4.0},
        "initialisation": {"method": "balanced", "active": 0.5},
        "backend": {"name": "ideal"},
        "loss": {"name": "time-to-first-spike", "options": {"xi": 0.05}},
        "training": {
            "epochs": epochs, "batch_size": batch, "learning_rate": 0.03, "relative_rate": True,
            "schedule": "cosine",
        },
    }  # fmt: skip
    network = "One spike a neuron; the class is that of the output neuron that spikes first"
    if encoding["name"] in _SPIKING:
        network = (
            "Several spikes a neuron, and a read-out: the class is that of the highest membrane"
        )
        values |= {
            "network": {
                "hidden": [100], "readout": True, "t_window": LONG + 2,
                "neuron": {"t_refractory": 0.5},
            },
            "initialisation": {"method": "balanced", "active": 0.5, "spread": 0.4},
            "loss": {"name": "max-membrane"},
        }  # fmt: skip
        values["training"] |= {"learning_rate": 0.01, "relative_rate": False}
    counts = ", ".join(f"{n} {split}" for split, n in sizes.items())
    reasons = {
        "dataset": f"{counts} samples; {training.in_words()}",
        "encoding": f"{why[0].upper()}{why[1:]}.",
        "network": f"{network}.",
        "backend": 'In the loop on an emulated chip: name = "emulated-chip"',
        "training": f"{sizes['train']} samples in batches of {batch}.",
    }
    return Suggestion(values, reasons["dataset"], reasons)
