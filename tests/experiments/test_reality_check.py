"""The published recipe, piece by piece, and the study that compares it."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hxloop import NetworkSpec, get_backend, recorded_spike_times
from hxloop.activity import Activity
from hxloop.errors import ConfigError
from hxloop.experiments.reality_check import recipe as published
from hxloop.experiments.reality_check.recipe import (
    Bumping,
    PublishedRecipe,
    pattern_loss,
    published_spikes,
    train_by_recipe,
)
from hxloop.experiments.reality_check.study import (
    RealityOptions,
    arm_config,
    markdown_table,
)
from hxloop.experiments.registry import FOLDER, load_experiment


def layer_with_spikes():
    rng = np.random.default_rng(0)
    spec = NetworkSpec.feed_forward(20, 30, t_window=30.0)
    weights, times = rng.normal(0.385, 0.1, (20, 30)), rng.uniform(0.15, 2, (40, 20))
    with get_backend("ideal").open(spec) as session:
        recorded = session.run([weights], times).output_times
    return spec, weights, times, recorded, rng.normal(size=recorded.shape)


def gradients(spikes, weights, times, error):
    w, t = (torch.tensor(each, requires_grad=True) for each in (weights, times))
    out = spikes(t, w)
    seen = torch.isfinite(out)
    (out * torch.tensor(error))[seen].sum().backward()
    return w.grad.numpy(), t.grad.numpy()


def test_the_published_derivatives_are_exact_for_nominal_neurons():
    spec, weights, times, recorded, error = layer_with_spikes()
    neuron, held = spec.layers[0].neuron, torch.tensor(recorded)
    ours = gradients(lambda t, w: recorded_spike_times(t, w, held, neuron), weights, times, error)
    theirs = gradients(lambda t, w: published_spikes(t, w, held, 1e9), weights, times, error)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


def test_a_large_gradient_of_a_spike_becomes_zero():
    _, weights, times, recorded, error = layer_with_spikes()
    held = torch.tensor(recorded)
    capped, _ = gradients(lambda t, w: published_spikes(t, w, held, 1e-12), weights, times, error)
    assert not capped.any()


def test_the_published_loss():
    times = torch.tensor([[1.0, 1.5, 1.1], [2.0, torch.inf, 3.0]], requires_grad=True)
    loss = pattern_loss(times, torch.tensor([0, 0]), 0.3)
    loss.backward()
    assert float(loss.detach()) == pytest.approx((0.5 * (0.2**2 + 0.2**2) + 100) / 2)
    np.testing.assert_allclose(times.grad, [[0.0, 0.1, -0.1], [0, 0, 0]], atol=1e-12)


def test_weights_are_raised_instead_of_a_step_and_twice_as_much_again():
    recipe = PublishedRecipe()
    bumping, weights = Bumping(recipe), [torch.zeros(2, 3), torch.zeros(3, 2)]
    hidden = np.array([[1.0, np.inf, 1.0]] * 2)
    spiking = np.ones((2, 3))
    one = recipe.bump / published.THRESHOLD

    def bump(first, second):
        return bumping.apply(weights, _activity(first, second))

    assert bump(hidden, np.ones((2, 2)))
    np.testing.assert_allclose(weights[0], [[0, one, 0]] * 2, rtol=1e-6)
    assert bump(hidden, np.ones((2, 2)))
    np.testing.assert_allclose(weights[0], [[0, 3 * one, 0]] * 2, rtol=1e-6)
    assert not bump(spiking, np.ones((2, 2)))
    assert bump(spiking, np.array([[np.inf, 1.0], [1.0, 1.0]]))
    np.testing.assert_allclose(weights[1], [[one, 0]] * 3, rtol=1e-6)


def _activity(first, second):
    class Seen:
        first_spike_times = (first, second)

    seen: Activity = Seen()
    return seen


def test_a_training_by_the_recipe_is_repeatable_and_learns(monkeypatch):
    small = published.yin_yang
    monkeypatch.setattr(published, "yin_yang", lambda size, seed: small(size // 25, seed=seed))
    chip = get_backend("emulated-chip", chip=1, imperfections="calibrated", solver="event")
    recipe = PublishedRecipe(epochs=12, learning_rate=0.02)
    said = []
    first, again = (train_by_recipe(chip, recipe, 1, said.append) for _ in range(2))
    assert first["validation"] == again["validation"] and len(first["validation"]) == 12
    assert max(first["validation"]) > 0.45 and len(said) == 2


def test_arms_are_checked_before_anything_runs():
    config = load_experiment("reality-check")
    ours = arm_config(config, "b: published noise, our recipe", 4)
    assert ours.seed == 4 and ours.backend.options["chip"] == 4 and not ours.study
    for arms, message in (
        ({"x": {"recipe": "mine"}}, "recipe: expected one of"),
        ({"x": {"recipe": "ours", "epochs": 3}}, "a table with recipe"),
        ({"x": 3}, "a table with recipe"),
        ({}, "a table for each arm"),
    ):
        wrong = config.model_copy(update={"study": {**config.study, "arms": arms}})
        with pytest.raises(ConfigError, match=message):
            RealityOptions.of(wrong)


def test_the_readme_holds_what_was_measured():
    folder = FOLDER / "reality_check"
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    assert markdown_table(results) in (folder / "README.md").read_text(encoding="utf-8")
