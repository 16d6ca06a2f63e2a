"""Tuning of torch models: plans, traits of optimizers, and what is refused."""

import math

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts, tells
from learnrate.errors import NoAnswerError
from learnrate.torch.training import TorchTrainable, Updater


def test_an_iterator_is_refused(toy):
    with pytest.raises(TypeError, match=facts("batches", "generator")):
        lr.torch.tune(toy.model, toy.optimizer, (b for b in toy.batches), toy.loss, updates=300)


def test_a_loss_that_never_falls_gives_no_answer(toy):
    for module in toy.model:
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
    toy.model.requires_grad_(False)
    toy.model[0].weight.requires_grad_(True)  # behind zeros: no gradient reaches it
    with pytest.raises(NoAnswerError, match=facts("loss", "updates", "larger budget")):
        lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300)


def test_an_evaluation_that_returns_no_number_is_refused(toy):
    with pytest.raises(TypeError, match=facts("evaluate", "number", "'good'")):
        lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300, evaluate=lambda model: "good")
    with pytest.raises(TypeError, match=facts("evaluate", "function", 0.5)):
        lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300, evaluate=0.5)


@pytest.mark.shows("torch", "tune in place")
def test_tune_ends_in_a_plan_that_trains(toy):
    plan = lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=400, evaluate=toy.accuracy)
    scheduler = lr.torch.Scheduler(toy.optimizer, plan.schedule)
    toy.train(plan.updates, scheduler)
    assert toy.accuracy(toy.model) > 0.9
    assert plan.cost <= 1.0


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"together": "yes"}, ("together", True, False, None, "'yes'")),
        ({"together": 0}, ("together", True, False, None, 0)),
        ({"evaluate": "accuracy"}, ("evaluate", "function", "number", "'accuracy'")),
        ({"on_curve": 3}, ("on_curve", "function", 3)),
        ({"family": lambda max_lr: None}, ("family", "schedule", None)),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_before_an_update_is_made(toy, given, words):
    before = toy.model[0].weight.clone()
    with pytest.raises(TypeError, match=facts(*words)):
        lr.torch.tune(toy.model, toy.optimizer, [], toy.loss, updates=300, **given)
    assert torch.equal(toy.model[0].weight, before)


def test_an_evaluation_that_gives_nan_is_ignored_and_the_reasons_say_so(toy):
    def tuned(evaluate):
        return lr.torch.tune(toy.model, toy.optimizer, toy.batches, toy.loss, updates=300, evaluate=evaluate)

    plan = tuned(lambda model: math.nan)
    assert plan.max_lr == tuned(None).max_lr
    # An evaluation at the start, and one for each trial that was completed.
    finished = sum(not trial.diverged for trial in plan.trials)
    assert any(tells(reason, "evaluations", "finite", finished + 1) for reason in plan.reasons)


def test_on_curve_is_called_before_the_trials(toy):
    calls = []

    def progress(what, done, planned):
        if what == "trials":
            calls.append(what)

    plan = lr.torch.tune(
        toy.model,
        torch.optim.Rprop(toy.model.parameters(), lr=0.01),  # there is no probe for it
        toy.batches,
        toy.loss,
        updates=300,
        progress=progress,
        on_curve=lambda *arguments: calls.append(arguments),
    )
    assert calls[0] == (plan.curve, plan.bounds)
    assert set(calls[1:]) == {"trials"}


@pytest.mark.parametrize(
    ("optimizer", "options", "expected"),
    [
        (torch.optim.SGD, {}, True),
        (torch.optim.SGD, {"updater": Updater(clip_norm=1.0)}, False),
        (torch.optim.SGD, {"updater": Updater(clip_value=1.0)}, False),
        (torch.optim.Adam, {}, False),
        (torch.optim.RMSprop, {}, False),
    ],
)
def test_steps_of_sgd_are_unbounded_unless_gradients_are_clipped(toy, optimizer, options, expected):
    trainable = TorchTrainable(toy.model, optimizer(toy.model.parameters(), lr=0.1), toy.batches, toy.loss, **options)
    assert trainable.traits.unbounded_steps is expected


def test_only_optimizers_that_receive_the_lr_decide_whether_steps_are_bounded(toy):
    optimizers = {
        "first": torch.optim.SGD(toy.model[0].parameters(), lr=0.1),
        "rest": torch.optim.Adam(toy.model[4].parameters(), lr=0.1),
    }
    losses = {"first": toy.loss, "rest": toy.loss}
    assert TorchTrainable(toy.model, optimizers, toy.batches, losses, only="first").traits.unbounded_steps
    assert not TorchTrainable(toy.model, optimizers, toy.batches, losses, only="rest").traits.unbounded_steps
