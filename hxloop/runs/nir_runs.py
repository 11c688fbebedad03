"""Trained networks as NIR graphs, and NIR graphs as folders to evaluate and train on from."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError, OutputError
from hxloop.files import write_atomically
from hxloop.network import NetworkSpec
from hxloop.network.neuron import Population
from hxloop.network.nir import AS_WRITTEN, Convention, from_nir, read_nir, to_nir, write_nir
from hxloop.network.weights_file import FILE_NAME as WEIGHTS
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.folder_state import CONFIG
from hxloop.runs.opened import Run
from hxloop.runs.toml_text import toml_text

GRAPH = "network.nir"  # what it is called in a run folder, if nobody says


def export_nir(
    run_dir: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    convention: Convention = AS_WRITTEN,
    *,
    force: bool = False,
) -> dict[str, Any]:
    """Write the network of a run, with its trained weights, as a NIR graph.

    Args:
        run_dir: the folder of the run.
        out: the file; None: ``network.nir`` in that folder.
        convention: what numbers of the graph mean.
        force: replace a file that is there.

    Returns:
        file, network (in words), and notes: what NIR cannot say.

    Raises:
        FileFormatError: not a run, or without weights.
        OutputError: the file is there already, or cannot be written.
        MissingDependencyError, NetworkError: see ``to_nir``.
    """
    run = Run.open(run_dir)
    file = run.path / GRAPH if out is None else checks.path("out", out, error=OutputError)
    if file.exists() and not force:
        raise OutputError(f"{file}: is there already; give another --out, or --force to replace it")
    network = run.plan.network
    made = to_nir(network, run.parameters, convention, configuration=run.config.to_toml())
    write_nir(file, made.graph)
    return {"format": "nir", "network": str(network), "file": str(file), "notes": list(made.notes)}


def import_nir(
    file: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    like: ExperimentConfig | None = None,
    convention: Convention | None = None,
    t_window: float | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Make a folder of a NIR graph: ``config.toml`` and ``weights.safetensors``.

    ``evaluate_run`` takes the folder, ``train`` its ``config.toml``, and begins with the weights.

    Args:
        file: the graph.
        out: the folder, made.
        like: whose data, encoding, loss and training it gets; None: those the graph was exported
            with, by hxloop.
        convention, t_window: see ``from_nir``.
        force: replace a run that is in ``out``.

    Returns:
        run_dir, network (in words), and notes: what was assumed or not taken.

    Raises:
        ConfigError: the graph does not say what it was trained with, and nobody else does.
        FileFormatError, NetworkError: see ``from_nir``.
        OutputError: ``out`` is not empty, or cannot be written.
    """
    folder = checks.path("out", out, error=OutputError)
    RunDirectory.check(folder, force=force)
    found = from_nir(read_nir(file), convention, t_window=t_window)
    if like is not None:
        values: dict[str, Any] = like.model_dump()
    elif found.configuration is not None:
        values = tomllib.loads(found.configuration)
    else:
        raise ConfigError(
            f"{file}: a graph says nothing of data, encoding and loss; expected --like EXPERIMENT "
            "(in Python: like=), which has some"
        )
    values["network"] = _table(found.network)
    values["initialisation"] = {"method": "from-run", "run": WEIGHTS}
    checked = ExperimentConfig.from_mapping(values, str(file)).model_dump()
    # Relative to the file, so that the folder can be moved.
    checked["initialisation"]["run"] = WEIGHTS
    with RunDirectory.reserved(folder):
        made = RunDirectory.create(folder, force=force)
        made.write_weights(found.parameters, {"imported": Path(file).name})
        write_atomically(folder / CONFIG, toml_text(checked).encode())
    return {"run_dir": str(folder), "network": str(found.network), "notes": list(found.notes)}


def _table(network: NetworkSpec) -> dict[str, Any]:
    """The table ``[network]`` of a network."""
    return {
        "t_window": network.t_window,
        "populations": [_population(each) for each in network.populations],
        "projections": [
            {"pre": p.pre, "post": p.post, "delays": p.delays, "min_delay": p.min_delay}
            for p in network.all_projections
        ],
        "output": network.populations[network.output_index].name,
    }


def _population(population: Population) -> Mapping[str, Any]:
    neuron = {name: value for name, value in vars(population.neuron).items()}
    if population.neuron.never_spikes:
        neuron = {name: neuron[name] for name in ("tau_mem", "tau_syn", "v_leak")}
    return {
        "name": population.name,
        "size": population.n_neurons,
        "n_inhibitory": population.n_inhibitory,
        "readout": population.neuron.never_spikes,
        "neuron": neuron,
    }
