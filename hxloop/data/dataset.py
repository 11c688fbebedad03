"""What a data set is to hxloop: samples and labels, and what is known of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hxloop.activity import Spikes
from hxloop.data.scaling import Scaling
from hxloop.data.series import TimeSeries
from hxloop.text import Brief, check_printable


@dataclass(frozen=True, repr=False)
class Dataset(Brief):
    """Samples and labels.

    Attributes:
        name: of the data set.
        samples: ``(n, features)`` in [0, 1]; images row by row, float32. Or what another encoding
            takes: ``TimeSeries``, an array ``(n, channels, time)``, ``Spikes``.
        labels: ``(n,)``, 0 to ``n_classes - 1``.
        n_classes: number of classes.
        class_names: for pictures; empty where classes have none.
        image_side: rows and columns of the image that the features are; None: no image.
        merged: of samples that are ``Spikes``: how many more the data hold, each at the very time
            of another one on its channel, which counts once with it.
        scaling: how values were brought to [0, 1]; None: they were so, or are no values.
        clipped: how many values lay beyond the range of the training samples, and were cut to it.
        features: names of the features; empty where they have none.

    Raises:
        ConfigError: a name holds control characters.
    """

    name: str
    samples: NDArray[np.float64] | NDArray[np.float32] | TimeSeries | Spikes
    labels: NDArray[np.int64]
    n_classes: int
    class_names: tuple[str, ...] = ()
    image_side: int | None = None
    merged: int = 0
    scaling: Scaling | None = None
    clipped: int = 0
    features: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for text in (self.name, *self.class_names):
            check_printable("names of a data set and its classes", str(text))

    def first(self, n: int) -> Dataset:
        """The first n samples."""
        samples, part = self.samples, slice(n)
        if isinstance(samples, TimeSeries | Spikes):
            return replace(self, samples=samples.select(part), labels=self.labels[part])
        return replace(self, samples=samples[part], labels=self.labels[part])

    def in_words(self) -> str:
        """What it is: features, how they were brought to [0, 1], classes."""
        samples = self.samples
        spiking = isinstance(samples, TimeSeries | Spikes)
        parts = [f"{samples.shape[1]} {'channels' if spiking else 'features'}"]
        if self.image_side is not None:
            parts = [f"images of {self.image_side} x {self.image_side}"]
        if self.scaling is not None:
            parts.append(str(self.scaling))
            if constant := self.scaling.constant:
                parts.append(f"{constant} of them the same in all samples, which tell nothing")
        names = self.class_names
        shown = f": {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}" if names else ""
        return f"{'; '.join(parts)}; {self.n_classes} classes{shown}"
