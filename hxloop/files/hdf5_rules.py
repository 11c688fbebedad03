"""What an HDF5 file may hold, looked at before anything of it is used.

Also a program of its own, ``python hdf5_rules.py FILE SECONDS BYTES``, which imports nothing of
hxloop: files whose structure nobody vouches for are looked through there first, see
``hxloop.files.hdf5``, because the HDF5 library can run forever, and take all memory, on a damaged
one.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from typing import Any

import h5py

# A file may unpack to so many times its size, but to so many bytes in any case. Spike times of
# whole networks pack to a third or less; a thousandth is reached by data made for it only.
LARGEST_RATIO = 100
ALWAYS_ALLOWED = 1 << 26


def check_unpacked(claimed: int, size: int) -> None:
    """Refuse what claims to hold far more than fits into it.

    Args:
        claimed: bytes of all arrays, as declared.
        size: bytes of the file.

    Raises:
        ValueError: the claim is not believed.
    """
    if claimed > max(ALWAYS_ALLOWED, LARGEST_RATIO * size):
        raise ValueError(
            f"it claims to hold {claimed / 1e6:.0f} MB in a file of {size / 1e6:.3g} MB; not more "
            f"than {LARGEST_RATIO} times its size is believed. If it is right, write it "
            "without compression"
        )


def check_contents(file: h5py.File, size: int) -> None:
    """Look through a file: what is in it is in it, and is as large as it says.

    Args:
        file: open for reading.
        size: bytes of the file.

    Raises:
        ValueError: it points elsewhere (external or virtual data, links), or declares data that
            are not there.
    """
    claimed = 0
    for item in _objects(file):
        for name in item.attrs:
            item.attrs[name]
        if isinstance(item, h5py.Dataset):
            claimed += _check_dataset(item, size)
    check_unpacked(claimed, size)


def extents(file: h5py.File) -> list[tuple[int, int]]:
    """Where the bytes lie that are not structure: (place, length), in order.

    These are chunks, which carry checksums of their own, and room that is filled later.
    """
    found = []
    for item in _objects(file):
        if not isinstance(item, h5py.Dataset):
            continue
        if item.chunks is not None:
            found += [(chunk.byte_offset, chunk.size) for chunk in _chunks(item)]
        elif item.id.get_create_plist().get_fill_time() == h5py.h5d.FILL_TIME_NEVER:
            place, length = item.id.get_offset(), item.id.get_storage_size()
            if place is not None and length:
                found.append((place, length))
    return sorted(found)


def _objects(file: h5py.File) -> Iterator[Any]:
    """Groups and datasets, each once.

    Raises:
        ValueError: there is something else.
    """
    seen, open_groups = set(), [file["/"]]
    yield open_groups[0]
    while open_groups:
        group = open_groups.pop()
        for name in group:
            where = f"{group.name.rstrip('/')}/{name}"
            try:
                link = group.get(name, getlink=True)
            except TypeError as error:
                raise ValueError(f"{where!r} is a link of an unknown kind") from error
            if not isinstance(link, h5py.HardLink):
                kind = "an external link" if isinstance(link, h5py.ExternalLink) else "a link"
                raise ValueError(
                    f"{where!r} is {kind} to {link.path!r}; what points elsewhere is not read"
                )
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if not isinstance(item, h5py.Dataset | h5py.Group):
                raise ValueError(f"{where!r} is neither a group nor a dataset")
            yield item
            if isinstance(item, h5py.Group):
                open_groups.append(item)


def _check_dataset(dataset: h5py.Dataset, size: int) -> int:
    """How many bytes the dataset claims to hold."""
    properties = dataset.id.get_create_plist()
    if properties.get_external_count():
        name = os.fsdecode(properties.get_external(0)[0])
        raise ValueError(
            f"{dataset.name!r} lies in another file ({name!r}); what points elsewhere is not read"
        )
    layout, item_size = properties.get_layout(), dataset.id.get_type().get_size()
    if layout == h5py.h5d.VIRTUAL:
        raise ValueError(
            f"{dataset.name!r} is put together from other data (virtual); what points elsewhere "
            "is not read"
        )
    shape = dataset.shape or ()
    claimed = item_size * math.prod(shape) if dataset.shape is not None else 0
    if claimed <= size and h5py.check_string_dtype(dataset.dtype) is not None:
        dataset[()]  # texts of any length lie elsewhere in the file
    if layout == h5py.h5d.CONTIGUOUS and claimed:
        place, held = dataset.id.get_offset(), dataset.id.get_storage_size()
        if held < claimed or place is None or place + held > size:  # texts: of another size there
            raise ValueError(
                f"{dataset.name!r} declares {claimed} bytes; {held if place else 0} are there"
            )
    elif layout == h5py.h5d.CHUNKED and claimed:
        needed = math.prod(-(-n // step) for n, step in zip(shape, dataset.chunks, strict=True))
        claimed = needed * item_size * math.prod(dataset.chunks)
        if needed != dataset.id.get_num_chunks():
            raise ValueError(
                f"{dataset.name!r} declares {needed} chunks; {dataset.id.get_num_chunks()} are "
                "there"
            )
        check_unpacked(claimed, size)
        if any(chunk.byte_offset + chunk.size > size for chunk in _chunks(dataset)):
            raise ValueError(f"{dataset.name!r} has chunks beyond the end of the file")
    return claimed


def _chunks(dataset: h5py.Dataset) -> list[Any]:
    found: list[Any] = []
    try:
        dataset.id.chunk_iter(found.append)
    except AttributeError:  # an older HDF5 library
        found = [dataset.id.get_chunk_info(n) for n in range(dataset.id.get_num_chunks())]
    return found


def _run_alone(path: str, seconds: int, n_bytes: int) -> None:
    """Look through a file within bounds of processor time and memory; the system sees to them."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    time = int(used.ru_utime + used.ru_stime) + 1 + seconds
    with open("/proc/self/statm", encoding="ascii") as file:
        memory = int(file.read().split()[0]) * resource.getpagesize() + n_bytes
    for kind, limit in (
        (resource.RLIMIT_CPU, time),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bound = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (bound, hard))
    try:
        with h5py.File(path, "r") as opened:
            check_contents(opened, os.path.getsize(path))
    except MemoryError:
        told = "it asks for more memory than its size allows"
    except (
        OSError, ValueError, LookupError, RuntimeError, TypeError, ArithmeticError, AttributeError
    ) as error:  # fmt: skip
        told = str(error) or type(error).__name__
    else:
        told = ""
    sys.stdout.write(f"looked through\n{told}")


if __name__ == "__main__":
    _run_alone(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
