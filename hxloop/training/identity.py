"""What the steps of a training hang on: settings, loss and data, and what differs in them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.files import sha256_of
from hxloop.training.losses import LATER_SETTINGS, Loss
from hxloop.training.options import SpikeData

# Fields of TrainingOptions that may be others in a resumed training: they change no step.
MAY_CHANGE = ("epochs", "patience", "select", "retries", "checkpoint_every")
_TELLING = 6  # differences named in a message


@dataclass(frozen=True)
class Difference:
    """A setting that is not what it was.

    Attributes:
        key: which, as ``--set`` takes it.
        then, now: its values; None: not set.
    """

    key: str
    then: Any
    now: Any

    def __str__(self) -> str:
        return f"{self.key} was {_shown(self.then)}, is {_shown(self.now)}"


def describe_data(data: SpikeData, digest: str) -> dict[str, Any]:
    """Size and digest of encoded samples, plain values."""
    return {
        "samples": len(data),
        "channels": data.n_inputs,
        "digest": digest,
    }


def data_digest(data: SpikeData) -> str:
    """SHA-256 of input times and labels, whatever type holds them."""
    labels = np.asarray(data.labels, dtype="<i8")
    if isinstance(data.input_times, Spikes):
        when, units, offsets = data.input_times.events
        shape = f"{data.input_times.shape} of all spikes "
        return sha256_of(
            shape, when.astype("<f8"), units.astype("<i8"), offsets.astype("<i8"), labels
        )
    times = np.asarray(data.input_times)
    kind = times.dtype.newbyteorder("<")
    return sha256_of(f"{times.shape} ", times.astype(kind, copy=False), labels)


def describe_loss(loss: Loss) -> dict[str, Any]:
    """Class and settings of a loss, plain values; later ones if they are not as before."""
    settings: Any = asdict(loss) if is_dataclass(loss) and not isinstance(loss, type) else {}
    for key, before in LATER_SETTINGS.get(loss.name, {}).items():
        if settings.get(key) == before:
            del settings[key]
    return {"class": type(loss).__qualname__, **json.loads(json.dumps(settings, default=repr))}


def describe_weights(matrix: NDArray[np.float64]) -> dict[str, Any]:
    """Shape, mean and spread: the same on every machine but for rounding, unlike a digest."""
    return {"shape": list(matrix.shape), "mean": float(matrix.mean()), "std": float(matrix.std())}


def setting_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """What differs between nested settings, by dotted keys, in the order of the later ones."""
    before, after = flat_settings(then), flat_settings(now)
    keys = [*after, *(key for key in before if key not in after)]
    return [
        Difference(key, before.get(key), after.get(key))
        for key in keys
        if before.get(key) != after.get(key)
    ]


def listed(differences: Sequence[Difference]) -> str:
    """Differences in words, the first few of many."""
    named = "; ".join(str(d) for d in differences[:_TELLING])
    more = len(differences) - _TELLING
    return named + (f"; and {more} more" if more > 0 else "")


def flat_settings(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings by dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flat_settings(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _shown(value: Any) -> str:
    text = "not set" if value is None else json.dumps(value, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
