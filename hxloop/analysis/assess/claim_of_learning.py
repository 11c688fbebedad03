"""The claim that what was found is learned: the trained state against the untrained one.

Not "found after training, not found before": of two states between which nothing happened one
can pass a threshold and the other not. Each claim's number is compared between the states itself,
and counts as learned only where it is larger, in the claimed direction, by a test of that
difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hxloop.analysis.assess.claim import FOUND, NOT_FOUND, UNKNOWN, Claim, MeasuredState, unknown
from hxloop.analysis.measures import statistics
from hxloop.analysis.measures.options import AnalysisOptions

_WORDS = {
    "absent before": "Not found before training",
    "stronger after": "there before, but stronger after",
    "not learned": "not stronger after training than before",
}


def learned(
    trained: MeasuredState,
    untrained: MeasuredState | None,
    after: Sequence[Claim],
    before: Sequence[Claim] | None,
    options: AnalysisOptions,
) -> Claim:
    """Is what was found after training absent, or weaker, before?

    Each claim found after training is "not learned" unless its number differs between the states
    in the claimed direction, with a p-value below ``alpha`` (see ``p_of_difference``); then it is
    "absent before" if it is not found in the untrained state, else "stronger after". The verdict
    is "found" if every one is absent before or stronger after, and its p-value the largest of
    theirs. ``value`` is the fraction that is.

    Args:
        trained: the state after training.
        untrained: that before; None = not recorded.
        after: claims on the trained state that say more with training than without.
        before: the same ones on the untrained state.
        options: see ``AnalysisOptions``.
    """
    if untrained is None or before is None:
        return unknown("learned", "no untrained state was recorded")
    same = np.array_equal(trained.labels, untrained.labels)
    outcome: dict[str, dict[str, Any]] = {}
    for now, then in zip(after, before, strict=True):
        if now.verdict != FOUND or then.verdict == UNKNOWN:
            continue
        sign = -1 if now.key == "reconvergence" else 1
        p_value = p_of_difference(now, then, same, options)
        status = "not learned"
        if sign * (now.value - then.value) > 0 and p_value < options.alpha:
            status = "absent before" if then.verdict == NOT_FOUND else "stronger after"
        outcome[now.key] = {
            "status": status, "trained": now.value, "untrained": then.value,
            "untrained_verdict": then.verdict, "p_value": p_value,
            "untrained_effect_size": then.effect_size, "untrained_p_value": then.p_value,
        }  # fmt: skip
    if not outcome:
        return unknown("learned", "nothing was found after training that could be compared")
    of = {
        status: [
            key.replace("_", " ") for key, entry in outcome.items() if entry["status"] == status
        ]
        for status in _WORDS
    }
    parts = [f"{_WORDS[status]}: {', '.join(keys)}" for status, keys in of.items() if keys]
    fraction = 1 - len(of["not learned"]) / len(outcome)
    text = "; ".join(parts)
    names = ", ".join(key.replace("_", " ") for key in outcome)
    return Claim(
        "learned",
        FOUND if fraction == 1 else NOT_FOUND,
        text[0].upper() + text[1:] + "." + _width_of_input(outcome, after[0], before[0]),
        "fraction of what was found that is absent or weaker before training",
        value=fraction,
        p_value=max(entry["p_value"] for entry in outcome.values()),
        test="the numbers of the trained and of the untrained state compared, "
        + ("sample by sample" if same else "as independent groups")
        + "; the largest of the p-values",
        n=len(outcome),
        details={"by_claim": outcome},
        of=f"{len(outcome)} of the {len(after)} claims that training could change, those found "
        f"after it: {names}",
    )


def p_of_difference(now: Claim, then: Claim, same: bool, options: AnalysisOptions) -> float:
    """P-value of the difference between two states of what a claim rests on.

    Numbers of samples are compared pair by pair where both states hold the same samples, else
    between groups (two-sided). Where there is a null model, the difference must also be larger
    than those of its draws; the larger p-value counts. Resampled statistics are compared as
    independent ones, which for the same samples errs to the safe side.

    Args:
        now: the claim on one state.
        then: the same on the other.
        same: whether the states hold the same samples.
        options: see ``AnalysisOptions``.
    """
    rng = np.random.default_rng((options.seed, 9))
    found = [1.0 / (1 + options.n_permutations)]
    if now.values is not None and then.values is not None:
        if same and now.values.shape == then.values.shape:
            test = statistics.paired_permutation_test(
                now.values - then.values, rng, n_resamples=options.n_permutations
            )
        else:
            few = min(999, options.n_permutations)
            test = statistics.two_sample_permutation_test(
                now.values, then.values, rng, n_resamples=few
            )
        found.append(test.p_value)
    if now.resamples is not None and then.resamples is not None:
        difference = now.resamples - rng.permutation(then.resamples)
        found.append(statistics.p_value_against(0.0, -difference))
    if now.null is not None and then.null is not None:
        n = min(len(now.null), len(then.null))
        found.append(
            statistics.p_value_against(now.value - then.value, now.null[:n] - then.null[:n])
        )
    known = [p for p in found if not np.isnan(p)]
    return max(known) if len(known) > 1 else 1.0


def _width_of_input(outcome: Mapping[str, Any], now: Claim, then: Claim) -> str:
    """Why early layers can seem to spread as much before training; "" if not for this reason."""
    if outcome.get(now.key, {}).get("status") != "not learned":
        return ""
    wide, narrow = (claim.details["shorth_by_layer"][0] for claim in (now, then))
    many, all_of_them = (claim.details["causal_input_spikes"] for claim in (now, then))
    if not (narrow < wide / 10 and all_of_them > many):
        return ""
    return (
        f" Before training the network waits for {all_of_them:.0f} input spikes (after: "
        f"{many:.0f}), most of them the background's, all at one time: beside a causal input of "
        f"width {narrow:.2g} (after: {wide:.2g}) every layer is wide."
    )
