"""Networks in the Neuromorphic Intermediate Representation: out, in, and what numbers mean there.

The package nir is loaded when a graph is made or read.
"""

from hxloop.network.nir.convention import AS_WRITTEN, Convention
from hxloop.network.nir.file import read_nir, write_nir
from hxloop.network.nir.read import FromNir, from_nir
from hxloop.network.nir.write import ToNir, to_nir

__all__ = [
    "AS_WRITTEN",
    "Convention",
    "FromNir",
    "ToNir",
    "from_nir",
    "read_nir",
    "to_nir",
    "write_nir",
]
