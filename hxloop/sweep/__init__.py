"""Many trainings of one configuration: every combination of a grid, on many cores or machines."""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.sweep.grid import Grid
    from hxloop.sweep.result import SweepResult
    from hxloop.sweep.run import resume_sweep, sweep
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = ["Grid", "SweepResult", "resume_sweep", "sweep"]
