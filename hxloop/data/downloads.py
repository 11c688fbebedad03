"""Files of published data sets from the net, kept in the cache."""

from __future__ import annotations

from pathlib import Path

from hxloop.errors import MissingDataError
from hxloop.machine import cache_folders, make_private


def cache_folder(name: str, title: str) -> Path:
    """Where downloads of a data set are kept; without a home, below the temporary folder.

    Args:
        name: of its folder.
        title: of the data set, for messages.

    Raises:
        MissingDataError: it cannot be written.
    """
    folder = cache_folders("data")[0]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_private(folder)
    except OSError as error:
        raise MissingDataError(
            f"{title}: downloads are kept in {folder}, which cannot be written "
            f"({error.strerror or error}). Set XDG_CACHE_HOME to a folder that can, or "
            "HXLOOP_DATA_DIR to one that holds the files"
        ) from error
    return folder / name


def retrieved(mirror: str, file: str, name: str, title: str, looked: list[Path]) -> Path:
    """A file that is nowhere on this machine, downloaded; what is in it is not checked here.

    Args:
        mirror: the address it is at, with a slash in the end.
        file: its name there.
        name: of the folder in the cache.
        title: of the data set, for messages.
        looked: where it was looked for, for messages.

    Raises:
        MissingDataError: it cannot be had; says where to put it.
    """
    places = ", ".join(str(folder) for folder in looked)
    what = file.removesuffix(".gz")
    how = (
        f"Looked in {places}. Put the four official IDX files into one of them, or set "
        "HXLOOP_DATA_DIR to the folder that holds them."
    )
    try:
        import pooch
    except ImportError as error:
        raise MissingDataError(
            f"{title}: {what} not found, and the download needs the package pooch. {how}"
        ) from error
    try:
        return Path(
            pooch.retrieve(
                f"{mirror}{file}", known_hash=None, fname=file, path=cache_folder(name, title)
            )
        )
    except (OSError, ValueError) as error:  # requests raises OSErrors
        raise MissingDataError(
            f"{title}: {what} not found, and the download failed ({error}). {how}"
        ) from error
