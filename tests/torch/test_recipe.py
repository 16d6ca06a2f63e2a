"""Recipes of torch: building from seeds, and the same updates everywhere."""

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts
from learnrate.torch.training import Updater

X = torch.linspace(-1, 1, 64).unsqueeze(1)


def recipe(**options):
    return lr.torch.Recipe(
        model=lambda: nn.Linear(1, 1),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.01),
        batches=lambda: list(zip(X.split(8), (3 * X).split(8), strict=True)),
        loss=nn.MSELoss(),
        **options,
    )


def test_the_same_seed_builds_the_same_model():
    (first, *_), (second, *_), (third, *_) = recipe().build(0), recipe().build(0), recipe().build(1)
    assert torch.equal(first.weight, second.weight)
    assert not torch.equal(first.weight, third.weight)


def test_a_training_makes_its_updates_as_the_recipe_says():
    trainable = recipe(accumulate=4, clip_norm=0.01).trainable(0)
    assert trainable.updater == Updater(accumulate=4, clip_norm=0.01)
    assert trainable.updates_per_epoch() == 2
    before = trainable.model.weight.detach().clone()
    trainable.update(1.0)
    assert float((trainable.model.weight.detach() - before).abs()) <= 0.01 + 1e-6


def test_clipping_decides_whether_steps_are_bounded():
    assert recipe().trainable(0).traits.unbounded_steps
    assert not recipe(clip_norm=1.0).trainable(0).traits.unbounded_steps


def test_each_training_gets_a_copy_of_the_scaler():
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    scaled = recipe(scaler=scaler)
    first, second = scaled.trainable(0), scaled.trainable(0)
    for _ in range(3):
        first.update(0.1)
    assert first.updater.scaler.get_scale() < second.updater.scaler.get_scale() == scaler.get_scale()


def test_the_score_has_the_name_of_the_metric():
    measured = recipe(evaluate=lambda model: 0.5, metric="recall")
    assert measured.trainable(0).evaluate() == {"recall": 0.5}
    assert recipe().trainable(0).evaluate() is None
    several = recipe(evaluate=lambda model: {"recall": 0.5, "precision": 0.25})
    assert list(several.trainable(0).evaluate()) == ["recall", "precision"]


def test_a_finished_training_is_measured_by_test_and_trials_by_evaluate():
    both = recipe(evaluate=lambda model: 1.0, test=lambda model: 2.0)
    assert both.trainable(0).evaluate() == {"accuracy": 1.0}
    assert both.trainable(0, test=True).evaluate() == {"accuracy": 2.0}
    assert recipe(evaluate=lambda model: 1.0).trainable(0, test=True).evaluate() == {"accuracy": 1.0}


def test_held_out_batches_are_an_evaluation():
    held_out = [(X, 3 * X)]
    by_loss = recipe(evaluate=held_out)
    trainable = by_loss.trainable(0)
    with torch.no_grad():
        expected = -float(nn.functional.mse_loss(trainable.model(X), 3 * X))
    ((name, loss),) = trainable.evaluate().items()
    assert loss == pytest.approx(expected)
    assert "loss" in name


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"accumulate": 0}, ("accumulate", 1, 0)),
        ({"clip_norm": -1.0}, ("clip_norm", 0, -1.0)),
        ({"clip_nrm": 1.0}, ("clip_nrm", "clip_norm")),
        ({"flavour": "red"}, ("flavour", "accumulate", "closure")),
        ({"autocast": "bfloat16"}, ("autocast", "torch.dtype", "bfloat16")),
        ({"closure": 1}, ("closure", True, False, 1)),
    ],
)
def test_options_of_an_update_are_checked_when_the_recipe_is_built(options, words):
    with pytest.raises((ValueError, TypeError), match=facts(*words)):
        recipe(**options)
