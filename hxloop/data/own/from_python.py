"""Data sets of what Python holds: arrays, data frames, ``torch.utils.data.Dataset``, tonic."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.data.dataset import Dataset
from hxloop.data.own.labels import Classes
from hxloop.data.own.raw import Columns, Raw, raw_arrays
from hxloop.data.own.recordings import is_block, raw_block
from hxloop.data.own.tables import raw_frame
from hxloop.data.scaling import METHODS, Scaling
from hxloop.data.series import TimeSeries
from hxloop.data.spike_trains import without_repeats
from hxloop.errors import ConfigError, RunInputError

WHERE = "dataset_from"


def dataset_from(
    samples: Any,
    labels: Any = None,
    *,
    name: str = "own data",
    label: str | None = None,
    ignore: Iterable[str] = (),
    scaling: str | Scaling = "auto",
    like: Dataset | None = None,
    channels: tuple[int, ...] | None = None,
) -> Dataset:
    """A data set of what Python holds.

    ``training = dataset_from(x, y)`` and then ``test = dataset_from(x_test, y_test,
    like=training)``: with the same classes and the same scaling.

    Args:
        samples: one of

            - an array, list or tensor: ``(n, features)``, images ``(n, rows, rows)`` of uint8, or
              time series ``(n, channels, time)``;
            - a pandas data frame, one of whose columns holds the classes unless ``labels`` are
              given;
            - ``TimeSeries`` or ``Spikes``;
            - a ``neo.Block``, whose segments are annotated with their class;
            - anything with a length whose items are pairs (sample, label), as
              ``torch.utils.data.Dataset``, or those of tonic, whose samples are events with the
              fields t, x and maybe y and p: their channels are numbered
              ``(p * rows + y) * columns + x``.
        labels: ``(n,)``, whole numbers or texts; None: they are in ``samples``.
        name: of the data set.
        label: of a data frame: which column holds the classes; of a block: which annotation.
        ignore: of a data frame: columns that are no features.
        scaling: method, see ``hxloop.data.scaling.Scaling``, or one that was made before.
        like: the training samples that this one goes with.
        channels: of events: their sensor's size ``(columns, rows, polarities)``, as tonic has it
            (``dataset.sensor_size``); None: what ``samples.sensor_size`` says.

    Raises:
        ConfigError, RunInputError: no such samples, labels or options.
        FileFormatError: what is missing, or is no number.
    """
    columns = Columns(label=label, ignore=checks.names(f"{WHERE}: ignore", ignore))
    raw = _raw(samples, labels, columns, channels)
    if like is not None and not isinstance(like, Dataset):
        raise ConfigError(f"{WHERE}: like: expected a Dataset; got {checks.shown(like)}")
    classes = Classes.of(raw.labels, WHERE) if like is None else Classes.of_dataset(like)
    chosen, beyond, values = None, 0, raw.samples
    if not isinstance(values, Spikes):
        chosen = _scaling(values, scaling, like, raw.image_side is not None)
        values, beyond = chosen(values, f"{WHERE}: samples")
    return Dataset(
        name, values, classes.numbers(raw.labels, WHERE), classes.n, classes.names,
        raw.image_side, raw.merged, scaling=chosen, clipped=beyond, features=raw.features,
    )  # fmt: skip


def _scaling(samples: Any, given: str | Scaling, like: Dataset | None, image: bool) -> Scaling:
    if isinstance(given, Scaling):
        return given
    if like is not None and like.scaling is not None:
        return like.scaling
    return Scaling.of(samples, checks.choice(f"{WHERE}: scaling", given, METHODS), image)


def _raw(samples: Any, labels: Any, columns: Columns, channels: tuple[int, ...] | None) -> Raw:
    if labels is None and _is_frame(samples):
        return raw_frame(samples, columns, f"{WHERE}: samples")
    if labels is None and is_block(samples):
        return raw_block(samples, columns, f"{WHERE}: samples")
    if labels is None:
        return _of_pairs(samples, channels)
    found = np.asarray(labels)
    if found.ndim != 1 and not (found.ndim == 2 and 1 in found.shape):
        found = checks.labels(f"{WHERE}: labels", labels)
    if isinstance(samples, TimeSeries | Spikes):
        if len(samples) != len(found):
            raise RunInputError(
                f"{WHERE}: expected as many samples as labels; got {len(samples)} and {len(found)}"
            )
        return Raw(samples=samples, labels=found.ravel())
    if _is_frame(samples):
        joined = samples.assign(**{"": found.ravel()})
        return raw_frame(joined, Columns(label="", ignore=columns.ignore), f"{WHERE}: samples")
    array = np.asarray(samples)
    if array.dtype != np.uint8:  # objects, masks, tensors: refused or converted as everywhere
        array = checks.real_array(f"{WHERE}: samples", samples)
    return raw_arrays(array, found, WHERE)


def _of_pairs(samples: Any, channels: tuple[int, ...] | None) -> Raw:
    """Of a data set whose items are pairs of a sample and its label."""
    try:
        pairs = [samples[index] for index in range(len(samples))]
    except (TypeError, KeyError, IndexError) as error:
        raise RunInputError(
            f"{WHERE}: expected samples and labels, or a data set with a length whose items are "
            f"pairs (sample, label); got {checks.shown(samples)}"
        ) from error
    wrong = [i for i, p in enumerate(pairs) if not (isinstance(p, tuple | list) and len(p) == 2)]
    if wrong or not pairs:
        got = f"{checks.shown(pairs[wrong[0]])} at item {wrong[0]}" if pairs else "none"
        raise RunInputError(f"{WHERE}: expected pairs (sample, label); got {got}")
    labels = np.array([np.asarray(label).item() for _, label in pairs])
    first = np.asarray(pairs[0][0])
    if first.dtype.names:
        size = channels or getattr(samples, "sensor_size", None)
        spikes, merged = _events([np.asarray(events) for events, _ in pairs], size)
        return Raw(samples=spikes, labels=labels, merged=merged)
    shapes = {np.asarray(sample).shape for sample, _ in pairs}
    if len(shapes) > 1:
        raise RunInputError(
            f"{WHERE}: expected samples of one shape; got {sorted(shapes)[:3]}. Of time series of "
            "several lengths make TimeSeries(values, lengths)"
        )
    return raw_arrays(np.stack([np.asarray(sample) for sample, _ in pairs]), labels, WHERE)


def _events(samples: list[NDArray[Any]], size: Any) -> tuple[Spikes, int]:
    """Events with the fields t, x and maybe y and p; the unit of time stays."""
    names = samples[0].dtype.names or ()
    if "t" not in names or "x" not in names:
        raise RunInputError(f"{WHERE}: expected events with the fields t and x; got {names}")
    if size is None:
        raise RunInputError(
            f"{WHERE}: of which sensor are the events? Give channels=(columns, rows, polarities)"
        )
    columns, rows, kinds = (*(int(n) for n in size), 1, 1)[:3]
    found = []
    for sample, events in enumerate(samples):
        unit = events["x"].astype(np.int64)
        row = events["y"].astype(np.int64) if "y" in names else 0
        kind = events["p"].astype(np.int64) if "p" in names else 0
        when = events["t"].astype(np.float64)
        inside = (unit >= 0) & (unit < columns) & (row >= 0) & (row < rows)
        inside &= (kind >= 0) & (kind < kinds) & (when >= 0) & np.isfinite(when)
        if not inside.all():
            raise RunInputError(
                f"{WHERE}: sample {sample}: expected events of a sensor of {columns} x {rows}, "
                f"{kinds} polarities, at times of 0 or later; got others"
            )
        found.append((when, (kind * rows + row) * columns + unit))
    return without_repeats(found, columns * rows * kinds)


def _is_frame(samples: Any) -> bool:
    return hasattr(samples, "columns") and hasattr(samples, "assign")
