"""What a configuration becomes on disk: a training, its folder, recordings and report."""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.runs.drift import drift_curve
    from hxloop.runs.nir_runs import export_nir, import_nir
    from hxloop.runs.opened import Run, runs_in
    from hxloop.runs.plan import Prepared, prepare
    from hxloop.runs.run import (
        RunResult,
        evaluate_prepared,
        evaluate_run,
        resume,
        resume_prepared,
        train,
        train_prepared,
    )
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = [
    "Prepared",
    "Run",
    "RunResult",
    "drift_curve",
    "evaluate_prepared",
    "evaluate_run",
    "export_nir",
    "import_nir",
    "prepare",
    "resume",
    "resume_prepared",
    "runs_in",
    "train",
    "train_prepared",
]
