"""The words of an analysis report: the summary at its top and its tables, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hxloop.analysis.measures.measure import PATHWAYS, SEPARABILITY, SYNCHRONY
from hxloop.analysis.measures.measure_registry import measures
from hxloop.analysis.report.looks import MS_PER_TAU, UNIT, Analysis, shown_states
from hxloop.page import escape

# Told apart by a sign as well as by a colour.
_BADGES = {
    "found": ("✓", "found"),
    "not found": ("✗", "notfound"),
    "cannot be said": ("?", "unknown"),
}

_TIME = (
    (
        "time",
        "in units of the synaptic time constant τ_syn, from the beginning of the sample; "
        f"milliseconds are for τ_syn = {MS_PER_TAU:g} ms, a convention to compare with biology",
    ),
)
_CAUSAL = (
    ("spike before the decision", "a causal spike: one not later than the decision"),
    (
        "which spikes",
        "where neurons spike more than once, spread, pulse packets and spike contrast read all "
        "spikes, separability reads the first one of each neuron, and pathways are not defined",
    ),
)
_PATHWAY = (
    (
        "pathway",
        "how the credit for a decision spreads over the neurons of a layer when it is traced back "
        "from the winning output through excitatory weights",
    ),
    (
        "label share",
        "semantization: which part of the spikes in a packet are of neurons tied to the sample's "
        "label, that is, of the fewest that hold half of the credit (unless set otherwise) when it "
        "is traced back from the label's output through excitatory weights alone; beside a random "
        "set of as many neurons (chance), the other labels' sets, and shuffled weights",
    ),
)
_OF_ALL = (
    (
        "corrected",
        "distinctness beyond that of shuffled winners, each sample traced anew from the output "
        "neuron of another: 0 = what weights alone and chance give, 1 = no neuron in common",
    ),
    (
        "dominance",
        "effect size: fraction of samples in which a number is larger minus fraction in which it "
        "is smaller; from -1 to 1, negligible below 0.147 in size",
    ),
    ("interval", "95 % confidence interval by bootstrap over samples, unless set otherwise"),
    (
        "p",
        "of a permutation test, named under each claim; p (Holm) is adjusted for their number. It "
        "is over samples, labels or winners of this network: it says nothing of other networks",
    ),
)


def headline(analysis: Analysis) -> str:
    """The outcome in a sentence, plain text."""
    counts = {verdict: 0 for verdict in _BADGES}
    for claim in analysis["claims"]:
        counts[claim["verdict"]] += 1
    parts = [f"{count} {verdict}" for verdict, count in counts.items() if count]
    return f"Of {len(analysis['claims'])} claims: {', '.join(parts)}."


def claims_html(analysis: Analysis) -> str:
    """A card for every claim: verdict, statement, what was measured."""
    cards = []
    for claim in analysis["claims"]:
        sign, kind = _BADGES[claim["verdict"]]
        test = claim["test"]
        if claim["p_adjusted"] is not None:
            test += f"; p (Holm) = {number(claim['p_adjusted'])}"
        cards.append(
            f"<div class='claim {kind}'><div class='verdict'><span>{sign}</span> "
            f"{escape(claim['verdict'])}</div><div><strong>{escape(claim['statement'])}</strong>"
            + (f" <span class='of'>Of {escape(claim['of'])}.</span>" if claim["of"] else "")
            + f"<p>{escape(claim['sentence'].replace('tau_syn', UNIT))}</p>"
            + (f"<p class='small'>Test: {escape(test)}.</p>" if test else "")
            + "</div></div>"
        )
    return (
        f"<p class='headline'>{escape(headline(analysis))}</p><p>{escape(_SOURCE)}</p>"
        + "".join(cards)
    )


def overview_rows(analysis: Analysis) -> list[tuple[str, str]]:
    """(label, text) of what was analysed."""
    rows = [("Network", "-".join(str(size) for size in analysis["layer_sizes"]))]
    for name in shown_states(analysis):
        state = analysis["states"][name]
        parts = [
            f"{state['n_samples']} samples",
            f"{100 * state['accuracy']:.1f} % decided rightly",
        ]
        if state["undecided"]:
            parts.append(f"{state['undecided']} without a decision")
        if state["decision_time"] is not None:
            parts.append(f"decision at {number(state['decision_time'])} τ_syn on average")
        rows.append((name[:1].upper() + name[1:], ", ".join(parts)))
        if state["spike_again"]:
            text = f"neurons spike more than once in {', '.join(state['spike_again'])}"
            rows.append(("", text))
        if state["missing"]:
            text = "; ".join(f"no {what}: {why}" for what, why in state["missing"].items())
            rows.append(("", text))
    return rows


def null_tables(analysis: Analysis) -> str:
    """Every measure beside its null models, a table for each state."""
    parts = []
    for state in reversed(shown_states(analysis)):
        layers = analysis["synchrony"][state]["layers"]
        rows = [
            [
                layer["name"],
                layer["causal"]["shorth"],
                *(
                    layer["null"][null][key]
                    for null in layers[0]["null"]
                    for key in ("shorth", "p_value", "dominance")
                ),
            ]
            for layer in layers
        ]
        head = ["shorth (τ_syn)"]
        for null in layers[0]["null"]:
            head += [_NULLS.get(null, null), "p", "dominance"]
        parts.append(f"<h3>{escape(state)}: spikes before the decision</h3>")
        parts.append(table(["layer", *head], rows))
        if separability := analysis["separability"][state]["layers"]:
            rows = []
            for layer in separability:
                row = [layer["name"]]
                for key, null in layer["null"].items():
                    row += [layer[key]["value"], null["value"], null["p_value"]]
                rows.append(row)
            head = []
            names = {each.key: each.short or each.menu for each in measures(SEPARABILITY)}
            for key in separability[0]["null"]:
                head += [names.get(key, key), "labels shuffled", "p"]
            parts.append(f"<h3>{escape(state)}: separability</h3>")
            parts.append(table(["layer", *head], rows))
        parts.append(_pathway_nulls(analysis, state))
    return "".join(parts)


def comparison_tables(analysis: Analysis) -> str:
    """Each other state against the trained one, layer by layer."""
    parts = []
    for entry in analysis["comparisons"]:
        rows = [
            [
                layer["name"],
                layer["causal_shorth"]["value"],
                interval(layer["causal_shorth"]),
                layer["p_value"],
                layer["effect_size"],
            ]
            for layer in entry["layers"]
        ]
        how = "sample by sample" if entry["paired"] else "as independent groups"
        parts.append(
            f"<h3>{escape(entry['state'])} minus {escape(entry['reference'])}, {how}</h3>"
            + table(["layer", "shorth (τ_syn)", "interval", "p", "effect size"], rows)
        )
    return "".join(parts)


def decision_words(analysis: Analysis) -> str:
    """By which rule was decided, a sentence."""
    rules = {state["decision_rule"] for state in analysis["states"].values()} - {None}
    if not rules:
        return "Decisions are those of the recording, which does not tell by which rule."
    return f"Decided for is {' or '.join(sorted(rules))}."


def glossary_html(analysis: Analysis) -> str:
    """What the words mean."""
    decision = (
        "the first spike of the output neuron decided for, whose class is the network's answer; "
        "the end of the window, where the rule reads more than first spikes. "
        + decision_words(analysis)
    )
    entries = [
        *_TIME,
        ("decision", decision),
        *_CAUSAL,
        *_meanings(SYNCHRONY),
        *_meanings(SEPARABILITY),
        *_PATHWAY,
        *_meanings(PATHWAYS),
        *_OF_ALL,
    ]
    rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in entries)
    return f"<table class='glossary'>{rows}</table>"


def _meanings(group: str) -> list[tuple[str, str]]:
    """What the measures of a group say of themselves."""
    return [(each.term or each.menu, each.meaning) for each in measures(group) if each.meaning]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table of numbers, the first column of names."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(number(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return (
        f"<div class='scroll'><table class='numbers'><thead><tr>{top}</tr></thead><tbody>{body}"
        "</tbody></table></div>"
    )


def number(value: Any) -> str:
    """A number to three digits; what is not defined as a dash; words as they are."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    text = f"{value:.3g}"
    return text.replace("-", "−")


def interval(estimate: Mapping[str, Any]) -> str:
    """``[low, high]``, or a dash."""
    if estimate["low"] is None:
        return "–"
    return f"[{number(estimate['low'])}, {number(estimate['high'])}]"


_SOURCE = (
    "The claims are those of “Synchronization and semantization in deep spiking networks” (arXiv "
    "2508.12975), put to the test on what was recorded here, of this one network. Times are in "
    "τ_syn; numbers in brackets are confidence intervals."
)
_NULLS = {"uniform": "spread evenly", "class_permuted": "permuted within classes"}


def _pathway_nulls(analysis: Analysis, state: str) -> str:
    pathways = analysis["pathways"][state]
    if not pathways["from_runs"]:
        return ""
    rows = []
    for run, weight in zip(
        pathways["from_runs"]["layers"], pathways["from_weights"]["layers"], strict=True
    ):
        mixed, shuffled = run["null"]["label_shuffled"], weight["null"]["weight_shuffled"]
        rows.append(
            [
                run["name"],
                run["distinctness"]["value"],
                interval(run["distinctness"]),
                run["corrected"],
                mixed["value"],
                mixed["p_value"],
                weight["distinctness"],
                shuffled["value"],
                shuffled["p_value"],
            ]
        )
    head = [
        "layer", "distinctness, from runs", "interval", "corrected", "winners shuffled", "p",
        "from weights", "weights shuffled", "p",
    ]  # fmt: skip
    return f"<h3>{escape(state)}: pathways</h3>" + table(head, rows)
