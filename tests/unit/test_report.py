"""The report: what it shows, and that it opens anywhere."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.image import imread

from hxloop.analysis.report import (
    DecisionPlane,
    Evaluation,
    TrainingReport,
    decision_plane,
    write_report,
)
from hxloop.datasets import yin_yang, yin_yang_class


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
