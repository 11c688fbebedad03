"""Recorded activity into files of other programs."""

from __future__ import annotations

import os
from typing import Any

from hxloop import checks
from hxloop.activity.formats.load import read_activity
from hxloop.activity.formats.nir_data import write_nir_data
from hxloop.activity.formats.nwb import write_nwb
from hxloop.activity.formats.plain import plain_leaves_out, write_plain
from hxloop.activity.formats.spike_lists import left_out
from hxloop.activity.recorded import TRAINED
from hxloop.errors import OutputError, UnknownNameError
from hxloop.network.nir.convention import Convention
from hxloop.units import DEFAULT_TAU_SYN_MS, TimeBase

FORMATS = ("nwb", "npz", "nirdata")


def export_activity(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    kind: str,
    *,
    state: str | None = None,
    samples: int | None = None,
    tau_syn_ms: float = DEFAULT_TAU_SYN_MS,
    unit: str = "s",
    force: bool = False,
) -> dict[str, Any]:
    """Export recorded activity.

    Args:
        source: an activity log, an ``.npz`` file or a run folder, see ``read_activity``.
        out: the file to write.
        kind: one of ``FORMATS``: "nwb" and "nirdata" hold one state, "npz" plain arrays of all.
        state: which state. None: for npz all, else "trained" or the only one.
        samples: the first so many; None = all.
        tau_syn_ms: how long a unit of model time is; not for npz, whose times are model time.
        unit: of times in NIRData, "s" or "ms".
        force: replace ``out``.

    Returns:
        What was written: format, states, samples, spikes (how many, of input and layers), file;
        and ``left_out``, what the format has no place for, by the names of ``RecordedActivity``.

    Raises:
        UnknownNameError: no such format or state, or several states and none was chosen.
        ConfigError: no sample is asked for.
        FileFormatError: ``source`` is damaged or of another kind.
        OutputError: ``out`` is there already or cannot be written.
    """
    if kind not in FORMATS:
        raise UnknownNameError(f"unknown format {kind!r}; known: {', '.join(FORMATS)}")
    if samples is not None:
        samples = checks.whole("samples", samples, low=1)
    source, out = checks.path("source", source), checks.path("out", out, error=OutputError)
    if out.exists() and not force:
        raise OutputError(f"{out}: is there already; give another --out, or --force to replace it")
    time_base = TimeBase(checks.number("tau_syn_ms", tau_syn_ms) * 1e-3)
    chosen = None if state is None else [state]
    states = read_activity(source, chosen, None if samples is None else slice(0, samples))
    if kind == "npz":
        write_plain(out, states.values())
        left = {name for each in states.values() for name in plain_leaves_out(each)}
    else:
        name = TRAINED if TRAINED in states else next(iter(states))
        if len(states) > 1 and name != TRAINED:
            raise UnknownNameError(
                f"{source}: holds several states and no {TRAINED!r}; choose one with --state: "
                f"{', '.join(states)}"
            )
        states = {name: states[name]}
        if kind == "nwb":
            write_nwb(out, states[name], time_base)
        else:
            write_nir_data(out, states[name], Convention(unit=unit, tau_syn_ms=tau_syn_ms))
        left = set(left_out(states[name]))
    n = {name: len(recorded) for name, recorded in states.items()}
    spikes = sum(
        train.n_spikes for each in states.values() for train in (each.inputs, *each.spikes)
    )
    return {
        "format": kind,
        "states": list(n),
        "samples": max(n.values()),
        "spikes": spikes,
        "left_out": sorted(left),
        "file": str(out),
    }
