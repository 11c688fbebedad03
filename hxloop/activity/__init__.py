"""What a substrate did: recorded, kept in files, read again, exported.

``Activity`` is what one run gives. ``ActivityWriter`` streams runs into an activity log (HDF5,
its layout and how it survives a kill: ``hxloop.activity.log.schema``), ``ActivityLog`` reads one,
whole or in parts, ``read_activity`` reads one or plain ``.npz`` arrays
(``hxloop.activity.formats.plain``). They all give ``RecordedActivity``, which the analysis takes.
"""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.activity.formats.load import LOG_NAME, read_activity
    from hxloop.activity.formats.neo import to_neo
    from hxloop.activity.formats.nir_data import from_nir_data, to_nir_data
    from hxloop.activity.formats.nwb import write_nwb
    from hxloop.activity.formats.plain import read_plain, write_plain
    from hxloop.activity.further import FurtherSpikes
    from hxloop.activity.log.reader import ActivityLog
    from hxloop.activity.log.schema import epoch_name
    from hxloop.activity.log.state_writer import StateWriter
    from hxloop.activity.log.writer import ActivityWriter
    from hxloop.activity.recorded import TRAINED, UNTRAINED, RecordedActivity, first_output
    from hxloop.activity.spikes import Spikes
    from hxloop.activity.types import Activity, RunInfo
else:
    __getattr__, __dir__ = late.names(__name__)

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
    "Spikes",
    "StateWriter",
    "epoch_name",
    "first_output",
    "from_nir_data",
    "read_activity",
    "read_plain",
    "to_neo",
    "to_nir_data",
    "write_nwb",
    "write_plain",
]
