"""Notes: what is odd about data, a network or a substrate, told once, with numbers.

A note never changes what is computed. It is told once, as a warning of the category
``HxloopWarning`` (the command line prints it as a line), and kept: in ``TrainingResult``,
``EvaluationResult`` and ``RunResult``, in ``metrics.jsonl`` and ``evaluation.json``, in what
``--json`` prints, and in the report.
"""

from hxloop.training.notes.note import WORTH_A_WORD, Note, latest, tell
from hxloop.training.notes.of_inputs import MOMENT, data_notes, input_notes
from hxloop.training.notes.of_runs import (
    dale_note,
    neuron_notes,
    physics_notes,
    silence_notes,
    tie_notes,
    weight_notes,
)

__all__ = [
    "MOMENT",
    "WORTH_A_WORD",
    "Note",
    "dale_note",
    "data_notes",
    "input_notes",
    "latest",
    "neuron_notes",
    "physics_notes",
    "silence_notes",
    "tell",
    "tie_notes",
    "weight_notes",
]
