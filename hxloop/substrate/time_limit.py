"""A limit on how long a call may take: a substrate that hangs must not hang a training."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from hxloop.errors import RunTimeout

_left_behind: WeakSet[threading.Thread] = WeakSet()


def is_left_behind(thread: threading.Thread | None) -> bool:
    """Whether this thread is at work on a call that nobody waits for any more."""
    return thread is not None and thread in _left_behind


def within(
    seconds: float | None, what: str, call: Callable[..., Any], *args: Any, **kw: Any
) -> Any:
    """Call, and wait no longer than so many seconds for the answer.

    With a limit the call is made in a thread of its own. One that does not come back is left
    behind, as nothing in a process can end it; it does not keep the process from ending.

    Args:
        seconds: the limit; None or ``inf``: none, and the call is made right here.
        what: what is called, for the message.
        call: with ``*args`` and ``**kw``.

    Returns:
        What the call returns.

    Raises:
        RunTimeout: it did not return in time. Not retryable: it may still be at work.
    """
    if seconds is None or math.isinf(seconds):
        return call(*args, **kw)
    outcome: list[tuple[bool, Any]] = []

    def work() -> None:
        try:
            outcome.append((True, call(*args, **kw)))
        except BaseException as error:  # noqa: BLE001
            # Raised where it is waited for, below; here nobody could catch it.
            outcome.append((False, error))
        finally:
            _left_behind.discard(thread)

    thread = threading.Thread(target=work, name="hxloop run", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        _left_behind.add(thread)
        raise RunTimeout(
            f"{what} has not returned after {seconds:g} s, its time limit; it hangs, or it takes "
            "longer than expected. Its session may still be at work and is not used any more: look "
            "after the substrate, open it anew, and resume. For runs that do take longer, raise "
            "time_limit (training.time_limit)"
        )
    done, result = outcome[0]
    if done:
        return result
    raise result
