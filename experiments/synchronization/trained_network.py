"""What is done with a trained network: recorded on other substrates, robbed of its pathways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from hxloop.activity import RecordedActivity
from hxloop.analysis.analyse import analyse
from hxloop.analysis.assess.ablation import ablation_study
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.pathways import class_pathways, pathways_from_runs
from hxloop.errors import ConfigError, MissingDependencyError
from hxloop.experiments.synchronization.options import ON_CHIP, SUBSTRATES, StudyOptions
from hxloop.runs.run import Prepared
from hxloop.substrate import get_backend
from hxloop.training.evaluation import EVALUATION_TRIAL


def on_substrates(
    prepared: Prepared,
    recorded: RecordedActivity,
    options: StudyOptions,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """The trained network as it is, recorded on other substrates, and compared."""
    samples, trained_on = slice(0, options.substrate_samples), prepared.config.backend.name
    states, missing = [replace(recorded.select(samples), name=trained_on)], {}
    for name in options.substrates:
        backend, more = SUBSTRATES[name]
        settings = {**ON_CHIP, "chip": options.chip, **more} if backend == "emulated-chip" else more
        say(f"the network on {name}")
        try:
            states.append(_recorded(prepared, name, backend, settings, samples))
        except MissingDependencyError as error:
            missing[name] = str(error)
            say(f"  not run: {error}")
    analysis = analyse(states, trained=trained_on, options=AnalysisOptions(seed=0))
    comparisons = {row["state"]: row["layers"] for row in analysis["comparisons"]}
    return {
        "samples": options.substrate_samples,
        "layer_names": analysis["layer_names"],
        "overview": analysis["overview"],
        "comparisons": comparisons,
        "missing": missing,
    }


def _recorded(
    prepared: Prepared, name: str, backend: str, options: Mapping[str, Any], samples: slice
) -> RecordedActivity:
    data = prepared.data["test"]
    times, labels = np.asarray(data.inputs(samples), np.float64), data.labels[samples]
    with get_backend(backend, **options).open(
        prepared.network, seed=prepared.config.seed
    ) as session:
        activity = session.run(prepared.weights, times, trial=EVALUATION_TRIAL)
    return RecordedActivity(
        name=name,
        input_times=activity.input_times,
        layer_times=activity.first_spike_times,
        labels=labels,
        decisions=prepared.loss.decide(activity.output_times),
        weights=activity.weights_used,
        network=prepared.network,
        runs=(activity.info,),
        decision_rule=prepared.loss.decision_rule,
    )


def without_pathways(
    prepared: Prepared, state: RecordedActivity, options: StudyOptions
) -> dict[str, Any]:
    """Silence what each class relies on, or as many others, in the network itself."""
    part = state.select(slice(0, options.ablation_samples))
    if state.weights is None:
        raise ConfigError("synchronization: the activity log holds no weights")
    taus = [(layer.neuron.tau_mem, layer.neuron.tau_syn) for layer in prepared.network.layers]
    layers = (part.input_times, *part.layer_times)
    credit, _ = pathways_from_runs(layers, state.weights, taus, winners=part.decisions)
    hidden = [class_pathways(table, part.decisions, part.n_outputs) for table in credit[1:]]
    times = np.asarray(part.input_times, dtype=np.float64)
    rng = np.random.default_rng(prepared.config.seed)
    with prepared.open_session() as session:

        def decide(weights: Any) -> Any:
            return prepared.loss.decide(session.run(weights, times).output_times)

        found = ablation_study(state.weights, hidden, decide, part.labels, rng)
    return {"samples": options.ablation_samples, **found}
