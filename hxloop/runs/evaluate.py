"""Evaluating a finished training, on its own substrate or on another one."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop import checks
from hxloop.activity import TRAINED, ActivityWriter
from hxloop.errors import OutputError
from hxloop.network import Parameters
from hxloop.runs.elsewhere import evaluation_backend, without_foreign_calibration
from hxloop.runs.folder import RunDirectory
from hxloop.runs.identity import (
    check_evaluated,
    check_evaluated_parts,
)
from hxloop.runs.plan import Prepared, RunResult, plan
from hxloop.runs.recorder import about
from hxloop.training.evaluation import EVALUATION_TRIAL, EvaluationListener, RunObserver, evaluate
from hxloop.training.loop import LoopNetwork


def evaluate_run(
    run_dir: str | os.PathLike[str],
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    calibration: str | os.PathLike[str] | None = None,
    activity: str | os.PathLike[str] | None = None,
    state: str = TRAINED,
    progress: EvaluationListener | None = None,
) -> RunResult:
    """Evaluate a finished training on the test split, on its own or on another backend.

    The run's own calibration goes along as long as the chip is the one that it was made on.

    Args:
        run_dir: run folder.
        backend: name of another backend; None: the one it was trained on.
        options: options of the backend; for the run's own backend, added to the run's.
        calibration: file of a calibration of the chip chosen; None: the run's own, if it is of
            that chip; "": none.
        activity: activity log to write the whole test split to; one that is there gets one more
            state. None writes none.
        state: name of the state in that log.
        progress: told after each run how many samples are done, and of how many.

    Raises:
        FileFormatError: not a finished run, or its files are damaged, or the log is one of
            another network.
        ConfigError: the run's configuration was changed, or it was trained on other data than
            it says: evaluate such a one with ``evaluate_prepared``.
        UnknownNameError: unknown backend or option.
        CalibrationError: the calibration given is not one of that chip.
        OutputError: the log cannot be written, has such a state already, or another process is
            writing it.
    """
    prepared, weights = planned_evaluation(run_dir, backend, options, calibration=calibration)
    if activity is None:
        return evaluate_prepared(prepared, weights, run_dir, progress=progress)
    # Locked until the end: of two evaluations into one log the second is refused at once.
    activity = checks.path("activity", activity, error=OutputError)
    with ActivityWriter(activity, prepared.network, about=about(prepared)) as log:
        if state in log.complete_states:
            raise OutputError(
                f"{activity}: holds a state {state!r} already; give another file, or another name "
                "for the state (--state)"
            )
        data = prepared.data["test"]
        # Whichever batch is the first in which a channel spikes more than once.
        again = data.spikes_again or None
        with log.state(state, split="test", n_samples=len(data), input_trains=again) as writer:
            return evaluate_prepared(prepared, weights, run_dir, writer.append, progress)


def planned_evaluation(
    run_dir: str | os.PathLike[str],
    backend: str | None = None,
    options: Mapping[str, Any] | None = None,
    *,
    calibration: str | os.PathLike[str] | None = None,
) -> tuple[Prepared, Parameters]:
    """What ``evaluate_run`` runs, not run yet, and the weights of the training.

    Args:
        run_dir, backend, options, calibration: see there.

    Raises:
        FileFormatError, ConfigError, UnknownNameError, CalibrationError: see there.
    """
    run_dir = checks.path("run_dir", run_dir)
    run = RunDirectory.open(run_dir)
    config = run.config()
    chosen = evaluation_backend(config.backend, backend, options, calibration)
    identity = run.identity
    if identity is not None:
        check_evaluated(identity, config, str(run_dir))
    prepared = plan(config.model_copy(update={"backend": chosen}), first="test")
    if calibration is None and options:
        prepared = without_foreign_calibration(prepared)
    if identity is not None:
        check_evaluated_parts(identity, prepared, str(run_dir))
    return prepared, run.weights(prepared.network)


def evaluate_prepared(
    prepared: Prepared,
    weights: Sequence[NDArray[np.float64]],
    run_dir: str | os.PathLike[str] | None = None,
    observer: RunObserver | None = None,
    progress: EvaluationListener | None = None,
) -> RunResult:
    """Evaluate given weights on the test split; ``run_dir`` is only named in the result."""
    run_dir = None if run_dir is None else checks.path("run_dir", run_dir)
    config, data = prepared.config, prepared.data["test"]
    with prepared.open_session() as session:
        network = LoopNetwork(session, weights, retries=config.training.retries)
        batch_size = config.training.batch_size
        result = evaluate(
            network, prepared.loss, data, batch_size, EVALUATION_TRIAL, observer, progress=progress
        )
        return RunResult(config, None, result, result.info.chip_id, run_dir)
