"""A data set of the user's own files: split, numbered and scaled the same every time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.data.dataset import Dataset
from hxloop.data.held_out import held_out
from hxloop.data.own.files import ALL, SPLIT_WORDS, read
from hxloop.data.own.labels import Classes
from hxloop.data.own.raw import Columns, Raw
from hxloop.data.scaling import METHODS, Scaling
from hxloop.data.series import TimeSeries
from hxloop.errors import ConfigError, FileFormatError
from hxloop.text import printable

SPLITS = ("train", "validation", "test")
_TAKEN = {"test": "test_fraction", "validation": "validation_fraction"}


@dataclass(frozen=True, kw_only=True)
class OwnData:
    """The user's own samples: files of tables, arrays, images or spikes.

    Splits are files of their own (``test_path``, or names in a folder), or what a column says, or
    else drawn: of every class the same fraction. Classes and scaling are those of the training
    samples. Every split is in an order that is drawn.

    Args:
        path: a file or folder, see ``hxloop.data.own.files.KINDS``.
        test_path: the test samples, if they are in a file of their own.
        validation_path: the same of the validation samples.
        label: column of the classes; None: "label", "class" or "target".
        split: column that says train, validation or test; None: there is none.
        ignore: columns that are no features.
        scaling: to [0, 1]: "auto", "feature", "all", "pixel" or "none", see ``Scaling``.
        test_fraction: of all samples, where nothing else says which are for testing.
        validation_fraction: of what is left for training, the same.
        split_seed: of what is drawn.
        name: of the data set; None: that of the file.

    Raises:
        ConfigError: an argument that makes no sense.
    """

    path: str | Path
    test_path: str | Path | None = None
    validation_path: str | Path | None = None
    label: str | None = None
    split: str | None = None
    ignore: tuple[str, ...] = ()
    scaling: str = "auto"
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    split_seed: int = 0
    name: str | None = None

    def __post_init__(self) -> None:
        where = "dataset"
        paths = {
            key: checks.path(f"{where}.{key}", value).expanduser()
            for key in ("path", "test_path", "validation_path")
            if (value := getattr(self, key)) is not None
        }
        fractions = {
            key: checks.number(f"{where}.{key}", getattr(self, key), above=0, below=1)
            for key in _TAKEN.values()
        }
        seed = checks.whole(f"{where}.split_seed", self.split_seed, low=0)
        scaling = checks.choice(f"{where}.scaling", self.scaling, METHODS)
        checks.settle(self, **paths, **fractions, split_seed=seed, scaling=scaling)

    def load(self, split: str, size: int | None = None) -> Dataset:
        """A split of it.

        Args:
            split: "train", "validation" or "test".
            size: how many of its samples; None: all.

        Raises:
            MissingDataError, FileFormatError, MissingDependencyError, UnknownNameError: see
                ``hxloop.data.own.files.read``.
            ConfigError: no such split, or a size beyond it.
            RunInputError: values beyond [0, 1] that are not to be scaled.
        """
        checks.choice("split", split, SPLITS)
        raws, classes = self._sorted
        raw, where = raws[split], f"{self.path}, {split} samples"
        labels, samples, beyond = classes.numbers(raw.labels, where), raw.samples, 0
        if not isinstance(samples, Spikes):
            samples, beyond = self._scaling(samples, where)
        found = Dataset(
            self.title, samples, labels, classes.n,
            raw.class_names or classes.names, raw.image_side, raw.merged,
            scaling=None if isinstance(samples, Spikes) else self._scaling, clipped=beyond,
            features=raw.features,
        )  # fmt: skip
        if size is None:
            return found
        high = len(labels)
        return found.first(checks.whole(f"dataset.{split}_size", size, low=1, high=high))

    @property
    def title(self) -> str:
        """What the data set is called."""
        return self.name or printable(Path(self.path).name.split(".")[0] or str(self.path))

    @cached_property
    def _sorted(self) -> tuple[Mapping[str, Raw], Classes]:
        """The samples of each split, in an order that is drawn; and what the classes are."""
        columns = Columns(label=self.label, split=self.split, ignore=self.ignore)
        found = read(Path(self.path), columns)
        for split in ("test", "validation"):
            given = getattr(self, f"{split}_path")
            if given is None:
                continue
            if split in found:
                raise ConfigError(
                    f"dataset.{split}_path: {self.path} has {split} samples itself; leave one out"
                )
            apart = read(Path(given), replace(columns, split=None))
            if len(apart) != 1:
                raise FileFormatError(f"{given}: expected the {split} samples, no splits of them")
            (found[split],) = apart.values()
        rest = found.pop(ALL, None) or found.pop("train", None)
        if rest is None:
            raise FileFormatError(
                f"{self.path}: there are no training samples; only {', '.join(sorted(found))}"
            )
        if rest.splits is not None:
            found |= self._by_column(rest, set(found))
            rest = found.pop("train")
        # Before anything is drawn: of what are no classes none can be.
        classes = Classes.of(rest.labels, f"{self.path}, training samples")
        for split in ("test", "validation"):
            if split not in found:
                kept, held = held_out(rest.labels, getattr(self, _TAKEN[split]), self.split_seed)
                self._check_drawn(split, len(held), len(rest.labels))
                rest, found[split] = rest.select(kept), rest.select(held)
            else:
                order, _ = held_out(found[split].labels, 0.0, self.split_seed)
                found[split] = found[split].select(order)
        order, _ = held_out(rest.labels, 0.0, self.split_seed)
        return _alike({"train": rest.select(order), **found}, str(self.path)), classes

    def _by_column(self, raw: Raw, given: set[str]) -> dict[str, Raw]:
        assigned = np.array([str(value).strip().lower() for value in raw.splits.tolist()])  # type: ignore[union-attr]
        unknown = sorted(set(assigned.tolist()) - set(SPLIT_WORDS))
        if unknown:
            raise FileFormatError(
                f"{self.path}: column {self.split!r}: expected train, validation or test; got "
                f"{printable(repr(unknown[0]))}"
            )
        words = np.array([SPLIT_WORDS[value] for value in assigned.tolist()])
        found = {s: raw.select(np.flatnonzero(words == s)) for s in sorted(set(words.tolist()))}
        if "train" not in found or given & set(found):
            raise FileFormatError(
                f"{self.path}: column {self.split!r}: expected train samples, and no split that is "
                f"in a file of its own; got {', '.join(found)}"
            )
        return found

    def _check_drawn(self, split: str, held: int, n: int) -> None:
        if not 0 < held < n:
            raise ConfigError(
                f"dataset.{_TAKEN[split]}: {getattr(self, _TAKEN[split]):g} of each class of {n} "
                f"samples makes {held} {split} samples; expected one at least on each side"
            )

    @cached_property
    def _scaling(self) -> Scaling:
        raw = self._sorted[0]["train"]
        samples: Any = raw.samples
        return Scaling.of(samples, self.scaling, raw.image_side is not None)


def _alike(raws: dict[str, Raw], where: str) -> dict[str, Raw]:
    """The splits, once they are of one kind; spikes with the channels of all of them.

    Raises:
        FileFormatError: they are not, or have other features.
    """
    train = raws["train"]
    if all(isinstance(raw.samples, Spikes) for raw in raws.values()):
        n_units = max(raw.samples.shape[1] for raw in raws.values())
        return {
            split: replace(raw, samples=_with_channels(raw.samples, n_units))
            for split, raw in raws.items()
        }
    for split, raw in raws.items():
        if type(raw.samples) is not type(train.samples) or _width(raw) != _width(train):
            raise FileFormatError(
                f"{where}: expected {split} samples as the training samples, "
                f"{_described(train)}; got {_described(raw)}"
            )
        if raw.features != train.features:
            other = [n for n in (*train.features, *raw.features)
                     if n not in train.features or n not in raw.features]  # fmt: skip
            what = f"{other[0]!r} is not in both" if other else "in another order"
            raise FileFormatError(
                f"{where}: columns of the {split} samples differ from those of the training "
                f"samples: {what}"
            )
    return raws


def _with_channels(spikes: Any, n_units: int) -> Spikes:
    times, units, offsets = spikes.events
    return Spikes.trusted(times, units, offsets, n_units)


def _width(raw: Raw) -> int:
    samples: NDArray[Any] | TimeSeries | Spikes = raw.samples
    return int(samples.shape[1])


def _described(raw: Raw) -> str:
    kind = {TimeSeries: "time series", Spikes: "spikes"}.get(type(raw.samples), "values")
    return f"{kind} of {_width(raw)} {'channels' if kind != 'values' else 'features'}"
