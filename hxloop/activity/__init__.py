"""What a substrate did: recorded, kept in files, read again, exported."""

from hxloop.activity.run import Activity, RunInfo
from hxloop.activity.states import FurtherSpikes, RecordedActivity, first_output

__all__ = [
    "Activity",
    "FurtherSpikes",
    "RecordedActivity",
    "RunInfo",
    "first_output",
]
