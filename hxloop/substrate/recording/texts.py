"""What a recorded session holds as text: how a run went, and what the session could do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields

from hxloop.activity import RunInfo
from hxloop.activity.log.schema import info_from_json, info_to_json
from hxloop.files.json_text import parse_json
from hxloop.network import NetworkSpec
from hxloop.substrate.capabilities import Capabilities

# Of a run of trains only.
_OF_TRAINS = ("trains", "asked_delays", "held_delays")
# Of a run whose neurons have parameters of their own only.
_OWN = ("asked_neurons", "held_neurons")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RecordedRun:
    """One run in the file; arrays by their digests.

    Attributes:
        trial: as asked.
        asked_inputs: input times as asked.
        delivered_inputs: input times as delivered.
        asked_weights: one for each projection, as asked.
        held_weights: one for each projection, as the substrate held them.
        spikes: first spike times, one for each population.
        info: how the run went.
        trains: whether inputs and spikes are trains, see ``hxloop.substrate.recording.trains``,
            and there are delays; these three are left out of the text of a run without.
        asked_delays: one for each projection, as asked; None: it has none.
        held_delays: the same, as the substrate held them.
        asked_neurons: what neurons have of their own, as asked, by names such as "hidden.tau_mem";
            left out of the text of a run without, as the next one.
        held_neurons: the same, as the substrate held them.
    """

    trial: int | None
    asked_inputs: str
    delivered_inputs: str
    asked_weights: tuple[str, ...]
    held_weights: tuple[str, ...]
    spikes: tuple[str, ...]
    info: RunInfo
    trains: bool = False
    asked_delays: tuple[str | None, ...] = ()
    held_delays: tuple[str | None, ...] = ()
    asked_neurons: Mapping[str, str] = field(default_factory=dict)
    held_neurons: Mapping[str, str] = field(default_factory=dict)

    def keys(self) -> Iterator[tuple[str | None, ...]]:
        """What this run answers: its inputs, weights, delays and neurons, as asked and as held.

        The substrate's own values are answered, too: it would hold them unchanged.
        """
        for inputs in (self.asked_inputs, self.delivered_inputs):
            yield (inputs, self.own, *self.asked)
            yield (inputs, self.own, *self.held)

    @property
    def own(self) -> str:
        """What neurons have of their own, by name; "": nothing."""
        return " ".join(self.asked_neurons)

    @property
    def asked(self) -> tuple[str | None, ...]:
        """Weights, delays and what neurons have of their own, as asked."""
        return (*self.asked_weights, *self.asked_delays, *self.asked_neurons.values())

    @property
    def held(self) -> tuple[str | None, ...]:
        """Weights, delays and what neurons have of their own, as held."""
        return (*self.held_weights, *self.held_delays, *self.held_neurons.values())

    def to_json(self) -> str:
        """As text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in (*(() if self.trains else _OF_TRAINS), *(() if self.asked_neurons else _OWN)):
            del values[name]
        values["info"] = json.loads(info_to_json(self.info))
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str, network: NetworkSpec) -> RecordedRun:
        """What ``to_json`` wrote.

        Raises:
            ValueError: it is no such text.
        """
        values = parse_json(text)
        trial = values["trial"]
        if trial is not None and (not isinstance(trial, int) or trial < 0):
            raise ValueError(f"trial {trial!r}; expected a whole number from 0 on, or none")
        n_layers, n_projections = len(network.layers), len(network.shapes)
        numbers = {"asked_weights": n_projections, "held_weights": n_projections}
        delays = {"asked_delays": n_projections, "held_delays": n_projections}
        trains = values.get("trains", False)
        if trains is not True and (trains is not False or network.features):
            raise ValueError(f"trains is {trains!r} for network {network}")
        numbers |= {"spikes": n_layers} | (delays if trains else {})
        digests = [values["asked_inputs"], values["delivered_inputs"]]
        for name, number in numbers.items():
            values[name] = tuple(values[name])
            if len(values[name]) != number:
                raise ValueError(f"{len(values[name])} arrays of {name}; expected {number}")
            if name in delays:
                expected = [shape is not None for shape in network.delay_shapes]
                if [digest is not None for digest in values[name]] != expected:
                    raise ValueError(f"{name} of other projections than those that have delays")
            digests += [d for d in values[name] if d is not None or name not in delays]
        own = [values.get(name, {}) for name in _OWN]
        if list(own[0]) != list(own[1]) or (own[0] and not trains):
            raise ValueError(f"neurons {list(own[0])} as asked, {list(own[1])} as held")
        digests += [digest for each in own for digest in each.values()]
        for digest in digests:
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
