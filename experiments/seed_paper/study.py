"""The published spike times, analysed: what do they say about the paper's claims?

Spike times of one network before and after training come with arXiv 2508.12975; they are not
part of this repository. Nothing is trained. All numbers are computed here from these data; no
figure of the paper is known here, nor whether the paper uses the same measures.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.report.curves import separability_curves, spread_curves
from hxloop.analysis.report.static import panels, style
from hxloop.analysis.run import analyse_recording
from hxloop.errors import ConfigError, MissingDataError, RunInputError
from hxloop.experiments.seed_paper.networks import measure_networks
from hxloop.experiments.seed_paper.networks_table import networks_figure, networks_table
from hxloop.experiments.study_parts import run_of_study, save_figure, study_folder, study_options
from hxloop.runs.config import ExperimentConfig
from hxloop.training.events import AllOf

# Mean causal shorth after training, from the input to layer 4, as a second program computed it,
# written independently of this one, from the same published spike times.
SECOND_PROGRAM = (0.037, 0.086, 0.108, 0.029, 0.012)


@dataclass(frozen=True)
class StudyOptions:
    """The ``[study]`` table.

    Attributes:
        name: of the study; the experiment's name by default.
        file: the published spike times, below ``HXLOOP_DATA_DIR``.
        networks: files of all networks that are put beside each other, in the same folder.
        analysis: how much is computed, see ``AnalysisOptions``.
    """

    name: str = "seed-paper"
    file: str = "seed_paper/fourlayer_dale_seed1.npz"
    networks: tuple[str, ...] = ()
    analysis: Mapping[str, Any] = field(default_factory=dict)

    def analysis_options(self, seed: int) -> AnalysisOptions:
        """Options of the analysis.

        Raises:
            ConfigError: unknown keys or values out of range.
        """
        try:
            return AnalysisOptions(**{"seed": seed, **self.analysis})
        except (TypeError, RunInputError) as error:
            raise ConfigError(f"study.analysis: {error}") from error

    def paths(self) -> list[Path]:
        """Where the spike times are: the file, then those of all networks.

        Raises:
            MissingDataError: one of them is nowhere.
        """
        return [_found(file) for file in (self.file, *self.networks)]


def _found(file: str) -> Path:
    folder = os.environ.get("HXLOOP_DATA_DIR")
    if folder and (Path(folder) / file).is_file():
        return Path(folder) / file
    looked = "HXLOOP_DATA_DIR is not set"
    if folder:
        looked = f"looked for {Path(folder) / file}"
    raise MissingDataError(
        f"spike times published with arXiv 2508.12975: not found ({looked}). They come from "
        "the repository JulianGoeltz/fastAndDeep, branch WeHaveToGoDeeper (fourlayer_dale_seed1 is "
        "its network mnist_fourlayer_seed1_daleslaw); put them into an .npz file as "
        f"hxloop.activity.formats.plain describes it, as {file} below the "
        "folder HXLOOP_DATA_DIR."
    )


@run_of_study
def run(config: ExperimentConfig, out: Path, force: bool, events: AllOf) -> dict[str, Any]:
    """Analyse the published spike times.

    Args:
        config: ``[study]`` as in ``StudyOptions``; nothing else of it matters.
        out: study folder: ``results.json``, ``results.md``, ``figure.png`` and ``analysis/`` with
            the report.
        force: start anew in a folder that holds another study.
        events: who watches; told in words what is done next.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: a configuration that is not valid.
        MissingDataError: the spike times are not on this machine.
        OutputError: ``out`` holds something else.
    """
    options = study_options(StudyOptions, config)
    chosen, (source, *others) = options.analysis_options(config.seed), options.paths()
    folder = study_folder(config, out, force)
    if (folder.path / "results.json").is_file():
        return folder.read_json("results.json")
    found = analyse_recording(
        source, folder.path / "analysis", name=config.name, options=chosen, say=events.news
    ).analysis
    results = summary(config, found)
    results["networks"] = measure_networks(others, chosen, events.news)
    folder.write_text("results.md", markdown(results))
    _write_figure(found, folder.path / "figure.png")
    if others:
        with style():
            save_figure(networks_figure(results["networks"]), folder.path / "networks.png", dpi=200)
    # Last: with it, the study is done, and another call only reads it.
    folder.write_json("results.json", results)
    return results


def summary(config: ExperimentConfig, analysis: Mapping[str, Any]) -> dict[str, Any]:
    """The main numbers of an analysis.

    Args:
        config: the experiment.
        analysis: the result of ``analyse``.
    """
    states: dict[str, Any] = {}
    for name, state in analysis["states"].items():
        layers = analysis["synchrony"][name]["layers"]
        separability = analysis["separability"][name]["layers"]
        states[name] = {
            "accuracy": state["accuracy"],
            "decision_time": state["decision_time"],
            "causal_shorth": [layer["causal"]["shorth"] for layer in layers],
            "interval": [layer["intervals"]["causal"]["shorth"] for layer in layers],
            "causal_spikes": [layer["causal"]["n_spikes"] for layer in layers],
            "readout_times": [layer["readout_times"]["value"] for layer in separability],
            "silhouette_times": [layer["silhouette_times"]["value"] for layer in separability],
        }
    keys = (
        "key", "statement", "verdict", "of", "sentence", "value", "low", "high", "p_value", "test",
    )  # fmt: skip
    return {
        "experiment": config.name,
        "samples": analysis["states"][analysis["roles"]["trained"]]["n_samples"],
        "layer_names": list(analysis["layer_names"]),
        "second_program": list(SECOND_PROGRAM),
        "states": states,
        "claims": [{key: claim[key] for key in keys} for claim in analysis["claims"]],
    }


def markdown(results: Mapping[str, Any]) -> str:
    """Tables of the results: the spread by layer, the claims, and all networks."""
    before, after = results["states"]["untrained"], results["states"]["trained"]
    lines = [
        "| layer | second program | trained | 95 % interval | untrained | read-out (%) | "
        "silhouette |",
        "|---|---|---|---|---|---|---|",
    ]
    for index, name in enumerate(results["layer_names"]):
        known = results["second_program"][index : index + 1]
        low, high = after["interval"][index]
        lines.append(
            f"| {name} | {known[0] if known else '–'} | {after['causal_shorth'][index]:.3f} "
            f"| {low:.3f} to {high:.3f} | {before['causal_shorth'][index]:.3f} "
            f"| {100 * after['readout_times'][index]:.1f} "
            f"| {after['silhouette_times'][index]:.2f} |"
        )
    lines += ["", "| claim | verdict | of what | measured |", "|---|---|---|---|"]
    lines += [
        f"| {claim['statement']} | {claim['verdict']} | {claim['of']} | {claim['sentence']} |"
        for claim in results["claims"]
    ]
    text = "\n".join(lines) + "\n"
    if networks := results["networks"]:
        text += "\n" + networks_table(networks)
    return text


def _write_figure(analysis: Mapping[str, Any], path: Path) -> None:
    spread, separability = spread_curves(analysis), separability_curves(analysis)
    by_name = {entry.name: entry for entry in [*spread, *separability]}
    names = (
        "shortest half (shorth), spikes before the decision",
        "number of spikes, spikes before the decision",
        "linear read-out of spike times",
        "silhouette, spike times",
    )
    with style():
        save_figure(panels([by_name[name] for name in names]), path, dpi=200)
