"""Small data sets that come along with scikit-learn, for a first try: no file, no download.

Digits (1797 images of 8 x 8, NIST; Alpaydin and Kaynak, 1998), breast cancer (569 tumours, 30
features; Wolberg, Street and Mangasarian, 1995) and wine (178 wines, 13 features; Aeberhard and
Forina, 1992), all of the UCI Machine Learning Repository. Nobody has published splits of them: a
fifth of each class is for testing, a tenth of what is left for validation, drawn by ``seed``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hxloop import checks
from hxloop.data.dataset import Dataset
from hxloop.data.held_out import held_out
from hxloop.data.own import dataset_from

NAMES = ("breast-cancer", "digits", "wine")
TEST, VALIDATION = 0.2, 0.1


def load_scikit(name: str, split: str, size: int | None = None, seed: int | None = None) -> Dataset:
    """A split of one of ``NAMES``, scaled to [0, 1] by its training samples.

    Args:
        name: of the data set.
        split: "train", "validation" or "test".
        size: how many samples; None: all.
        seed: of the draw of the splits, and of their order; None: 0.

    Raises:
        ConfigError: a size or seed out of range.
    """
    from sklearn import datasets

    seed = checks.whole(f"data set {name!r}: seed", 0 if seed is None else seed, low=0)
    load = {
        "breast-cancer": datasets.load_breast_cancer,
        "digits": datasets.load_digits,
        "wine": datasets.load_wine,
    }[name]
    content: Any = load()
    labels = np.asarray(content.target)
    samples = content.images[:, None] if name == "digits" else content.data
    rest, test = held_out(labels, TEST, seed)
    chosen, validation = held_out(labels[rest], VALIDATION, seed)
    parts = {"train": rest[chosen], "validation": rest[validation], "test": test}
    found = dataset_from(samples[parts["train"]], labels[parts["train"]], name=name)
    if split != "train":
        part = parts[split]
        found = dataset_from(samples[part], labels[part], name=name, like=found)
    found = replace(found, class_names=tuple(str(each) for each in content.target_names))
    if size is None:
        return found
    return found.first(
        checks.whole(f"data set {name!r}: size", size, low=1, high=len(found.labels))
    )
