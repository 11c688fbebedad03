"""Tasks that ask for a memory: what counts was over long before the answer is due."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.data.randman import Randman

# Of every split: how many samples, and the seed they are drawn with.
DELAYED_XOR_SPLITS = {"train": (2000, 52), "validation": (500, 51), "test": (1000, 50)}
DELAYED_MANIFOLDS_SPLITS = {"train": (2000, 72), "validation": (500, 71), "test": (1000, 70)}
MANIFOLDS = Randman(n_classes=4)
CHANNELS_OF_A_CUE = 5
# Begin of the two cues, and how long the spikes of one are strewn over, of the whole sample; how
# long a point on a manifold takes.
CUES, CUE_LENGTH, PATTERN_LENGTH = (0.02, 0.72), 0.08, 0.1


def delayed_xor(size: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Delayed exclusive or: do two cues, far apart in time, differ?

    Each cue is a group of five channels that spike once, one after the other at random within 0.08
    of the sample: the first cue is group 0 or 1, from 0.02 on, the second one group 2 or 3, from
    0.72 on. The class is 1 where one of them is of an odd group and the other is not. Neither cue
    alone says anything of the class. A threshold on a sum of what each of them says, or on the
    larger of the two, is right in three cases of four: 75 % is what a network reaches that
    remembers nothing but has a read-out that sums, or keeps the highest membrane; only beyond it
    is there a memory. (The task of many studies of working memory, in the form that spikes
    give it.)

    Values are times, as a fraction of the sample; 0 is a channel that is silent: encode them by
    latency with ``silent_zero``.

    Args:
        size: number of samples.
        seed: of the draw.

    Returns:
        Samples ``(n, 20)`` in [0, 1] and labels ``(n,)``.

    Raises:
        ConfigError: ``size`` is not a positive integer, ``seed`` negative.
    """
    size = checks.whole("delayed_xor: size", size, low=1)
    seed = checks.whole("delayed_xor: seed", seed, low=0)
    random = np.random.default_rng(seed)
    cues = random.integers(2, size=(size, 2))
    samples = np.zeros((size, 4, CHANNELS_OF_A_CUE))
    for which, begin in enumerate(CUES):
        times = begin + CUE_LENGTH * random.random((size, CHANNELS_OF_A_CUE))
        samples[np.arange(size), 2 * which + cues[:, which]] = times
    labels = (cues[:, 0] != cues[:, 1]).astype(np.int64)
    return samples.reshape(size, -1), labels


def delayed_manifolds(size: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """On which of four random manifolds was a pattern that was over long before the question?

    The pattern is a point on one of ``MANIFOLDS``, see ``hxloop.data.randman``: twenty channels
    spike once each, from 0.02 to 0.12 of the sample. The question comes from 0.72 to 0.8, whatever
    the class: five channels that spike once, at random. As it is never the same twice, what little
    a membrane has not forgotten by then is lost among what it does.

    Values are times, as a fraction of the sample: encode them by latency.

    Args:
        size: number of samples.
        seed: of the draw.

    Returns:
        Samples ``(n, 25)`` in [0, 1], the pattern first, and labels ``(n,)``.

    Raises:
        ConfigError: ``size`` is not a positive integer, ``seed`` negative.
    """
    size = checks.whole("delayed_manifolds: size", size, low=1)
    seed = checks.whole("delayed_manifolds: seed", seed, low=0)
    pattern, labels = MANIFOLDS.draw(size, seed)
    random = np.random.default_rng((seed, 1)).random((size, CHANNELS_OF_A_CUE))
    question = CUES[1] + CUE_LENGTH * random
    return np.concatenate([CUES[0] + PATTERN_LENGTH * pattern, question], axis=1), labels
