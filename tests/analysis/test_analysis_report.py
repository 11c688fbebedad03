"""The report of an analysis: that it shows the numbers it was given, and opens anywhere."""

from __future__ import annotations

import base64
import copy
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.measure_registry import measures
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.report import curves, looks, pathway_curves, raster
from hxloop.analysis.report import words as words
from hxloop.analysis.report.page import AnalysisReport, analysis_page
from hxloop.analysis.report.pathway_figures import own_neurons, pathway_diagrams
from hxloop.analysis.report.static import DOTS_PER_INCH, packets, style, write_figures
from hxloop.errors import OutputError
from hxloop.page import Section, page, script_data
from tests.analysis.recorded_states import SIZES, all_times, recorded_state

STATES = [
    recorded_state("untrained", 1, 0),
    recorded_state("epoch-001", 2, 1),
    recorded_state("trained", 3, 2),
]
FAST = AnalysisOptions(n_resamples=50, n_permutations=99, n_null=20)


@pytest.fixture(scope="module")
def analysis():
    """Of a training of two epochs."""
    return analyse(STATES, options=FAST)


@pytest.fixture(scope="module")
def substrates():
    """Of two substrates, without weights."""
    found = [recorded_state(name, i, weights=False) for i, name in enumerate(("ideal", "chip"))]
    return analyse(found, options=FAST)


def by_name(found):
    return {entry.name: entry for entry in found}


# --- curves -------------------------------------------------------------------------------


def test_spread_shows_means_intervals_and_the_middle_half(analysis):
    found = by_name(curves.spread_curves(analysis))
    assert len(found) == 18
    entry = found["standard deviation, all spikes"]
    assert entry.ticks == ["input", "layer 1", "layer 2", "output"] and "τ_syn" in entry.y_label
    assert [line.name for line in entry.lines] == ["untrained", "trained"]
    for line in entry.lines:
        for index, layer in enumerate(analysis["synchrony"][line.name]["layers"]):
            assert line.values[index] == layer["all"]["std"]
            assert [line.low[index], line.high[index]] == layer["intervals"]["all"]["std"]
            low, high = line.band
            assert [low[index], high[index]] == layer["bands"]["all"]["std"][::2]


def test_null_models_stand_beside_the_causal_shorth(analysis):
    entry = curves.spread_curves(analysis)[0]
    nulls = {line.name: line.values for line in entry.lines[2:]}
    layers = analysis["synchrony"]["trained"]["layers"]
    assert nulls == {
        "trained, spread evenly until the decision": [
            layer["null"]["uniform"]["shorth"] for layer in layers
        ],
        "trained, jittered by 0.1": [layer["null"]["jittered"]["shorth"] for layer in layers],
        "trained, permuted within classes": [
            layer["null"]["class_permuted"]["shorth"] for layer in layers
        ],
    }


def test_separability_is_shown_beside_chance(analysis):
    found = by_name(curves.separability_curves(analysis))
    assert len(found) == len(measures("separability"))
    chance = {line.name: line for line in found["linear read-out of spike times"].lines}["chance"]
    assert chance.values == [pytest.approx(1 / 3)] * len(SIZES)
    shuffled = {line.name: line for line in found["silhouette, spike times"].lines}
    layers = analysis["separability"]["trained"]["layers"]
    expected = [layer["null"]["silhouette_times"]["value"] for layer in layers]
    assert shuffled["labels shuffled"].values == expected


def test_training_is_shown_epoch_by_epoch(analysis):
    found = by_name(curves.training_curves(analysis))
    shorth = found["shortest half of the spikes before the decision"]
    assert shorth.x == [0, 1, 2] and shorth.x_label == "epoch"
    rows = np.array(analysis["overview"]["causal_shorth"])
    np.testing.assert_array_equal([line.values for line in shorth.lines], rows.T)
    assert found["accuracy"].lines[0].values == analysis["overview"]["accuracy"]


def test_without_epochs_or_weights_there_are_no_such_curves(substrates):
    assert curves.training_curves(substrates) == []
    assert pathway_curves.distinctness_curves(substrates) == []
    assert pathway_diagrams(substrates) == []
    assert looks.shown_states(substrates) == ["chip", "ideal"]  # the last is the trained one
    assert len(set(looks.state_colours(substrates).values())) == 2


@given(st.integers(1, 20))
def test_layers_get_colours_from_dark_to_bright(n_layers):
    def brightness(colour):
        return sum(int(colour[i : i + 2], 16) for i in (1, 3, 5))

    found = [looks.depth_colour(layer, n_layers) for layer in range(n_layers)]
    assert all(re.fullmatch("#[0-9A-F]{6}", colour) for colour in found)
    assert found[0] == looks.DEPTH_COLOURS[0]
    values = [brightness(colour) for colour in found]
    assert values == sorted(values) and values[-1] < 3 * 200


# --- pathways -----------------------------------------------------------------------------


def test_own_neurons_are_those_of_no_other_class():
    layer = {"strongest": [[[4, 0.5], [7, 0.3]], [[7, 0.9]], []]}
    assert own_neurons(layer, 0) == ([4], [7])
    assert own_neurons(layer, 1) == ([], [7])
    assert own_neurons(layer, 2) == ([], [])


def test_a_diagram_holds_the_strongest_neurons_and_connections(analysis):
    name, figure = pathway_diagrams(analysis)[1]
    assert name == "class 1"
    layers = analysis["pathways"]["trained"]["from_runs"]["layers"]
    flows = analysis["pathways"]["trained"]["from_runs"]["flows"][1]
    mine = [trace for trace in figure["data"] if trace.get("xaxis") == "x2"]
    lines = [trace for trace in mine if trace["mode"] == "lines"]
    assert sum(len(trace["x"]) for trace in lines) == 3 * sum(len(edges) for edges in flows)
    points = [trace for trace in mine if trace.get("legendgroup") in ("own", "shared")]
    shown = {(x, y) for trace in points for x, y in zip(trace["x"], trace["y"], strict=True)}
    expected = {
        (depth, (neuron + 0.5) / SIZES[depth])
        for depth, layer in enumerate(layers)
        for neuron, _ in layer["strongest"][1]
    }
    assert shown == expected | {(3, 1.5 / 3)}


# --- the raster ---------------------------------------------------------------------------


def test_raster_holds_the_spikes(analysis):
    data = raster.raster_data(STATES[::2], colours=looks.state_colours(analysis), layout={})
    assert [layer["start"] for layer in data["layers"]] == [0, 30, 50, 70]
    for state, shown in zip(STATES[::2], data["states"], strict=True):
        times = np.concatenate(all_times(state), axis=1)
        packed = np.frombuffer(base64.b64decode(shown["times"]), "<u2").reshape(30, 73)
        chosen = times[[sample["index"] for sample in data["samples"]]]
        np.testing.assert_array_equal(packed == 65535, np.isinf(chosen))
        finite = np.isfinite(chosen)
        # Rounded to the nearest step.
        error = np.abs(packed[finite] * data["step"] - chosen[finite])
        assert error.max() <= 0.5001 * data["step"]
    assert [sample["label"] for sample in data["samples"]] == sorted(STATES[0].labels)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 40))
def test_chosen_samples_are_even_over_classes(labels, most):
    known = np.array(labels)
    chosen = raster.chosen_samples(known, most)
    assert len(chosen) == len(set(chosen.tolist())) == min(most, len(known))
    counts = {label: int((known[chosen] == label).sum()) for label in set(labels)}
    for label, count in counts.items():
        # A class with fewer than another has no more samples to give.
        assert count >= max(counts.values()) - 1 or count == labels.count(label)


def test_preferred_class_is_the_earliest_one():
    times = np.array([[0.1, 3.0, np.inf, np.inf], [0.5, 1.0, np.inf, 2.0]])
    found = raster.preferred_classes(times, np.array([0, 1]), t_end=4.0)
    assert found.tolist() == [0, 1, 2, 1]  # 2 = none


def test_many_samples_make_no_large_page():
    big = recorded_state("trained", 0, n=6000)
    data = raster.raster_data([big], colours={"trained": "#000000"}, layout={})
    assert len(data["samples"]) == raster.MOST_SAMPLES
    assert len(json.dumps(data)) < 20_000


# --- the page -----------------------------------------------------------------------------


def made(analysis, states=STATES) -> str:
    return analysis_page(AnalysisReport("A < B", "of 'x'", analysis, states, {"python": "3"}))


def test_page_needs_nothing_from_elsewhere(analysis):
    content = made(analysis)
    outside = content.partition("<script>")[0]  # what plotly's code holds is another matter
    assert not re.search(r"(src|href)=['\"](?!#|data:)", outside)
    assert "@import" not in outside
    assert content.count("plotly.js v") == 1
    assert "<h1>A &lt; B</h1>" in content
    assert len(content) < 10_000_000


def test_summary_tells_verdicts_sentences_and_numbers(analysis):
    content = words.claims_html(analysis)
    assert content.count("<div class='claim ") == 6
    for claim in analysis["claims"]:
        assert claim["statement"] in content
        assert str(claim["sentence"]).replace("tau_syn", "τ<sub>syn</sub>") in (
            content.replace("&#x27;", "'").replace("&lt;", "<").replace("&gt;", ">")
        )
    changed = copy.deepcopy(analysis)
    for index, claim in enumerate(changed["claims"]):
        claim["verdict"] = ("found", "not found", "cannot be said")[index % 3]
    assert words.headline(changed) == "Of 6 claims: 2 found, 2 not found, 2 cannot be said."


def test_sections_without_content_are_left_out(substrates):
    states = [recorded_state(name, i, weights=False) for i, name in enumerate(("ideal", "chip"))]
    content = made(substrates, states)
    for absent in ("Pathways: which", "Training: the same"):
        assert absent not in content
    assert "no pathways: the recording holds no weights" in content
    assert "ideal minus chip, sample by sample" in content


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0"), (-0.12345, "−0.123"), (12.0, "12"), ("inf", "inf"), (1e-5, "1e−05")],
)
def test_numbers(value, text):
    assert words.number(value) == text


def test_pages_fold_away_and_escape():
    content = page(
        "<t> τ_syn",
        "τ_syn",
        sections=[Section("a&b", "<i>", "<b>bold</b>", "x")],
        details={"D": "<>"},
    )
    assert "<title>&lt;t&gt; τ_syn</title>" in content and "τ<sub>syn</sub></p>" in content
    assert "<section id='x'><h2>a&amp;b</h2><p>&lt;i&gt;</p><b>bold</b></section>" in content
    assert "<summary>D</summary><pre>&lt;&gt;</pre>" in content
    text = script_data("d", {"a": "</script>"})
    assert text.count("</script>") == 1
    assert json.loads(text.partition(">")[2].removesuffix("</script>")) == {"a": "</script>"}
    with pytest.raises(ValueError, match="JSON"):
        script_data("d", float("nan"))


# --- printed figures ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def printed(analysis, tmp_path_factory):
    folder = tmp_path_factory.mktemp("printed") / "figures"
    return {path.name: path for path in write_figures(analysis, STATES[::2], folder)}


def test_every_figure_is_printed_twice(printed):
    names = {
        "raster", "spread", "packets", "separability", "pathways", "pathway_overlap", "training",
    }  # fmt: skip
    assert set(printed) == {f"{name}.{kind}" for name in names for kind in ("svg", "png")}


def test_png_are_fine_enough_and_not_blank(printed):
    for name, path in printed.items():
        if path.suffix == ".png":
            picture = imread(path)
            assert picture.shape[1] >= 1000, name  # 3.5 inches at 300 dots
            assert (picture[..., :3].min(axis=-1) < 0.5).mean() > 0.003, name


def test_letters_in_svg_stay_letters(printed):
    tree = ElementTree.parse(printed["spread.svg"])
    texts = {"".join(node.itertext()).strip() for node in tree.iter() if node.tag.endswith("}text")}
    assert {"layer 1", "untrained", "number of spikes"} <= texts


def test_the_same_analysis_gives_the_same_files(analysis, printed, tmp_path):
    with style():
        again = packets(analysis)
        again.savefig(tmp_path / "again.svg", dpi=DOTS_PER_INCH, metadata={"Date": None})
    assert (tmp_path / "again.svg").read_bytes() == printed["packets.svg"].read_bytes()


def test_a_folder_that_cannot_be_written_is_told(analysis, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_figures(analysis, STATES[::2], tmp_path / "file" / "figures")
