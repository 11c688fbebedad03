"""What the vendor's software is asked for beyond PyNN: which chip, its clocks, what it lost.

Two releases are known, told apart by a function that only one of them has: that of EBRAINS 12
(pynn-brainscales ``993d8e3``, grenade ``d1d8ee1``) and master (``fd4f926``, ``6ac13f3``).
"""

from __future__ import annotations

import importlib
import os
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from hxloop.backends.brainscales2.refractory import Refractory
from hxloop.errors import CalibrationError, FileFormatError, MissingDependencyError
from hxloop.version import __version__

MODULE = "pynn_brainscales.brainscales2"
COORDINATES = "dlens_vx_v3"
# Functions that tell how a run went, of EBRAINS 12 and of master.
HEALTH, INSTANCES = "get_execution_health_info", "get_execution_instance_data"

# Where a connection is looked for, in this order (hxcomm, ``connection_from_env``).
ZERO_MOCK = "HXCOMM_ENABLE_ZERO_MOCK"
CONNECTION = (
    ZERO_MOCK, "QUIGGELDY_ENABLED", "QUIGGELDY_IP", "QUIGGELDY_PORT", "QUIGGELDY_USER_NO_MUNGE",
    "SLURM_FPGA_IPS", "SLURM_HARDWARE_LICENSES",
)  # fmt: skip

HOW_TO_GET_A_FILE = (
    "On EBRAINS save_nightly_calibration('spiking2_cocolist.pbin') of the vendor's demos fetches "
    "the one of the chip that is connected, for the release that is installed"
)

# How messages of a run read that the chip or the link to it did not carry out: grenade,
# ``execution_instance_node.cpp`` and ``stateful_connection_run.cpp``, of both releases.
FAILED_RUN = "playback program"
# How a network that cannot be mapped is told: not mended by repetition.
CANNOT_MAP = ("rout", "synapse driver", "partitioning", "weight too large")


def import_vendor(backend: str) -> ModuleType:
    """The vendor's PyNN.

    Raises:
        MissingDependencyError: it is not installed.
    """
    try:
        return importlib.import_module(MODULE)
    except ImportError as error:
        raise MissingDependencyError(
            f"backend {backend!r} needs the package {error.name!r}, which is not installed "
            f"({error}). It is part of the BrainScaleS-2 software of Heidelberg University "
            "(pynn-brainscales), which comes with access to a chip, for example on EBRAINS; it "
            "is not on PyPI. Without a chip: backend 'emulated-chip'"
        ) from error


def read_calibration(sim: Any, file: str) -> Any:
    """The chip's configuration in a calibration file.

    Raises:
        FileFormatError: the file is no calibration.
    """
    try:
        return sim.helper.chip_from_file(file)
    except (RuntimeError, OSError, ValueError) as error:
        raise FileFormatError(
            f"calibration file {file}: expected a portable binary (.pbin) of the chip's "
            f"configuration, of the release of the software that reads it; {error}. "
            f"{HOW_TO_GET_A_FILE}"
        ) from error


def versions() -> dict[str, str]:
    """Versions of all that takes part; the vendor's package may not tell its own."""
    found = {"hxloop": __version__}
    for package in ("PyNN", "pynn-brainscales"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def coordinates() -> Any:
    """The vendor's names of places on a chip (``halco``)."""
    return importlib.import_module(COORDINATES).halco


def release_of(sim: Any) -> str:
    """Which of the known releases, ``"EBRAINS 12"`` or ``"master"``; ``"unknown"``: neither."""
    names = vars(sim)
    return "EBRAINS 12" if HEALTH in names else "master" if INSTANCES in names else "unknown"


def chip_id(sim: Any) -> str | None:
    """Which chip the connection leads to; None: it does not say, as without a chip (zero-mock).

    Opens a connection of its own, so not while another one is open.
    """
    try:
        names = sim.helper.get_unique_identifier()
    except RuntimeError:
        return None
    return str(names[0]) if names else None


def check_chip(backend: str, found: str | None, scales_of: str | None) -> None:
    """Refuse scales of another chip.

    Raises:
        CalibrationError: both chips are known, and differ.
    """
    if found is not None and scales_of is not None and found != scales_of:
        raise CalibrationError(
            f"backend {backend!r}: the scales were measured on chip {scales_of}; this is chip "
            f"{found}. Measure anew: hxloop fit-scales {backend}"
        )


def set_clock(chip: Any, refractory: Refractory) -> None:
    """Let the fast clock of a chip's configuration count refractory times."""
    halco = coordinates()
    for place in halco.iter_all(halco.CommonNeuronBackendConfigOnDLS):
        backend = chip.neuron_block.backends[place]
        backend.enable_clocks = True
        backend.clock_scale_fast = refractory.clock_scale


def connection() -> dict[str, str]:
    """The environment variables that say where the chip is, as far as they are set."""
    return {name: os.environ[name] for name in CONNECTION if name in os.environ}


def how_to_connect() -> str:
    """What to do where no chip answers, by what is configured."""
    found = connection()
    if found.get(ZERO_MOCK) == "1":
        return f"{ZERO_MOCK}=1 is set, so that no chip is asked: unset it"
    if not found:
        return (
            "No connection is configured: on EBRAINS run setup_hardware_client() of the vendor's "
            "demos first, in the notebook that starts this; in a job SLURM_FPGA_IPS must be set"
        )
    told = ", ".join(f"{name}={value}" for name, value in found.items())
    return (
        f"Configured is {told}. Whether a chip answers there: hxloop doctor --connect. If none "
        "does, the chip may be busy or down, or this account may not use it: try later, or "
        "choose another one"
    )


def advice(error: BaseException) -> str:
    """What to do about a failed run, a sentence; empty where the message itself says it."""
    text = str(error).lower()
    mapping = not isinstance(error, OSError) and any(word in text for word in CANNOT_MAP)
    of_software = isinstance(error, RuntimeError | OSError) and not mapping
    return how_to_connect() if of_software else ""


def without_a_chip() -> str:
    """Let the vendor's software work without a chip (zero-mock), unless a connection is configured.

    To be called before it is imported. Returns what a person should know.
    """
    found = connection()
    if found:
        return f"connection as configured ({', '.join(found)})"
    os.environ[ZERO_MOCK] = "1"
    return f"no connection is configured: {ZERO_MOCK}=1 was set, no chip is asked"


def dropped_events(sim: Any) -> int:
    """Events that the chip's crossbar dropped in the last run.

    Counted by the chip, before and after every run. What the link between chip and computer loses
    is not among them.
    """
    release = release_of(sim)
    if release == "EBRAINS 12":
        instances = list(sim.get_execution_health_info().execution_instances.values())
    elif release == "master":
        place = importlib.import_module("pygrenade_vx").common.ExecutionInstanceOnExecutor()
        told = sim.get_execution_instance_data().get(place).execution_health_info
        instances = [] if told is None else [told]
    else:
        return 0
    halco = coordinates()
    inputs = list(halco.iter_all(halco.CrossbarInputOnDLS))
    return sum(
        int(chip.crossbar_input_drop_counter[place].value)
        for instance in instances
        for chip in instance.chips.values()
        for place in inputs
    )


def may_succeed_next_time(error: BaseException, *, has_run: bool) -> bool:
    """Whether the same run, on a new connection, may succeed.

    Args:
        error: what the vendor's software raised.
        has_run: whether this network has run before: it can be mapped then.
    """
    if isinstance(error, OSError):
        return True
    if not isinstance(error, RuntimeError):
        return False  # PyNN's own errors among them, such as that for weights of the wrong sign
    text = str(error).lower()
    if FAILED_RUN in text:
        return True
    return has_run and not any(word in text for word in CANNOT_MAP)
