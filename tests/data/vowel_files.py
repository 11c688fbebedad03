"""Small files in the format of Japanese Vowels: series of twelve channels, nine classes."""

from __future__ import annotations

import numpy as np

from hxloop.files import sha256_of

NAMES = {"train": "JapaneseVowels_TRAIN.ts", "test": "JapaneseVowels_TEST.ts"}


def lines_of(samples):
    """A file as the archive has it."""
    rows = [":".join([*(",".join(map(repr, c)) for c in channels), label])
            for channels, label in samples]  # fmt: skip
    return "\n".join(["# of a test", "@dimensions 12", "@classLabel true 1 2", "@data", *rows, ""])


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(7, 12, n)
    return [
        (np.round(rng.normal(0, 1, (12, length)), 6).tolist(), str(1 + index % 9))
        for index, length in enumerate(lengths)
    ]


def write(folder, sizes):
    """Files of so many samples by split; digests by name, and the samples."""
    folder.mkdir(parents=True)
    samples = {split: drawn(n, index) for index, (split, n) in enumerate(sizes.items())}
    digests = {}
    for split, name in NAMES.items():
        text = lines_of(samples[split])
        (folder / name).write_text(text)
        digests[name] = sha256_of(text)
    return digests, samples
