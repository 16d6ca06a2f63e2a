"""tune(), then carry(): what a plan of a real training knows of its batch and of the noise of its gradient."""

import pytest
import torch

import learnrate as lr
from learnrate.errors import NoAnswerError
from learnrate.trainable import NOISE_BATCHES


def tuned(optimizer, updates=600, loss=None, **arguments):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    inputs = torch.randn(512, 8)
    targets = inputs.sum(1, keepdim=True) + 0.5 * torch.randn(512, 1)
    batches = list(zip(inputs.split(16), targets.split(16), strict=True))
    loss = loss or torch.nn.MSELoss()
    return lr.torch.tune(model, optimizer(model.parameters()), batches, loss, updates=updates, **arguments)


def test_a_plan_of_a_torch_training_can_be_carried_to_another_batch_and_length(tmp_path):
    plan = tuned(torch.optim.Adam)
    assert (plan.optimizer, plan.batch) == ("adam", 16)
    assert 0 < plan.noise_scale <= 16 * NOISE_BATCHES
    larger, longer = plan.carry(batch=64), plan.carry(updates=1800)
    assert larger.lr >= plan.max_lr >= longer.lr
    assert longer.schedule.length == 1800
    plan.save(tmp_path / "plan.json")
    assert lr.Plan.load(tmp_path / "plan.json").carry(batch=64) == larger


SIZES = []
"""Of the batches that `recorded_loss` saw. Not inside of it, because `tune` gives back what a function keeps."""


def recorded_loss(outputs, targets):
    SIZES.append(len(targets))
    return torch.nn.functional.mse_loss(outputs, targets)


def test_measuring_the_noise_costs_updates_of_the_budget():
    SIZES.clear()
    plan = tuned(torch.optim.Adam, loss=recorded_loss)

    assert SIZES.count(8) == 2 * NOISE_BATCHES  # half-batches
    assert plan.spent == SIZES.count(16) + NOISE_BATCHES
    assert plan.spent <= 360
    # Too dear for a run of 200 updates.
    short = tuned(torch.optim.Adam, updates=200)
    assert short.noise_scale is None
    with pytest.raises(NoAnswerError):
        short.carry(batch=64)


def test_an_optimizer_without_a_rule_is_not_carried():
    plan = tuned(torch.optim.Adagrad, budget=0.5)
    assert plan.optimizer is None
    with pytest.raises(NoAnswerError):
        plan.carry(updates=1200)
