"""What a substrate did: recorded, kept in files, read again, exported.

``Activity`` is what one run gives. ``ActivityWriter`` streams runs into an activity log (HDF5,
its layout and how it survives a kill: ``hxloop.activity.schema``), ``ActivityLog`` reads one,
whole or in parts, ``read_activity`` reads one or plain ``.npz`` arrays
(``hxloop.activity.plain``). They all give ``RecordedActivity``, which the analysis takes.
"""

from hxloop.activity.any_file import LOG_NAME, read_activity
from hxloop.activity.neo_export import to_neo
from hxloop.activity.nwb_export import write_nwb
from hxloop.activity.plain import read_plain, write_plain
from hxloop.activity.reading import ActivityLog
from hxloop.activity.run import Activity, RunInfo
from hxloop.activity.schema import epoch_name
from hxloop.activity.state_writer import StateWriter
from hxloop.activity.states import (
    TRAINED,
    UNTRAINED,
    FurtherSpikes,
    RecordedActivity,
    first_output,
)
from hxloop.activity.writing import ActivityWriter

__all__ = [
    "LOG_NAME",
    "TRAINED",
    "UNTRAINED",
    "Activity",
    "ActivityLog",
    "ActivityWriter",
    "FurtherSpikes",
    "RecordedActivity",
    "RunInfo",
    "StateWriter",
    "epoch_name",
    "first_output",
    "read_activity",
    "read_plain",
    "to_neo",
    "write_nwb",
    "write_plain",
]
