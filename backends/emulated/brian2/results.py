"""The two kinds of Brian2 model: made, and what each of them came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hxloop.backends.emulated.brian2.block_model import BlockModel, build_block
from hxloop.backends.emulated.brian2.block_parts import BlockShape
from hxloop.backends.emulated.brian2.model import Brian2Model, ModelShape, build_model

Shape = ModelShape | BlockShape

RESULT_FILE = "spike_times"
NOT_WRITTEN = 3  # exit status of a model that could not write its result


def model_of(shape: Shape) -> Brian2Model | BlockModel:
    """Make the Brian2 objects on the device that is active now."""
    return build_model(shape) if isinstance(shape, ModelShape) else build_block(shape)


def results_of(model: Brian2Model | BlockModel) -> list[NDArray[np.float64]]:
    """Of a model that has run here: as a compiled one writes them."""
    if isinstance(model, Brian2Model):
        return [np.array(layer.tsp[:]) for layer in model.layers]
    units, times = np.array(model.recorder.i[:]), np.array(model.recorder.at[:])
    return [np.array([float(len(times))]), units.astype(np.float64), times]


def write_results(model: Brian2Model | BlockModel, name: Callable[[Any], str]) -> str:
    """C++ that writes the results and leaves.

    Brian2 would write every array, which takes longer than the simulation: the synapses of all
    samples are among them.

    Args:
        model: what is compiled.
        name: of the array of a variable, in C++.
    """
    if isinstance(model, Brian2Model):
        lines = [
            f"spikes.write(reinterpret_cast<const char*>(brian::{name(layer.variables['tsp'])}), "
            f"{len(layer)} * sizeof(double));"
            for layer in model.layers
        ]
    else:
        variables = model.recorder.variables
        lines = [
            f"const double n_spikes = brian::{_vector(name(variables['at']))}.size();",
            "spikes.write(reinterpret_cast<const char*>(&n_spikes), sizeof(double));",
        ]
        for variable in ("i", "at"):
            lines += [
                f"for (const double value : brian::{_vector(name(variables[variable]))})",
                "    spikes.write(reinterpret_cast<const char*>(&value), sizeof(double));",
            ]
    return "\n".join(
        [
            f'std::ofstream spikes(brian::results_dir + "{RESULT_FILE}", std::ios::binary);',
            *lines,
            "spikes.close();",
            f"std::_Exit(spikes.good() ? 0 : {NOT_WRITTEN});",
        ]
    )


def _vector(name: str) -> str:
    return name if name.startswith("_dynamic") else "_dynamic" + name
