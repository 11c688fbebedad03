"""The user's own data: tables, arrays, images in IDX files, spikes, or what Python holds."""

from hxloop.data.own.from_python import dataset_from
from hxloop.data.own.source import OwnData
from hxloop.data.own.suggest import suggested_encoding

__all__ = ["OwnData", "dataset_from", "suggested_encoding"]
