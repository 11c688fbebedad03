"""Data sets, and how their numbers become spike times."""

from hxloop.data.datasets import (
    DATASETS,
    YIN_YANG_SPLITS,
    Dataset,
    dataset_descriptions,
    dataset_names,
    load_dataset,
    mnist,
    yin_yang,
    yin_yang_class,
)
from hxloop.data.encoding import LatencyEncoding

__all__ = [
    "DATASETS",
    "YIN_YANG_SPLITS",
    "Dataset",
    "LatencyEncoding",
    "dataset_descriptions",
    "dataset_names",
    "load_dataset",
    "mnist",
    "yin_yang",
    "yin_yang_class",
]
