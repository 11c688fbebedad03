"""Files that are there as a whole or not at all, one writer at a time; HDF5 of unknown origin."""

from hxloop.files.atomic import (
    digest_of,
    reading,
    reason,
    remove_leftovers,
    remove_leftovers_in,
    replacing,
    sha256_of,
    write_atomically,
    writing,
)
from hxloop.files.lock import FileLock

__all__ = [
    "FileLock",
    "digest_of",
    "reading",
    "reason",
    "remove_leftovers",
    "remove_leftovers_in",
    "replacing",
    "sha256_of",
    "write_atomically",
    "writing",
]
