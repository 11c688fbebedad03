"""The raster of neurons that spike more than once, in a real browser: every spike is there."""

from __future__ import annotations

import numpy as np
import pytest

from hxloop.analysis.analyse import analyse
from hxloop.analysis.measures.options import AnalysisOptions
from hxloop.analysis.report.page import AnalysisReport, write_analysis_report
from tests.analysis.test_analysis_spike_trains import loops
from tests.browser.test_analysis_page import Opened
from tests.browser.test_analysis_page import browser as browser
from tests.browser.test_analysis_page import pytestmark as pytestmark

FAST = AnalysisOptions(n_resamples=50, n_permutations=99, n_null=20)


@pytest.fixture(scope="module")
def states():
    return [loops(1, "untrained"), loops()]


@pytest.fixture(scope="module")
def opened(browser, states, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    analysis = analyse(states, options=FAST)
    write_analysis_report(AnalysisReport("t", "d", analysis, states, {}), path)
    return Opened(browser, path)


def test_all_spikes_are_drawn_at_their_neurons(opened, states):
    page = opened.page
    for number in (0, 7, 29):
        page.select_option("#raster-sample", index=number)
        index = int(page.get_attribute("#raster", "data-sample"))
        traces = opened.data("raster")
        for column, state in enumerate(states):
            won = state.decisions[index]
            decision = state.output_times[index, won] if won >= 0 else -1.0
            for layer, spikes in enumerate((state.inputs, *state.spikes)):
                place = 2 * (column * 4 + layer)
                before, after = traces[place : place + 2]
                own = spikes.select([index])
                expected = sorted(zip(own.units.tolist(), own.times, strict=True))
                shown = sorted(
                    pair
                    for trace in (before, after)
                    for pair in zip(trace["customdata"], trace["x"], strict=True)
                )
                assert [unit for unit, _ in shown] == [unit for unit, _ in expected]
                error = np.subtract([t for _, t in shown], [t for _, t in expected])
                assert np.abs(error).max(initial=0) < 4 / 65534
                assert all(t <= decision + 4 / 65534 for t in before["x"])
                assert all(t > decision - 4 / 65534 for t in after["x"])
                assert before["y"] == before["customdata"]  # in order of their numbers
    assert opened.complaints == []


def test_the_rows_tell_spikes_and_silent_neurons(opened, states):
    page = opened.page
    page.select_option("#raster-sample", index=3)
    index = int(page.get_attribute("#raster", "data-sample"))
    texts = page.evaluate(
        "document.getElementById('raster').layout.annotations.map(({ text }) => text)"
    )
    state = states[0]
    won = state.decisions[index]
    decision = state.output_times[index, won] if won >= 0 else -1.0
    for spikes in (state.inputs, *state.spikes):
        own = spikes.select([index])
        n, silent = int((own.times <= decision).sum()), int((own.count == 0).sum())
        words = f"{n} {'spike' if n == 1 else 'spikes'}, {silent} silent"
        assert any(text.startswith(words) for text in texts), (words, texts)
