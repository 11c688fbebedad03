"""Data sets, and how their numbers become spike times."""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.data.dataset import Dataset
    from hxloop.data.datasets import (
        DATASETS,
        YIN_YANG_SPLITS,
        dataset_descriptions,
        dataset_names,
        load_dataset,
        mnist,
        yin_yang,
        yin_yang_class,
    )
    from hxloop.data.encoding import Encoding, LatencyEncoding, encoding_names, get_encoding
    from hxloop.data.level_crossing import LevelCrossingEncoding
    from hxloop.data.own import OwnData, dataset_from, suggested_encoding
    from hxloop.data.population import PopulationEncoding
    from hxloop.data.scaling import Scaling
    from hxloop.data.series import TimeSeries
    from hxloop.data.spike_trains import SpikeTrainEncoding
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = [
    "DATASETS",
    "YIN_YANG_SPLITS",
    "Dataset",
    "Encoding",
    "LatencyEncoding",
    "LevelCrossingEncoding",
    "OwnData",
    "PopulationEncoding",
    "Scaling",
    "SpikeTrainEncoding",
    "TimeSeries",
    "dataset_descriptions",
    "dataset_from",
    "dataset_names",
    "encoding_names",
    "get_encoding",
    "load_dataset",
    "mnist",
    "suggested_encoding",
    "yin_yang",
    "yin_yang_class",
]
