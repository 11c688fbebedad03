"""Class numbers from whatever labels are: numbers as they are, else the names in their order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.data.dataset import Dataset
from hxloop.errors import FileFormatError
from hxloop.text import printable

MOST_CLASSES = 1000


@dataclass(frozen=True)
class Classes:
    """Which label is which class.

    Attributes:
        n: number of classes.
        names: of the classes, in their order; empty where labels are 0 to n - 1.
    """

    n: int
    names: tuple[str, ...]

    @classmethod
    def of(cls, labels: NDArray[Any], where: str) -> Classes:
        """The classes that there are; whole numbers from 0 on stay what they are.

        Raises:
            FileFormatError: a label is missing, or they look like quantities.
        """
        plain = _plain(labels, where)
        values = np.unique(plain)
        n = len(values)
        if n < 2:
            raise FileFormatError(
                f"{where}: expected two classes at least; all labels are {_shown(values[:1])}"
            )
        if n > MOST_CLASSES or 2 * n > len(plain) >= 20:
            raise FileFormatError(
                f"{where}: expected classes, each with several samples; got {n} different labels "
                f"in {len(plain)} samples, {_shown(values[:2])} among them. Is that the right "
                "column (dataset.label)?"
            )
        numbered = plain.dtype.kind == "i" and np.array_equal(values, np.arange(n))
        return cls(n, () if numbered else tuple(printable(str(v)) for v in values.tolist()))

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> Classes:
        """Those of a data set that there is."""
        return cls(dataset.n_classes, dataset.class_names)

    def numbers(self, labels: NDArray[Any], where: str) -> NDArray[np.int64]:
        """Class numbers ``(n,)``.

        Raises:
            FileFormatError: a label is none of the classes.
        """
        values, inverse = np.unique(_plain(labels, where), return_inverse=True)
        names = self.names or tuple(map(str, range(self.n)))
        number_of = {name: number for number, name in enumerate(names)}
        found = [number_of.get(printable(str(value)), -1) for value in values.tolist()]
        if -1 in found:
            unknown = found.index(-1)
            raise FileFormatError(
                f"{where}: label {_shown(values[unknown : unknown + 1])} at sample "
                f"{int(np.argmax(inverse == unknown))} is none of those of the training samples: "
                f"{', '.join(names[:6])}{', ...' if self.n > 6 else ''}"
            )
        return np.array(found, dtype=np.int64)[inverse.ravel()]


def _plain(labels: NDArray[Any], where: str) -> NDArray[Any]:
    """int64 or texts, all alike."""
    if labels.dtype.kind in "ub":
        labels = labels.astype(np.int64)
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "replace")
    if labels.dtype.kind == "f":
        wrong = ~(np.floor(labels) == labels)
        if wrong.any():
            sample = int(np.argmax(wrong))
            what = "a label is missing" if np.isnan(labels[sample]) else "that is no class"
            raise FileFormatError(
                f"{where}: expected whole numbers or texts as labels; got {labels[sample]} at "
                f"sample {sample}: {what}"
            )
    if labels.dtype.kind in "if":
        return labels.astype(np.int64)
    texts = [label.strip() if isinstance(label, str) else label for label in labels.tolist()]
    for sample, text in enumerate(texts):
        if text is None or text == "" or text != text:
            raise FileFormatError(f"{where}: the label of sample {sample} is missing")
    if all(_whole(str(text)) for text in texts):
        return np.array([int(text) for text in texts], dtype=np.int64)
    return np.array([str(text) for text in texts])


def _whole(text: str) -> bool:
    return text.isascii() and text.removeprefix("-").isdigit() and len(text) < 18


def _shown(values: NDArray[Any]) -> str:
    return ", ".join(repr(value) for value in values.tolist())
