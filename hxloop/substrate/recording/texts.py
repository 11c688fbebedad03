"""What a recorded session holds as text: how a run went, and what the session could do."""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict, dataclass, fields

from hxloop.activity import RunInfo
from hxloop.activity.log.schema import info_from_json, info_to_json
from hxloop.files.json_text import parse_json
from hxloop.substrate.capabilities import Capabilities

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RecordedRun:
    """One run in the file; arrays by their digests.

    Attributes:
        trial: as asked.
        asked_inputs: input times as asked.
        delivered_inputs: input times as delivered.
        asked_weights: one for each layer, as asked.
        held_weights: one for each layer, as the substrate held them.
        spikes: first spike times, one for each layer.
        info: how the run went.
    """

    trial: int | None
    asked_inputs: str
    delivered_inputs: str
    asked_weights: tuple[str, ...]
    held_weights: tuple[str, ...]
    spikes: tuple[str, ...]
    info: RunInfo

    def to_json(self) -> str:
        """As text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        values["info"] = json.loads(info_to_json(self.info))
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str, n_layers: int) -> RecordedRun:
        """What ``to_json`` wrote.

        Raises:
            ValueError: it is no such text.
        """
        values = parse_json(text)
        trial = values["trial"]
        if trial is not None and (not isinstance(trial, int) or trial < 0):
            raise ValueError(f"trial {trial!r}; expected a whole number from 0 on, or none")
        for name in ("asked_weights", "held_weights", "spikes"):
            values[name] = tuple(values[name])
            if len(values[name]) != n_layers:
                raise ValueError(f"{len(values[name])} arrays of {name} for {n_layers} layers")
        arrays = (values["asked_inputs"], values["delivered_inputs"], *values["asked_weights"])
        for digest in (*arrays, *values["held_weights"], *values["spikes"]):
            if not _DIGEST.fullmatch(digest):
                raise ValueError(f"{digest!r} is no digest")
        values["info"] = info_from_json(json.dumps(values["info"]).encode())
        return cls(**values)


def capabilities_to_json(capabilities: Capabilities) -> str:
    """Capabilities as text, but for what can only be done live."""
    values = asdict(capabilities)
    del values["time_limit"]  # of the substrate; a file does not hang
    return json.dumps({k: v for k, v in values.items() if not isinstance(v, frozenset)})


def capabilities_from_json(text: str) -> Capabilities:
    """What ``capabilities_to_json`` wrote.

    Raises:
        ValueError: values that no substrate has.
    """
    values = parse_json(text)
    for name, value in values.items():
        # No count, limit or error of a substrate is negative.
        numbers = value if isinstance(value, list) else [value]
        lowest = -math.inf if name == "latency" else 0
        if any(isinstance(n, int | float) and not n >= lowest for n in numbers):
            raise ValueError(f"the capability {name} is {value}")
    known = {field.name for field in fields(Capabilities)}
    if values.get("tau_ratios") is not None:
        values["tau_ratios"] = tuple(values["tau_ratios"])
    return Capabilities(**{name: value for name, value in values.items() if name in known})
