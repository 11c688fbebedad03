"""What deep networks learn: the claims of arXiv 2508.12975, tested on networks trained here.

Networks with four and with eight hidden layers are trained with Dale's law from several seeds, and
one in the loop on an emulated chip; all layers are recorded before, during and after training and
analysed. A trained network is then recorded on other substrates, and robbed of the neurons that
one class relies on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hxloop.activity import read_activity
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.run import analyse_recording
from hxloop.errors import FileFormatError
from hxloop.experiments.study_parts import (
    Study,
    empty_results,
    on_backend,
    run_of_study,
    study_options,
)
from hxloop.experiments.synchronization.figure import write_figure
from hxloop.experiments.synchronization.options import ON_CHIP, StudyOptions
from hxloop.experiments.synchronization.tables import markdown_tables
from hxloop.experiments.synchronization.trained_network import on_substrates, without_pathways
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.folder import RunDirectory
from hxloop.runs.recorder import FINAL
from hxloop.runs.run import prepare
from hxloop.training.events import AllOf
from hxloop.training.progress import Steps


@run_of_study
def run(config: ExperimentConfig, out: Path, force: bool, events: AllOf) -> dict[str, Any]:
    """Run the study, or what is missing of it.

    Args:
        config: the deep network, its training and what of it is logged; ``[study]`` as in
            ``StudyOptions``.
        out: study folder: ``results.json``, ``results.md``, ``figure.png``, and a run folder with
            ``activity.h5`` for every training.
        force: start anew in a folder that holds another study.
        events: who watches; told in words what is done next.

    Returns:
        What ``results.json`` holds.

    Raises:
        ConfigError: a configuration that is not valid.
        OutputError: ``out`` holds something else.
        TrainingInterrupted: stopped on request; another call goes on.
    """
    options = study_options(StudyOptions, config)
    study = Study.open(
        config, out, options, {"networks": {}}, markdown_tables,
        force=force, events=events,
    )  # fmt: skip
    results = study.results
    parts = _parts(config, options)
    known = len(results["networks"]) + ("substrates" in results) + ("ablation" in results)
    steps = Steps(events.news, len(parts) + 2, known)
    for name, part in parts.items():
        if name in results["networks"]:
            continue
        steps.begin(f"{name}: training")
        trained = study.train(name, prepare(part))
        events.news(f"{name}: analysis")
        results["networks"][name] = _analysed(
            study.path / name, None, name, config, part, trained.test.accuracy, events.news
        )
        study.save()
    first = f"deep-{options.seeds[0]}"
    prepared = prepare(parts[first])
    trained_state = read_activity(study.path / first, states=["trained"])["trained"]
    weights = study.weights(first, prepared)
    prepared = replace(prepared, weights=weights)
    if "substrates" not in results:
        steps.begin(f"{first}: the network on other substrates")
        results["substrates"] = on_substrates(prepared, trained_state, options, events.news)
        study.save()
    if "ablation" not in results:
        steps.begin(f"{first}: silencing what each class relies on")
        results["ablation"] = without_pathways(prepared, trained_state, options)
        study.save()
    study.finish()
    write_figure(results, study.path / "figure.png")
    return results


def analyse_again(
    config: ExperimentConfig,
    folder: Path,
    out: Path | None = None,
    *,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Analyse the finished trainings of a study anew, from their activity logs; train nothing.

    For results of an earlier version, and while a study goes on: what is not finished yet is left
    out. Substrates and ablation, which take more than logs, stay as they are in ``folder``.

    Args:
        config: that of ``folder``.
        folder: of the study; not changed where ``out`` is another one.
        out: folder for ``results.json``, ``results.md``, ``figure.png`` and the reports; None =
            ``folder``, whose results are replaced.
        say: told in words what is done next.

    Returns:
        What ``results.json`` holds.

    Raises:
        FileFormatError: no training of the study is finished, or a log is damaged.
        OutputError: ``out`` cannot be written.
    """
    options = study_options(StudyOptions, config)
    target = RunDirectory(out or folder)
    old: dict[str, Any] = {}
    if (folder / "results.json").is_file():
        old = RunDirectory(folder).read_json("results.json")
    results = {**empty_results(config, options, {}), **old, "networks": {}}
    for name, part in _parts(config, options).items():
        run = RunDirectory(folder / name)
        if not (run.path / "evaluation.json").is_file() or not run.activity.is_file():
            say(f"{name}: not finished, left out")
            continue
        report = None if out is None else out / name / "analysis"
        accuracy = run.read_json("evaluation.json")["test_accuracy"]
        results["networks"][name] = _analysed(run.path, report, name, config, part, accuracy, say)
        target.path.mkdir(parents=True, exist_ok=True)
        target.write_json("results.json", results)
        target.write_text("results.md", markdown_tables(results))
    if not results["networks"]:
        raise FileFormatError(
            f"{folder}: expected a study with a finished training (evaluation.json and "
            f"activity.h5); found none of {', '.join(_parts(config, options))}"
        )
    if any(name.startswith("deep-") for name in results["networks"]):
        write_figure(results, target.path / "figure.png")
    return results


def _analysed(
    run: Path,
    report: Path | None,
    name: str,
    config: ExperimentConfig,
    part: ExperimentConfig,
    accuracy: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Analyse a finished training; what the results keep of it."""
    analysis = analyse_recording(
        run,
        report,
        name=name,
        options=AnalysisOptions(seed=config.seed),
        say=lambda text: say(f"{name}: {text}"),
    ).analysis
    for claim in analysis["claims"]:
        say(f"  {claim['verdict']}: {claim['sentence']}")
    return {"test_accuracy": accuracy, "epochs": part.training.epochs, **_kept(analysis)}


def _parts(config: ExperimentConfig, options: StudyOptions) -> dict[str, ExperimentConfig]:
    """The configuration of every training by name."""
    base = on_backend(config, config.backend.name, config.backend.options)
    parts = {f"deep-{seed}": base.model_copy(update={"seed": seed}) for seed in options.seeds}
    shape = {"hidden": options.eight, "n_inhibitory": options.eight_inhibitory}
    for seed in options.eight_seeds if options.eight else ():
        network = base.network.model_copy(update=shape)
        parts[f"eight-{seed}"] = base.model_copy(update={"seed": seed, "network": network})
    if options.chip_epochs:
        chip = on_backend(config, "emulated-chip", {**ON_CHIP, "chip": options.chip})
        training = chip.training.model_copy(update={"epochs": options.chip_epochs})
        logged = tuple(
            epoch
            for epoch in chip.activity.epochs
            if epoch == FINAL or int(epoch) <= options.chip_epochs
        )
        activity = chip.activity.model_copy(update={"epochs": logged})
        seed = options.seeds[0]
        parts["chip"] = chip.model_copy(
            update={"seed": seed, "training": training, "activity": activity}
        )
    return parts


def _kept(analysis: Mapping[str, Any]) -> dict[str, Any]:
    """What tables and figure need of an analysis; the whole is in the folder of the training."""
    trained = analysis["roles"]["trained"]
    return {
        **{key: analysis[key] for key in ("roles", "layer_names", "claims", "overview")},
        "bands": [
            layer["bands"]["causal"]["shorth"] for layer in analysis["synchrony"][trained]["layers"]
        ],
        "null_silhouette": [
            layer["null"]["silhouette_times"]["value"]
            for layer in analysis["separability"][trained]["layers"]
        ],
    }
