"""The report: what it shows, and that it opens anywhere."""

from __future__ import annotations

import base64
import io
import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from hxloop.activity import Spikes
from hxloop.data import yin_yang, yin_yang_class
from hxloop.runs.report import figures as figures
from hxloop.runs.report.page import (
    DecisionPlane,
    Evaluation,
    TrainingReport,
    decision_plane,
    write_report,
)


def evaluation(n_outputs=3, silent=False, names=("yin", "yang", "dot")) -> Evaluation:
    rng = np.random.default_rng(0)
    layers = tuple(rng.uniform(0, 4, (50, size)) for size in (20, n_outputs))
    for times in layers:
        times[rng.random(times.shape) < (1.0 if silent else 0.2)] = np.inf
    undecided = np.isinf(layers[-1]).all(axis=1)
    return Evaluation(
        split="test",
        labels=rng.integers(n_outputs, size=50),
        decisions=np.where(undecided, -1, layers[-1].argmin(axis=1)),
        n_classes=n_outputs,
        input_times=rng.uniform(0, 2, (50, 5)),
        first_spike_times=layers,
        t_window=4.0,
        loss=0.5,
        class_names=names,
    )


def metrics(epoch: int) -> dict[str, object]:
    return {
        "epoch": epoch,
        "train_loss": 1 / epoch,
        "validation_loss": 1.1 / epoch,
        "train_accuracy": 0.5,
        "validation_accuracy": 0.6,
        "silent_fraction": [0.1, 0.0],
        "clipped_weights": [3, 0],
        "zeroed_gradients": 2,
        "capped_gradients": 0,
        "bumped_neurons": 1,
    }


REPORT = TrainingReport(
    title="<training> & more",
    description="of 'something'",
    summary=[("Test accuracy", "50 %")],
    metrics=[metrics(1), metrics(2)],
    test=evaluation(),
    plane=None,
    substrate={"tau_mem": np.array([0.9, 1.1, 1.0]), "dead": np.array([0.0, 1.0, 0.0])},
    config_toml='name = "<training>"\n',
    provenance={"python": "3.11"},
)


def written(report: TrainingReport, tmp_path) -> str:
    path = tmp_path / "report.html"
    write_report(report, path)
    return path.read_text(encoding="utf-8")


def pictures(page: str) -> list[np.ndarray]:
    found = re.findall(r"src='data:image/png;base64,([^']+)'", page)
    return [imread(io.BytesIO(base64.b64decode(data)), format="png") for data in found]


def test_report_is_self_contained_and_escaped(tmp_path):
    page = written(REPORT, tmp_path)
    assert not re.search(r"(src|href)=['\"](?!data:)", page)
    assert "<script" not in page and "@import" not in page
    assert "<h1>&lt;training&gt; &amp; more</h1>" in page
    assert "name = &quot;&lt;training&gt;&quot;" in page
    assert page.count("<section>") == len(pictures(page)) == 6


def test_no_picture_is_blank(tmp_path):
    for picture in pictures(written(REPORT, tmp_path)):
        dark = (picture[..., :3].min(axis=-1) < 0.5).mean()
        assert dark > 0.002 and min(picture.shape[:2]) > 200


def test_sections_without_content_are_left_out(tmp_path):
    page = written(replace(REPORT, substrate={}), tmp_path)
    assert "The chip" not in page and "Yin-Yang plane" not in page


@pytest.mark.parametrize(
    "test",
    [
        evaluation(silent=True),
        evaluation(names=()),
        evaluation(n_outputs=25, names=()),
        replace(
            evaluation(),
            input_times=evaluation().input_times[:10],
            first_spike_times=tuple(t[:10] for t in evaluation().first_spike_times),
        ),
    ],
    ids=["all silent", "no class names", "many classes", "spikes of some samples"],
)
def test_unusual_evaluations_are_drawn(tmp_path, test):
    assert len(pictures(written(replace(REPORT, test=test), tmp_path))) == 6


def test_decision_plane_asks_for_every_point_of_the_disk_once():
    asked = []

    def decide(points):
        asked.append(points)
        return np.array([yin_yang_class(x, y) for x, y, *_ in points])

    data = yin_yang(50, 40)
    plane = decision_plane(decide, data.samples[:, :2], data.labels, resolution=40)
    (points,) = asked
    np.testing.assert_allclose(points[:, 2:], 1 - points[:, :2])
    assert ((points[:, :2] - 0.5) ** 2).sum(axis=1).max() <= 0.25
    assert (plane.decisions >= 0).sum() == len(points) == pytest.approx(np.pi / 4 * 40**2, rel=0.03)
    # Rows are y, columns are x.
    assert plane.decisions[35, 20] == yin_yang_class(plane.x[20], plane.y[35])
    assert plane.decisions[0, 0] == -2


def test_plane_shows_the_true_classes_in_their_colours(tmp_path):
    data = yin_yang(50, 40)
    plane = decision_plane(
        lambda points: np.array([yin_yang_class(x, y) for x, y, *_ in points]),
        data.samples[:, :2],
        data.labels,
    )
    assert isinstance(plane, DecisionPlane)
    test = replace(evaluation(), labels=data.labels, decisions=data.labels)
    page = written(replace(REPORT, plane=plane, test=test), tmp_path)
    picture = pictures(page)[0][..., :3]
    # Pale blue, orange and green, the tints of the first three colours of the palette.
    for tint in ((0.6, 0.779, 0.879), (0.961, 0.849, 0.6), (0.6, 0.848, 0.78)):
        share = (np.abs(picture - tint).max(axis=-1) < 0.02).mean()
        assert share > 0.02


# --- what readers of deep networks, many classes and small screens see ---------------------


def test_no_two_classes_have_the_same_colour():
    colours = [figures.colour(index) for index in range(200)]
    assert len(set(colours)) == 200


def test_panels_of_deep_networks_stay_readable():
    deep = replace(REPORT.test, first_spike_times=(REPORT.test.first_spike_times[0],) * 8
                   + REPORT.test.first_spike_times[1:])  # fmt: skip
    shown = figures.histograms(deep)
    width, height = shown.get_size_inches()
    visible = [axis for axis in shown.axes if axis.get_visible()]
    assert len(visible) == 9 and width <= 9 and height >= 8
    raster = figures.raster(deep)
    raster.draw_without_rendering()
    boxes = [label.get_window_extent() for label in raster.axes[0].get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_inputs_after_the_window_are_not_counted_as_spikes():
    times = REPORT.test.input_times.copy()
    times[0] = [0.5, 3.9, 4.0, 7.0, np.inf]
    axis = figures.raster(replace(REPORT.test, input_times=times)).axes[0]
    inputs = axis.get_yticklabels()[0].get_text()
    assert inputs == "inputs\n5, 1 silent, 2 after the window"
    assert len(axis.collections[0].get_segments()) == 2


def test_clipped_weights_are_told_of_how_many():
    shown = figures.counts(replace(REPORT, n_weights=(30, 10), batches=5)).axes[1]
    assert "%" in shown.get_ylabel()
    # 3 of 30 weights at each of 5 steps would be 15 in the metrics; 3 are a fifth of that.
    assert list(shown.lines[0].get_ydata()) == pytest.approx([100 * 3 / (5 * 30)] * 2)


def test_every_histogram_of_the_chip_has_labels_on_its_axes():
    for axis in figures.chip({"tau_mem": np.ones(3), "v_leak": np.zeros(3)}).axes:
        if axis.get_visible():
            assert axis.get_ylabel() == "circuits" and axis.get_xlabel()


def test_a_sample_is_shown_with_all_spikes():
    inputs = Spikes.from_events([0, 0, 0], [1, 1, 2], [0.5, 1.0, 7.0], batch=1, n_units=5)
    layers = [Spikes.from_first(times[:1]) for times in REPORT.test.first_spike_times]
    axis = figures.raster(replace(REPORT.test, first_sample=(inputs, *layers))).axes[0]
    shown = [segment[0, 0] for segment in axis.collections[0].get_segments()]
    assert shown == [0.5, 1.0]
    assert axis.get_yticklabels()[0].get_text() == "inputs\n5, 3 silent, 1 after the window"
