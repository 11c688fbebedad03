"""Every error hxloop raises on purpose.

Each class also inherits the builtin error a Python user would expect, so ``except
ValueError`` keeps working. Messages say what went wrong, where, what was expected, what
was got, and the likely fix.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


class HxloopError(Exception):
    """Base of all errors raised by hxloop."""


class NetworkError(HxloopError, ValueError):
    """A network, layer or neuron description that makes no sense."""


class RunInputError(HxloopError, ValueError):
    """Weights or spike times that do not fit the network, or hold NaN or negative times."""


class CapacityError(HxloopError, ValueError):
    """The network asks for more than the backend has (neurons, fan-in, time constants)."""


class UnknownNameError(HxloopError, LookupError):
    """A backend, option, experiment, data set or loss that does not exist."""


class ConfigError(HxloopError, ValueError):
    """An experiment configuration that cannot be read or does not validate."""


class FileFormatError(HxloopError, ValueError):
    """A file that is corrupt, truncated or not what its name says."""


class MissingDataError(HxloopError, FileNotFoundError):
    """A data set that is neither on this machine nor can be downloaded."""


class OutputError(HxloopError, OSError):
    """An output folder that cannot be written or would be overwritten."""


class BusyError(OutputError):
    """A file or folder that another process is writing at this moment."""


class MissingDependencyError(HxloopError, ImportError):
    """An optional package is needed and not installed."""


class CompilerError(HxloopError, RuntimeError):
    """No working C++ compiler, or a simulation that does not compile."""


class SessionClosedError(HxloopError, RuntimeError):
    """A session was used after it was closed."""


class SessionOwnerError(SessionClosedError):
    """A session was used by a process (a forked child) or a thread that it does not belong to."""


class SessionCopyError(HxloopError, TypeError):
    """A session was copied or pickled whose files, process or simulator cannot be."""


class RunFailed(HxloopError, RuntimeError):
    """The substrate did not deliver a result.

    Attributes:
        retryable: True if the same run may succeed when repeated (a stall, a lost link).
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class RunTimeout(RunFailed):
    """The substrate did not return within the time limit. Not retryable: it may still be busy."""


class CalibrationError(HxloopError, ValueError):
    """A calibration that did not work out, or that is not for this chip or network."""


class CalibrationInterrupted(HxloopError):
    """A calibration was stopped on request; the steps that are done are kept."""


class ConformanceError(HxloopError, AssertionError):
    """A backend does not keep what the protocol or its own capabilities promise."""


class CheckNotApplicable(HxloopError):
    """A check of conformance that does not concern this backend; the message says why."""


class TrainingInterrupted(HxloopError):
    """Training was stopped on request; a checkpoint holds everything done so far."""


class HxloopWarning(UserWarning):
    """Something odd that changes no result: units that look wrong, spikes that never count,
    weights that were clipped, ties. Told once, with numbers; see ``hxloop.training.notes``."""


def unknown_name(kind: str, name: str, known: Mapping[str, Any] | Iterable[str]) -> str:
    """The sentence for a name that does not exist: what was asked, what there is."""
    names = sorted(known)
    close = get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    return f"unknown {kind} {name!r}; known: {', '.join(names) or '(none)'}.{hint}"
