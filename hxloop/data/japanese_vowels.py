"""Japanese Vowels: who of nine men spoke? Series of twelve coefficients, of a vowel pair each.

Kudo, Toyama and Shimbo, "Multidimensional curve classification using passing-through regions",
Pattern Recognition Letters 20, 1103 (1999); UCI Machine Learning Repository. The two files of the
UEA archive come along in the packages aeon and sktime, which are not loaded for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hxloop.data.folders import data_folders
from hxloop.data.held_out import held_out
from hxloop.data.series import TimeSeries
from hxloop.errors import FileFormatError, MissingDataError, MissingDependencyError
from hxloop.files import sha256_of

# SHA-256 of the files, the same in aeon 1.6 and sktime 1.2.
FILES = {
    "JapaneseVowels_TRAIN.ts": "68a430eabd919cc77f40b1f5f3bc0dcafacc1486bca9260785aeb7d262cc78cd",
    "JapaneseVowels_TEST.ts": "b3d41d6a0ca3bcad3afb9ca7d4365382aa51341e2e58bae2a574babdda5b9462",
}
PACKAGES = ("aeon", "sktime")
N_CHANNELS, N_CLASSES = 12, 9
# Of the 270 samples of the training file, of every class alike: the archive has none for it.
VALIDATION = 0.2


def load_japanese_vowels(split: str, seed: int) -> tuple[TimeSeries, NDArray[np.int64]]:
    """Series ``(n, 12, 7 to 29)`` and labels 0 to 8 of a split.

    216 samples for training and 54 for validation are drawn from the training file; the test file
    has 370. All are in an order that is drawn.

    Args:
        split: "train", "validation" or "test".
        seed: of what is drawn.

    Raises:
        MissingDependencyError: neither the files nor a package that holds them are there.
        MissingDataError: the package that is installed does not hold them.
        FileFormatError: a file is another one, or damaged.
    """
    name = f"JapaneseVowels_{'TEST' if split == 'test' else 'TRAIN'}.ts"
    series, labels = _content_of(find_file(name), name)
    train, validation = held_out(labels, 0 if split == "test" else VALIDATION, seed)
    chosen = validation if split == "validation" else train
    return series.select(chosen), labels[chosen]


def find_file(name: str) -> Path:
    """One of ``FILES``, in ``HXLOOP_DATA_DIR``, the cache, or a package that is installed."""
    places = data_folders("japanese_vowels")
    installed = [where for package in PACKAGES if (where := _folder_in(package))]
    for folder in (*places, *installed):
        if (folder / name).is_file():
            return folder / name
    how = f"Or put {' and '.join(FILES)} into one of {', '.join(map(str, places))}."
    if installed:
        raise MissingDataError(
            f"data set 'japanese-vowels': expected {name} in {installed[0]}, where aeon 1.6 and "
            f"sktime 1.2 have it; there is none. Install one of these. {how}"
        )
    raise MissingDependencyError(
        "data set 'japanese-vowels' needs the package 'aeon' or 'sktime', which hold its files; "
        f"neither is installed; try: pip install 'hxloop[series]'. {how}"
    )


def read_ts(text: str) -> Iterator[tuple[list[list[float]], str]]:
    """Channels and class of each sample of a file in the archive's format.

    After the line ``@data`` each sample is a line: channels apart by colons, values by commas, the
    class after the last colon.

    Raises:
        ValueError: something else is there.
    """
    _, found, data = text.partition("@data")
    if not found:
        raise ValueError("there is no line @data")
    for line in data.split("\n"):
        if line.strip():
            *channels, label = line.strip().split(":")
            yield [[float(value) for value in channel.split(",")] for channel in channels], label


def _folder_in(package: str) -> Path | None:
    """Where an installed package keeps the files; it is not loaded. None: it is not installed."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "datasets" / "data" / "JapaneseVowels"


def _content_of(path: Path, name: str) -> tuple[TimeSeries, NDArray[np.int64]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read: {error.strerror or error}") from error
    digest = sha256_of(content)
    if digest != FILES[name]:
        raise FileFormatError(
            f"{path}: expected the file {name} of the UEA archive (SHA-256 {FILES[name]}); got "
            f"SHA-256 {digest}: it is damaged, or another one"
        )
    samples = list(read_ts(content.decode("ascii")))
    lengths = np.array([len(channels[0]) for channels, _ in samples])
    values = np.zeros((len(samples), N_CHANNELS, lengths.max()))
    for row, (channels, _), length in zip(values, samples, lengths, strict=True):
        row[:, :length] = channels
    # Classes are "1" to "9" there.
    return TimeSeries(values, lengths), np.array([int(label) - 1 for _, label in samples])
