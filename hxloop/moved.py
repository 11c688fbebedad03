"""Modules by the names that they had before version 0.2, and where they are now.

Importing an old name gives the module of the new one, the same object, so that scripts and
notebooks go on working; see "Public modules" in ``CONTRIBUTING.md`` for how long.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType

# Below ``hxloop``.
MOVED = {
    "activity.any_file": "activity.formats.load",
    "activity.chunks": "activity.log.chunks",
    "activity.export": "activity.formats.export",
    "activity.neo_export": "activity.formats.neo",
    "activity.npz": "activity.formats.npz",
    "activity.nwb_export": "activity.formats.nwb",
    "activity.plain": "activity.formats.plain",
    "activity.reading": "activity.log.reader",
    "activity.run": "activity.types",
    "activity.schema": "activity.log.schema",
    "activity.spike_lists": "activity.formats.spike_lists",
    "activity.state_writer": "activity.log.state_writer",
    "activity.states": "activity.recorded",
    "activity.tables": "activity.log.tables",
    "activity.writing": "activity.log.writer",
    "activity_check": "substrate.check_activity",
    "activity_physics": "substrate.physics",
    "analysis.ablation": "analysis.assess.ablation",
    "analysis.across_networks": "analysis.assess.across_networks",
    "analysis.analysis_figures": "analysis.report.figures",
    "analysis.analysis_report": "analysis.report.page",
    "analysis.analysis_static": "analysis.report.static",
    "analysis.analysis_words": "analysis.report.words",
    "analysis.claim": "analysis.assess.claim",
    "analysis.claim_of_learning": "analysis.assess.claim_of_learning",
    "analysis.claims": "analysis.assess.claims",
    "analysis.claims_of_classes": "analysis.assess.claims_of_classes",
    "analysis.curves": "analysis.report.curves",
    "analysis.looks": "analysis.report.looks",
    "analysis.null_models": "analysis.measures.null_models",
    "analysis.pathway_figures": "analysis.report.pathway_figures",
    "analysis.pathway_kernels": "analysis.measures.pathway_kernels",
    "analysis.pathway_measures": "analysis.measures.pathway_measures",
    "analysis.pathways": "analysis.measures.pathways",
    "analysis.raster": "analysis.report.raster",
    "analysis.report_data": "runs.report.data",
    "analysis.report_figures": "runs.report.figures",
    "analysis.separability": "analysis.measures.separability",
    "analysis.statistics": "analysis.measures.statistics",
    "analysis.summary": "analysis.assess.summary",
    "analysis.synchrony": "analysis.measures.synchrony",
    "backend": "substrate",
    "backends.brainscales2_dialect": "backends.brainscales2.dialect",
    "backends.brainscales2_placement": "backends.brainscales2.placement",
    "backends.brian2_build": "backends.emulated.brian2.build",
    "backends.brian2_cache": "backends.emulated.brian2.cache",
    "backends.brian2_chip": "backends.emulated.brian2.chip",
    "backends.brian2_model": "backends.emulated.brian2.model",
    "backends.brian2_runners": "backends.emulated.brian2.runners",
    "backends.brian2_settings": "backends.emulated.brian2.settings",
    "backends.brian2_solver": "backends.emulated.brian2.solver",
    "backends.child_process": "machine.child_process",
    "backends.chip_calibrations": "backends.emulated.calibrations",
    "backends.chip_clock": "chip.clock",
    "backends.chip_model": "backends.emulated.model",
    "backends.chip_readout": "backends.emulated.readout",
    "backends.emulated_chip": "backends.emulated.backend",
    "backends.emulated_session": "backends.emulated.session",
    "backends.event_solver": "backends.emulated.event_solver",
    "backends.imperfections": "backends.emulated.imperfections",
    "backends.knob_curves": "backends.emulated.knob_curves",
    "backends.knob_options": "backends.emulated.knob_options",
    "backends.knob_session": "backends.emulated.knob_session",
    "backends.membrane_steps": "backends.emulated.membrane_steps",
    "backends.neuron_mechanisms": "backends.pynn.neuron_mechanisms",
    "backends.pynn_adapter": "backends.pynn.adapter",
    "backends.pynn_brian2": "backends.pynn.brian2",
    "backends.pynn_dialect": "backends.pynn.dialect",
    "backends.pynn_grid": "backends.pynn.grid",
    "backends.pynn_nest": "backends.pynn.nest",
    "backends.pynn_neuron": "backends.pynn.neuron",
    "backends.pynn_simulators": "backends.pynn.simulators",
    "backends.sample_schedule": "backends.pynn.schedule",
    "backends.weight_grid": "chip.weight_grid",
    "brief": "text",
    "calibrating": "calibration.workflow",
    "checkpoint": "training.checkpoint",
    "cli_app": "cli.app",
    "cli_output": "cli.output",
    "cli_runs": "cli.runs",
    "cli_tools": "cli.tools",
    "cli_words": "cli.words",
    "config": "runs.config",
    "config_paths": "runs.config_paths",
    "config_words": "runs.config_words",
    "datasets": "data.datasets",
    "datasets_mnist": "data.mnist_files",
    "elsewhere": "runs.elsewhere",
    "encoding": "data.encoding",
    "evaluation": "training.evaluation",
    "experiment": "runs.run",
    "experiment_report": "runs.report.training_report",
    "file_lock": "files.lock",
    "hdf5": "files.hdf5",
    "hdf5_new_file": "files.hdf5_new_file",
    "hdf5_rules": "files.hdf5_rules",
    "identity": "runs.identity",
    "initialisation": "training.initialisation",
    "jit": "machine.jit",
    "loop": "training.loop",
    "losses": "training.losses",
    "notes": "training.notes",
    "operating_point": "chip.operating_point",
    "placement": "chip.placement",
    "prepared": "runs.plan",
    "printable": "text",
    "progress": "training.progress",
    "random_streams": "checks.random_streams",
    "readout": "chip.readout",
    "recording": "runs.recorder",
    "rundir": "runs.folder",
    "rundir_state": "runs.folder_state",
    "scratch": "files.scratch",
    "session_file": "substrate.recording.file",
    "session_guard": "substrate.guard",
    "session_journal": "substrate.recording.journal",
    "session_recording": "substrate.recording.record",
    "session_writer": "substrate.recording.writer",
    "silent_neurons": "training.silent_neurons",
    "tensors": "checks.tensors",
    "time_limit": "substrate.time_limit",
    "training_inputs": "training.inputs",
    "training_options": "training.options",
    "training_state": "training.state",
    # ``from hxloop.ttfs import kernels`` asks for them below the new name of the package.
    "engine.engine": "engine.layer",
    "engine.kernels": "engine.compiled.interface",
    "engine.parameters": "network.parameters",
    "engine.threads": "engine.compiled.threads",
    "ttfs": "engine",
    "ttfs.compiled": "engine.compiled",
    "ttfs.compiled.backward": "engine.compiled.backward",
    "ttfs.compiled.forward": "engine.compiled.forward",
    "ttfs.compiled.forward_unequal": "engine.compiled.forward_unequal",
    "ttfs.compiled.membrane": "engine.compiled.membrane",
    "ttfs.compiled.psp": "engine.compiled.psp",
    "ttfs.compiled.two_currents": "engine.compiled.two_currents",
    "ttfs.compiled.vectors": "engine.compiled.vectors",
    "ttfs.crossing": "engine.crossing",
    "ttfs.engine": "engine.layer",
    "ttfs.gradient": "engine.gradient",
    "ttfs.kernels": "engine.compiled.interface",
    "ttfs.parameters": "network.parameters",
    "ttfs.psp": "engine.psp",
    "ttfs.reference": "engine.reference",
    "ttfs.threads": "engine.compiled.threads",
    "weights_file": "network.weights_file",
}


class _Moved(InspectLoader):
    """Loads a module under its old name: the one of the new name, as it is."""

    def __init__(self, now: str) -> None:
        self._now = now
        self._own: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._now)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # which the import system has just replaced

    def get_code(self, fullname: str) -> CodeType | None:
        """For ``python -m``."""
        spec = importlib.util.find_spec(self._now)
        loader = spec.loader if spec else None
        return loader.get_code(self._now) if isinstance(loader, InspectLoader) else None

    def get_source(self, fullname: str) -> str | None:
        spec = importlib.util.find_spec(self._now)
        loader = spec.loader if spec else None
        return loader.get_source(self._now) if isinstance(loader, InspectLoader) else None


class _MovedFinder(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where a module of an old name is now; None: no old name."""
        now = MOVED.get(fullname.removeprefix("hxloop.")) if "." in fullname else None
        return None if now is None else ModuleSpec(fullname, _Moved(f"hxloop.{now}"))


def install() -> None:
    """Make old names importable."""
    if not any(isinstance(finder, _MovedFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _MovedFinder())
