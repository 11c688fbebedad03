"""What the vendor's calibration files set the chip to, by their names.

The files do not say it. Source: electronicvisions/calix at ``e573081``, ``src/py/calix/scripts/
calix_generate_default_calibration.py`` with the defaults of ``calix.spiking.neuron``, which write
every chip's files anew each night. Refractory times are not among them: the backend sets its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from hxloop.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class OperatingPoint:
    """What neurons are calibrated to; times in us, potentials in LSB of the parallel converter.

    Attributes:
        tau_syn_us, tau_mem_us: time constants.
        v_leak_lsb, v_reset_lsb, v_threshold_lsb: potentials.
        i_synin_gm, synapse_dac_bias: codes that set the strength of synapses.
    """

    tau_syn_us: float
    tau_mem_us: float
    v_leak_lsb: float
    v_reset_lsb: float
    v_threshold_lsb: float
    i_synin_gm: int
    synapse_dac_bias: int


POINTS: Mapping[str, OperatingPoint] = {
    "spiking_cocolist": OperatingPoint(
        tau_syn_us=10, tau_mem_us=10, v_leak_lsb=80, v_reset_lsb=70, v_threshold_lsb=125,
        i_synin_gm=500, synapse_dac_bias=600,
    ),
    "spiking2_cocolist": OperatingPoint(
        tau_syn_us=6, tau_mem_us=6, v_leak_lsb=80, v_reset_lsb=80, v_threshold_lsb=150,
        i_synin_gm=500, synapse_dac_bias=1000,
    ),
}  # fmt: skip


def operating_point(file: str) -> OperatingPoint | None:
    """What a calibration file sets the chip to; None: its name is not that of a vendor's file."""
    return POINTS.get(Path(file).name.split(".")[0])


def check_operating_point(file: str, said: Mapping[str, float | None], backend: str) -> None:
    """Refuse options that say another operating point than the file's.

    Args:
        file: of a calibration.
        said: options by the names of ``OperatingPoint``; None: not said.
        backend: begins the message.

    Raises:
        ConfigError: says both, and what to give instead.
    """
    point = operating_point(file)
    if point is None:
        return
    of_file = asdict(point)
    wrong = {
        name: of_file[name]
        for name, value in said.items()
        if value is not None and abs(value - of_file[name]) > 1e-6 * abs(of_file[name])
    }
    if not wrong:
        return
    is_at = ", ".join(f"{name} = {value:g}" for name, value in wrong.items())
    options_say = ", ".join(f"{name} = {said[name]:g}" for name in wrong)
    others = [
        name
        for name, other in POINTS.items()
        if all(v is None or abs(v - asdict(other)[n]) <= 1e-6 * v for n, v in said.items())
    ]
    fitting = f", or take the file {' or '.join(others)}" if others else ""
    raise ConfigError(
        f"{backend}: the calibration file {file} sets the chip to {is_at}; the options say "
        f"{options_say}. Give the options of the file{fitting}"
    )
