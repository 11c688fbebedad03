"""hxloop: train spiking networks in the loop on analog chips, with exact gradients.

The public names, listed once. They and the modules are imported when they are asked for
(``hxloop.late``): importing hxloop imports neither torch nor a simulator, and ``hxloop.runs.train``
needs no import of its own.
"""

import os
from typing import TYPE_CHECKING

# Before torch is loaded: else its idle OpenMP threads spin for milliseconds after every parallel
# operation, on the cores that the exact engine's threads need (measured on two cores: 9 ms for
# a layer without, 17 ms with them spinning). What the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


from hxloop import late, moved
from hxloop.version import __version__ as __version__

if TYPE_CHECKING:
    from hxloop import calibration as calibration
    from hxloop import runs as runs
    from hxloop.activity import Activity, RunInfo, Spikes
    from hxloop.data import Dataset, OwnData, dataset_from, dataset_names, load_dataset, yin_yang
    from hxloop.data.encoding import LatencyEncoding
    from hxloop.engine import NeuronParameters, first_spike_times, recorded_spike_times
    from hxloop.errors import HxloopError, HxloopWarning
    from hxloop.experiments.registry import load_experiment
    from hxloop.network import (
        Feature,
        LayerSpec,
        NetworkSpec,
        NeuronSpec,
        Parameters,
        Population,
        Projection,
    )
    from hxloop.substrate import (
        Backend,
        Capabilities,
        Session,
        backend_names,
        check_run,
        get_backend,
    )
    from hxloop.substrate.recording.record import record
    from hxloop.training.evaluation import evaluate
    from hxloop.training.initialisation import initial_weights
    from hxloop.training.loop import LoopNetwork
    from hxloop.training.losses import (
        Loss,
        ShiftInvariantTargetLoss,
        TargetTimeLoss,
        TimeToFirstSpikeLoss,
        get_loss,
        loss_names,
    )
    from hxloop.training.notes import Note
    from hxloop.training.options import (
        EvaluationResult,
        SpikeData,
        TrainingOptions,
        TrainingResult,
    )
    from hxloop.training.silent_neurons import SilentNeuronPolicy
    from hxloop.training.trainer import Trainer
    from hxloop.units import TimeBase
else:
    __getattr__, __dir__ = late.names(__name__)

moved.install()

__all__ = [
    "Activity",
    "Backend",
    "Capabilities",
    "Dataset",
    "EvaluationResult",
    "Feature",
    "HxloopError",
    "HxloopWarning",
    "LatencyEncoding",
    "LayerSpec",
    "LoopNetwork",
    "Loss",
    "NetworkSpec",
    "NeuronParameters",
    "NeuronSpec",
    "Note",
    "OwnData",
    "Parameters",
    "Population",
    "Projection",
    "RunInfo",
    "Session",
    "ShiftInvariantTargetLoss",
    "SilentNeuronPolicy",
    "SpikeData",
    "Spikes",
    "TargetTimeLoss",
    "TimeBase",
    "TimeToFirstSpikeLoss",
    "Trainer",
    "TrainingOptions",
    "TrainingResult",
    "backend_names",
    "check_run",
    "dataset_from",
    "dataset_names",
    "evaluate",
    "first_spike_times",
    "get_backend",
    "get_loss",
    "initial_weights",
    "load_dataset",
    "load_experiment",
    "loss_names",
    "record",
    "recorded_spike_times",
    "yin_yang",
]
