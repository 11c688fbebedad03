"""hxloop: train spiking networks in the loop on analog chips, with exact gradients.

The public names, listed once. Importing hxloop imports no simulator.
"""

import os

# Before torch is loaded: else its idle OpenMP threads spin for milliseconds after every parallel
# operation, on the cores that the exact engine's threads need (measured on two cores: 9 ms for
# a layer without, 17 ms with them spinning). What the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

from hxloop.activity import Activity, RunInfo
from hxloop.backend import (
    Backend,
    Capabilities,
    Session,
    backend_names,
    check_run,
    get_backend,
)
from hxloop.datasets import Dataset, dataset_names, load_dataset, yin_yang
from hxloop.encoding import LatencyEncoding
from hxloop.errors import HxloopError, HxloopWarning
from hxloop.evaluation import evaluate
from hxloop.initialisation import initial_weights
from hxloop.loop import LoopNetwork
from hxloop.losses import (
    Loss,
    ShiftInvariantTargetLoss,
    TargetTimeLoss,
    TimeToFirstSpikeLoss,
    get_loss,
    loss_names,
)
from hxloop.network import LayerSpec, NetworkSpec, NeuronSpec
from hxloop.notes import Note
from hxloop.session_recording import record
from hxloop.silent_neurons import SilentNeuronPolicy
from hxloop.training import Trainer
from hxloop.training_options import EvaluationResult, SpikeData, TrainingOptions, TrainingResult
from hxloop.ttfs import NeuronParameters, first_spike_times, recorded_spike_times
from hxloop.units import TimeBase

__all__ = [
    "Activity",
    "Backend",
    "Capabilities",
    "Dataset",
    "EvaluationResult",
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
    "RunInfo",
    "Session",
    "ShiftInvariantTargetLoss",
    "SilentNeuronPolicy",
    "SpikeData",
    "TargetTimeLoss",
    "TimeBase",
    "TimeToFirstSpikeLoss",
    "Trainer",
    "TrainingOptions",
    "TrainingResult",
    "backend_names",
    "check_run",
    "dataset_names",
    "evaluate",
    "first_spike_times",
    "get_backend",
    "get_loss",
    "initial_weights",
    "load_dataset",
    "loss_names",
    "record",
    "recorded_spike_times",
    "yin_yang",
]
