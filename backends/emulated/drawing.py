"""What draws an emulated chip, and the noise of its runs: a class, which another package may bring.

The shipped one draws every circuit for itself, from normal distributions. A family of chips that is
not like that (neighbours that are alike, patterns that were measured, noise that comes in bursts)
is a class of the same two methods, by entry point ``hxloop.chip_models``; how far the things that
it draws lie apart it takes from ``Imperfections``, or knows itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.backends.emulated.imperfections import Imperfections
from hxloop.backends.emulated.model import QUANTITIES, TrialNoise, normal_pattern
from hxloop.errors import ConfigError
from hxloop.registry import Registry

Array = NDArray[np.float64]
# Factors on what is nominal; the others are shifts, but for ``dead``.
_FACTORS = ("tau_mem", "tau_syn_exc", "tau_syn_inh", "strength_exc", "strength_inh")


@runtime_checkable
class ChipDrawing(Protocol):
    """A family of chips. A dataclass, whose fields are its options."""

    def pattern(
        self, imperfections: Imperfections, chip: int, n_circuits: int
    ) -> Mapping[str, NDArray[Any]]:
        """What is fixed on a chip: ``(n_circuits,)`` each, by the names of ``ChipModel``.

        Args:
            imperfections: how far circuits lie apart.
            chip: its number; the same number is the same chip, and more circuits continue it.
            n_circuits: 512 or more.
        """
        ...

    def noise(self, imperfections: Imperfections, seed: int, trial: int) -> TrialNoise:
        """The noise of a run, or one of a class of its own: a function of seed and trial."""
        ...

    def noisy(self, imperfections: Imperfections) -> bool:
        """Whether two runs of a chip differ."""
        ...


@dataclass(frozen=True)
class NormalDrawing:
    """Every circuit for itself: factors log-normal, shifts and noise normal."""

    def pattern(
        self, imperfections: Imperfections, chip: int, n_circuits: int
    ) -> Mapping[str, NDArray[Any]]:
        """See ``hxloop.backends.emulated.model.normal_pattern``."""
        return normal_pattern(imperfections, chip, n_circuits)

    def noise(self, imperfections: Imperfections, seed: int, trial: int) -> TrialNoise:
        """See ``hxloop.backends.emulated.model.TrialNoise``."""
        return TrialNoise(imperfections, seed, trial)

    def noisy(self, imperfections: Imperfections) -> bool:
        """Whether there is any noise from run to run."""
        return imperfections.has_trial_noise


NORMAL = "normal"
REGISTRY = Registry("drawn_by", "hxloop.chip_models", {NORMAL: NormalDrawing})


def drawing_of(value: str | Mapping[str, Any] | ChipDrawing) -> ChipDrawing:
    """A family of chips by name, by a table of its ``name`` and options, or itself.

    Raises:
        UnknownNameError: no such family or option; the message lists the known ones.
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: an option out of range, or what is registered draws no chips.
    """
    if not isinstance(value, str | Mapping):
        if isinstance(value, ChipDrawing):
            return value
        raise ConfigError(
            f"drawn_by: expected a name ({', '.join(REGISTRY.names())}), a table of a name and "
            f"options, or an object that draws chips; got {checks.shown(value)}"
        )
    named = {"name": value} if isinstance(value, str) else dict(value)
    name = named.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(
            'drawn_by: expected a table with a name, such as { name = "normal" }; got '
            f"{checks.shown(value)}"
        )
    asked = "hxloop.backends.emulated.drawing.ChipDrawing asks for (pattern, noise, noisy)"
    drawn: ChipDrawing = REGISTRY.make(name, named, ChipDrawing, asked)
    return drawn


def drawn_pattern(
    drawing: ChipDrawing, imperfections: Imperfections, chip: int, n_circuits: int
) -> dict[str, NDArray[Any]]:
    """What a family draws, checked.

    Raises:
        ConfigError: names that are missing or unknown, another shape, numbers that no circuit has.
    """
    who = f"drawn_by {type(drawing).__name__}: pattern"
    given = drawing.pattern(imperfections, chip, n_circuits)
    if set(given) != set(QUANTITIES):
        raise ConfigError(
            f"{who}: expected {', '.join(QUANTITIES)}; got {', '.join(sorted(given)) or 'nothing'}"
        )
    found: dict[str, NDArray[Any]] = {}
    for name in QUANTITIES:
        values: NDArray[Any] = np.array(given[name], np.bool_ if name == "dead" else np.float64)
        if values.shape != (n_circuits,):
            raise ConfigError(
                f"{who}: {name}: expected shape ({n_circuits},), a value for each circuit; got "
                f"{values.shape}"
            )
        if not np.isfinite(values).all() or (name in _FACTORS and values.min() <= 0):
            wanted = "factors above 0" if name in _FACTORS else "finite numbers"
            raise ConfigError(f"{who}: {name}: expected {wanted}; got {checks.shown(values)}")
        found[name] = values
    return found
