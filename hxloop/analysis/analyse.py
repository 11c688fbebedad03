"""The whole analysis of recorded states: what goes into ``analysis.json``.

Keys, with ``E`` for an estimate ``{value, low, high, n}`` and its confidence interval. What is not
defined is null, infinity is the text "inf". Lists of layers go from the input to the output.
Measures are those of ``hxloop.analysis.measures.shipped`` and of other packages (entry points
``hxloop.measures``), which stand beside them under their keys.

- ``format``, ``version``, ``options`` (see ``AnalysisOptions``), ``layer_names``, ``layer_sizes``,
  ``class_names`` (by label; empty where classes have none), ``roles``: ``{trained, untrained}``,
  names of states, the second may be null; ``reads``: for each part of the analysis whether it
  reads "all" spikes or "first" ones, where neurons spike more than once (see
  ``hxloop.analysis.measures.all_spikes``).
- ``states.<state>``: ``n_samples, epoch, split, classes, accuracy, undecided, decision_time``
  (mean over samples), ``decision_rule`` (in words), ``decision_reads`` ("first" spikes of the
  output, all "spikes", or its "membrane"), ``silent_fraction`` of each layer, ``spike_again``:
  names of the layers of which neurons spike more than once, ``missing``: what could not be
  measured, and why.
- ``synchrony.<state>.layers``, of all spikes: ``name, n_neurons``; ``causal`` (those up to the
  decision, see ``hxloop.analysis.measures.all_spikes``) and ``all``: means over samples of
  ``n_spikes, median, std, iqr, shorth, packet_a, packet_share`` (a over neurons), ``packet_sigma``,
  and of equally many spikes (see ``hxloop.analysis.measures.matched``) ``matched_sigma,
  matched_shorth``; ``intervals``: confidence intervals ``[low, high]`` of these; ``bands``: their
  quartiles over samples; ``by_class``: the means of each class; ``spike_contrast``; ``null``:
  causal shorth of evenly spread (``uniform``) and of ``jittered`` spikes, and with each neuron's
  spikes permuted among the samples of a class (``class_permuted``), with ``p_value`` and
  ``dominance`` of the difference, and the E of ``ratio``, observed over null.
- ``separability.<state>``, of first spikes: ``layers`` null and ``reason``, or ``classes``, numbers
  of samples, and ``layers``: ``name``; E of ``readout_times, readout_active, class_mean_times,
  class_mean_active, neighbour_times`` (accuracies), ``silhouette_relative`` (the primary one, see
  ``hxloop.analysis.measures.relative_times``), ``silhouette_times, silhouette_active,
  van_rossum_contrast``
  (``(between - within)/(between + within)``), ``overlap`` (Jaccard of causally active
  populations); ``within, between``: mean van Rossum distances; ``overlap_matrix``; ``null``: with
  shuffled labels. "times" are those of the whole sample, "active" is who spiked by the decision.
- ``pathways.<state>``: ``from_weights`` and ``from_runs`` null and ``reason``, or ``classes,
  fraction, lost_credit`` and the two, with ``layers`` (without the output): ``name,
  distinctness`` (a number from weights, E from runs), ``corrected`` (from runs, see
  ``PathwayMeasures.corrected``), ``overlap_matrix``, ``n_members`` (fewest neurons with
  ``fraction`` of the credit), ``strongest`` (for each class ``[[neuron, credit], ...]``),
  ``null``: with shuffled labels, and with shuffled weights (mean of ``draws``, ``difference``:
  observed minus that); ``label_share`` (see ``hxloop.analysis.measures.label_sets``; null, or
  ``fraction, layers``: E of ``share, chance, others, beyond_chance, beyond_others``, ``n_spikes,
  set_sizes, null``); ``from_runs.flows``: for each class and layer ``[[pre, post, share], ...]``
  to draw.
- ``claims``: see ``Claim``, one for each of ``STATEMENTS``.
- ``overview``: the main measures as tables ``[state][layer]``: over training, over substrates.
- ``comparisons``: for every other state than the trained one the difference of causal shorth in
  each layer, with test and effect size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import numpy as np

from hxloop.activity import RecordedActivity
from hxloop.analysis.assess import claims, summary
from hxloop.analysis.assess.across_states import compare, overview
from hxloop.analysis.assess.claim import MeasuredState
from hxloop.analysis.assess.pathway_summary import pathways_summary
from hxloop.analysis.measures import (
    all_spikes,
    pathway_measures,
)
from hxloop.analysis.measures import (
    measured as measures,
)
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.measures.statistics import Array
from hxloop.errors import RunInputError

FORMAT = "hxloop-analysis"
VERSION = 1


def analyse(
    states: Sequence[RecordedActivity],
    *,
    trained: str | None = None,
    untrained: str | None = None,
    options: AnalysisOptions | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Answer the paper's questions about recorded states of one network.

    States are before and after training, after several epochs, or of several substrates; all are
    measured alike, in the order given.

    Args:
        states: at least one, of networks with the same layers; names differ.
        trained: the state that the claims are about; None = that named "trained", else the last.
        untrained: the state before training; None = that named "untrained", else that of epoch
            0, else none.
        options: how much is computed.
        progress: is told what is being done.

    Returns:
        The content of ``analysis.json``: plain values, NaN as None.

    Raises:
        RunInputError: no state, two of one name, other layers, a role that no state has.
    """
    import scipy.linalg  # noqa: F401  # brings its own BLAS, which must be there to be limited
    from threadpoolctl import threadpool_limits

    chosen = options or AnalysisOptions()
    _check_states(states)
    with threadpool_limits(1, "blas"):  # more threads than free cores make BLAS ten times slower
        return _analyse(states, *_roles(states, trained, untrained), chosen, progress)


def _analyse(
    states: Sequence[RecordedActivity],
    after: str,
    start: str | None,
    chosen: AnalysisOptions,
    progress: Callable[[str], None] | None,
) -> dict[str, Any]:
    measured: dict[str, MeasuredState] = {}
    result: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "options": asdict(chosen),
        "roles": {"trained": after, "untrained": start},
        "reads": all_spikes.READS,
        "layer_names": states[0].layer_names,
        "layer_sizes": states[0].sizes,
        "class_names": next((list(s.class_names) for s in states if s.class_names), []),
        **{key: {} for key in ("states", "synchrony", "separability", "pathways")},
    }
    for number, state in enumerate(states, 1):
        if progress is not None:
            progress(f"measuring {state.name}{_place(number, len(states))}")
        measured[state.name] = measure_state(state, chosen)
        for key, entry in _summaries(state, measured[state.name], chosen).items():
            result[key][state.name] = entry
    before = None if start is None else measured[start]
    if progress is not None:
        progress("testing the claims")
    tested = claims.assess(measured[after], before, chosen)
    result["claims"] = [summary.claim_summary(claim) for claim in tested]
    result["overview"] = overview(states, measured)
    result["comparisons"] = [
        compare(measured[after], other, chosen) for name, other in measured.items() if name != after
    ]
    plain: dict[str, Any] = summary.plain(result)
    return plain


def _summaries(
    state: RecordedActivity, found: MeasuredState, chosen: AnalysisOptions
) -> dict[str, Any]:
    """What is told of one state, by the part of the analysis."""
    return {
        "states": describe(state, found),
        "synchrony": summary.synchrony_summary(
            found.synchrony, state.layer_names, state.sizes, state.labels, chosen
        ),
        "separability": {"layers": None, "reason": found.reasons["separability"]}
        if found.separability is None
        else summary.separability_summary(
            found.separability, state.layer_names, np.unique(state.labels).tolist(), chosen
        ),
        "pathways": {"from_weights": None, "from_runs": None, "reason": found.reasons["pathways"]}
        if found.pathways is None or state.weights is None
        else pathways_summary(found.pathways, state.weights, state.layer_names, chosen),
    }


def measure_state(state: RecordedActivity, options: AnalysisOptions) -> MeasuredState:
    """All measures of one state; what cannot be measured is None, with the reason.

    Args:
        state: what was recorded.
        options: see ``AnalysisOptions``.
    """
    reasons = {} if (flat := all_spikes.why_no_depth(state)) is None else {"depth": flat}
    layers, trains = _layers(state), (state.inputs, *state.spikes)
    decided = all_spikes.when_decided(state)
    t_end = all_spikes.observed(state)
    # The three are independent, each with a random generator of its own.
    with ThreadPoolExecutor(3) as pool:
        spread = pool.submit(
            measures.measure_synchrony, layers, decided, options, trains, state.labels
        )
        separability = pathways = None
        if (np.unique(state.labels, return_counts=True)[1] >= 2).sum() < 2:
            reasons["separability"] = "it takes at least two samples of each of two classes"
        else:
            separability = pool.submit(
                measures.measure_separability, layers, decided, state.labels, t_end, options
            )
        undefined = all_spikes.why_no_pathways(state)
        if state.weights is None or undefined is not None:
            reasons["pathways"] = undefined or "the recording holds no weights"
        else:
            neurons = (
                [] if state.network is None else [spec.neuron for spec in state.network.layers]
            )
            taus = [(neuron.tau_mem, neuron.tau_syn) for neuron in neurons] or None
            pathways = pool.submit(
                pathway_measures.measure_pathways,
                layers,
                state.weights,
                state.decisions,
                taus,
                options,
                state.labels,
            )
    return MeasuredState(
        state.name,
        state.layer_names,
        spread.result(),
        None if separability is None else separability.result(),
        None if pathways is None else pathways.result(),
        reasons,
        state.labels,
    )


def describe(state: RecordedActivity, measured: MeasuredState) -> dict[str, Any]:
    """What a state holds: samples, classes, decisions."""
    decided = all_spikes.when_decided(state)
    known = decided[np.isfinite(decided)]
    times = (state.input_times, *state.layer_times)
    return {
        "n_samples": len(state),
        "epoch": state.epoch,
        "split": state.split,
        "decision_rule": state.decision_rule,
        "decision_reads": state.decision_reads,
        "classes": np.unique(state.labels),
        "accuracy": state.accuracy,
        "undecided": int((state.decisions < 0).sum()),
        "decision_time": float(known.mean()) if len(known) else None,
        "silent_fraction": [float(np.isinf(layer).mean()) for layer in times],
        "spike_again": all_spikes.layers_that_spike_again(state),
        "missing": dict(measured.reasons),
    }


def _place(number: int, total: int) -> str:
    """Which of several states it is; nothing for one or two."""
    return f", {number} of {total} states" if total > 2 else ""


def _layers(state: RecordedActivity) -> tuple[Array, ...]:
    return tuple(
        np.asarray(times, dtype=np.float64) for times in (state.input_times, *state.layer_times)
    )


def _check_states(states: Sequence[RecordedActivity]) -> None:
    if not states:
        raise RunInputError("states: expected at least one; got none")
    names = [state.name for state in states]
    if len(set(names)) != len(names):
        raise RunInputError(f"states: expected different names; got {names}")
    for state in states:
        if state.sizes != states[0].sizes:
            raise RunInputError(
                f"states: expected one network; {names[0]!r} has layers of {states[0].sizes} "
                f"neurons, {state.name!r} of {state.sizes}"
            )


def _roles(
    states: Sequence[RecordedActivity], trained: str | None, untrained: str | None
) -> tuple[str, str | None]:
    """Names of the trained and of the untrained state."""
    names = [state.name for state in states]
    for role, name in (("trained", trained), ("untrained", untrained)):
        if name is not None and name not in names:
            raise RunInputError(f"{role}: expected one of {names}; got {name!r}")
    starts = [state.name for state in states if state.epoch == 0]
    if trained is None:
        trained = "trained" if "trained" in names else names[-1]
    if untrained is None:
        candidates = (["untrained"] if "untrained" in names else []) + starts
        untrained = next((name for name in candidates if name != trained), None)
    if trained == untrained:
        raise RunInputError(f"trained, untrained: expected two states; got {trained!r} for both")
    return trained, untrained
