"""Who watches a run: one list of ``TrainingEvents``, of whatever somebody gave to be told with."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hxloop.training.events import TrainingEvents
from hxloop.training.options import ProgressListener
from hxloop.training.progress import of_progress
from hxloop.training.trainer import Trainer

OnTrainer = Callable[[Trainer], None]


class OfTrainer(TrainingEvents):
    """Calls a function with each ``Trainer`` before it starts.

    Attributes:
        call: the function.
    """

    def __init__(self, call: OnTrainer) -> None:
        self.call = call


class OfWords(TrainingEvents):
    """Calls a function with what is done next, in words."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say

    def news(self, text: str) -> None:
        """See ``TrainingEvents``."""
        self._say(text)


def watchers(
    events: Iterable[TrainingEvents] = (),
    progress: ProgressListener | bool | None = None,
    on_trainer: OnTrainer | None = None,
    say: Callable[[str], None] | None = None,
) -> list[TrainingEvents]:
    """Who watches, in the order in which they are told.

    Args:
        events: who watches already.
        progress: who is told how it goes; True: a line for an epoch on standard error.
        on_trainer: called with each ``Trainer`` before it starts.
        say: told in words what is done next.
    """
    told = [*of_progress(progress), *events]
    told += [] if on_trainer is None else [OfTrainer(on_trainer)]
    return told + ([] if say is None else [OfWords(say)])
