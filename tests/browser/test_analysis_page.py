"""The report of an analysis in a real browser: it draws, it answers, it needs no network."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.report.page import AnalysisReport, write_analysis_report
from hxloop.analysis.report.raster import preferred_classes
from tests.analysis.recorded_states import SIZES, all_times, recorded_state

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None and not os.environ.get("CI"),
    reason="needs a Chromium browser, for example Debian's package chromium",
)
FAST = AnalysisOptions(n_resamples=50, n_permutations=99, n_null=20)
PATIENCE = 300_000  # ms; a few seconds do on an idle machine
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]


@pytest.fixture(scope="module")
def states():
    found = [
        recorded_state("untrained", 1, 0),
        recorded_state("epoch-001", 2, 1),
        recorded_state("trained", 3, 2),
    ]
    return {entry.name: entry for entry in found}


@pytest.fixture(scope="module")
def report(states, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_analysis_report(
        AnalysisReport(
            title="<script>alert(1)</script> & more",
            description="random </script> spikes",
            analysis=analyse(list(states.values()), options=FAST),
            states=[states["untrained"], states["trained"]],
            provenance={},
        ),
        path,
    )
    return path


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=BROWSER, args=ARGUMENTS, timeout=PATIENCE
        )
        yield running
        running.close()


class Opened:
    """A page with what it complained about and asked for."""

    def __init__(self, browser, path):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append("a dialog"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("body[data-drawn]")

    def data(self, plot: str):
        """What plotly draws in an element."""
        script = "id => JSON.parse(JSON.stringify(document.getElementById(id).data))"
        return self.page.evaluate(script, plot)

    def raster(self):
        return [np.array(trace["x"]) for trace in self.data("raster")]


@pytest.fixture(scope="module")
def opened(browser, report):
    return Opened(browser, report)


def test_nothing_is_complained_about_and_nothing_fetched(opened, report):
    assert opened.complaints == []
    assert opened.requests == [report.as_uri()]


def test_every_plot_is_drawn_with_ink(opened):
    plots = opened.page.query_selector_all("div.plot, #raster")
    assert len(plots) == 11
    for plot in plots:
        assert plot.query_selector("svg.main-svg") is not None
        marks = plot.query_selector_all("path.point, path.js-line, g.hm image")
        assert len(marks) >= 5, plot.get_attribute("data-figure")


def test_the_raster_shows_the_spikes_that_were_recorded(opened, states):
    page = opened.page
    page.select_option("#raster-sample", index=4)
    index = int(page.get_attribute("#raster", "data-sample"))
    traces = opened.data("raster")
    assert len(traces) == 2 * len(SIZES) * 2
    for column, name in enumerate(("untrained", "trained")):
        for layer, times in enumerate(all_times(states[name])):
            place = 2 * (column * len(SIZES) + layer)
            shown = sorted(traces[place]["x"] + traces[place + 1]["x"])
            recorded = np.sort(times[index][np.isfinite(times[index])])
            # Times are packed in 65534 steps.
            np.testing.assert_allclose(shown, recorded, atol=3 / 65534)
            decision = states[name].output_times[index].min()
            assert all(t <= decision + 3 / 65534 for t in traces[place]["x"])
            assert all(t > decision - 3 / 65534 for t in traces[place + 1]["x"])


def test_another_sample_is_another_raster(opened):
    page = opened.page
    page.select_option("#raster-sample", index=0)
    first = opened.raster()
    page.click("#raster-next")
    assert page.input_value("#raster-sample") == "1"
    second = opened.raster()
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(first, second, strict=True))
    page.click("#raster-previous")
    for a, b in zip(first, opened.raster(), strict=True):
        np.testing.assert_array_equal(a, b)
    page.click("#raster-previous")
    assert page.input_value("#raster-sample") == "29"


def test_order_and_later_spikes_are_the_readers_choice(opened, states):
    page = opened.page
    page.select_option("#raster-order", "time")
    ordered = opened.data("raster")[0]
    places = np.array(ordered["y"])[np.argsort(ordered["x"])]
    assert (np.diff(places) > 0).all()
    page.select_option("#raster-order", "class")
    hidden = opened.data("raster")[2]
    by_height = np.array(hidden["customdata"])[np.argsort(hidden["y"])]
    shown = [states["untrained"], states["trained"]]
    end = max(t[np.isfinite(t)].max() for entry in shown for t in all_times(entry))
    preferred = preferred_classes(shown[0].layer_times[0], shown[0].labels, end)
    assert (np.diff(preferred[by_height]) >= 0).all() and len(set(preferred[by_height])) == 3
    page.uncheck("#raster-later")
    assert len(opened.data("raster")) == 2 * len(SIZES)
    page.check("#raster-later")
    page.select_option("#raster-order", "index")


def test_the_mouse_tells_a_spike_and_zooms(opened):
    page = opened.page
    point = page.query_selector("#raster path.point")
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_selector("#raster .hoverlayer .hovertext")
    text = page.text_content("#raster .hoverlayer .hovertext")
    assert "neuron" in text and "t = " in text

    before = page.evaluate("document.getElementById('raster').layout.xaxis.range")
    area = page.query_selector("#raster .draglayer .xy .nsewdrag").bounding_box()
    y = area["y"] + area["height"] / 2
    page.mouse.move(area["x"] + 0.2 * area["width"], y)
    page.mouse.down()
    page.mouse.move(area["x"] + 0.5 * area["width"], y, steps=4)
    page.mouse.up()
    page.wait_for_function(
        "end => document.getElementById('raster').layout.xaxis.range[1] < 0.7 * end", arg=before[1]
    )
    # Both columns go together, and stay when another sample is chosen.
    left, right = page.evaluate(
        "['xaxis', 'xaxis2'].map(axis => document.getElementById('raster').layout[axis].range)"
    )
    assert left == right
    page.click("#raster-next")
    assert page.evaluate("document.getElementById('raster').layout.xaxis.range") == left


def test_menus_change_figures(opened):
    menus = opened.page.query_selector_all("select[data-for]")
    assert {menu.get_attribute("data-for") for menu in menus} == {
        "spread", "separability", "pathways", "distinctness", "training",
    }  # fmt: skip
    for menu in menus:
        plot = f"div.plot[data-figure='{menu.get_attribute('data-for')}']"
        script = f'JSON.stringify(document.querySelector("{plot}").data)'
        seen = set()
        for option in range(len(menu.query_selector_all("option"))):
            menu.select_option(index=option)
            seen.add(opened.page.evaluate(script))
        assert len(seen) == option + 1
    assert opened.complaints == []


def test_links_lead_somewhere(opened):
    ids = opened.page.eval_on_selector_all("[id]", "found => found.map(e => e.id)")
    assert len(ids) == len(set(ids))
    links = opened.page.eval_on_selector_all("nav a", "found => found.map(a => a.hash.slice(1))")
    assert len(links) == 8 and set(links) <= set(ids)


def test_text_of_the_report_is_text(opened):
    page = opened.page
    assert page.inner_text("h1") == "<script>alert(1)</script> & more"
    assert page.inner_text("p.lead") == "random </script> spikes"
    claims = page.query_selector_all(".claim")
    assert len(claims) == 6
    assert page.inner_text(".headline").startswith("Of 6 claims: ")


def test_a_narrow_window_is_no_trouble(browser, report):
    narrow = browser.new_page(viewport={"width": 420, "height": 800})
    narrow.set_default_timeout(PATIENCE)
    narrow.goto(report.as_uri())
    narrow.wait_for_selector("body[data-drawn]")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 430
    narrow.close()


@pytest.mark.parametrize("kind", ["all silent", "one class", "one sample"])
def test_poor_recordings_are_drawn_without_complaint(browser, tmp_path, kind):
    state = recorded_state("recorded", 0, weights=False, n=1 if kind == "one sample" else 6)
    if kind == "one class":
        state = replace(state, labels=np.zeros(6, dtype=np.int64))
    if kind == "all silent":
        silent = [np.full_like(times, np.inf) for times in all_times(state)]
        state = replace(
            state, input_times=silent[0], layer_times=tuple(silent[1:]), decisions=np.full(6, -1)
        )
    path = tmp_path / "report.html"
    found = analyse([state], options=FAST)
    write_analysis_report(AnalysisReport("poor", kind, found, [state], {}), path)
    opened = Opened(browser, path)
    assert opened.complaints == []
    assert opened.page.query_selector("#raster svg.main-svg") is not None
    texts = opened.page.eval_on_selector_all(
        "#raster .annotation", "found => found.map(e => e.textContent)"
    )
    assert any("no decision" in text for text in texts) == (kind == "all silent")
    opened.page.close()


def test_figures_are_valid_plotly(report):
    import plotly.graph_objects as go

    page = report.read_text(encoding="utf-8")
    text = page.split("id='figures'>")[1].split("</script>")[0]
    figures = json.loads(text)
    assert len(figures) == 10
    for variants in figures.values():
        for figure in variants:
            go.Figure(figure)  # refuses what plotly does not know
