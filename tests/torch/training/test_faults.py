"""A batch whose loss is not finite is left out of the range test: weights, optimizer state and buffers are as before it."""

import copy
import math

import pytest
import torch
from torch import nn

import learnrate as lr
from facts import facts, tells
from learnrate.errors import LossError
from learnrate.finder.sweep import sweep_of
from learnrate.torch.range_test import swept
from learnrate.torch.training import TorchTrainable
from learnrate.trainable import LeftOut

SHORT = {"low": 1e-5, "high": 1e-2, "updates": 20, "seed": 0}


def batches_of(toy, *bad, size=8):
    """Batches of the toy in a fixed order, some of which have a NaN among their inputs."""
    batches = [[x.clone(), y] for x, y in zip(toy.inputs.split(size), toy.targets.split(size), strict=True)]
    for number in bad:
        batches[number][0][0, 0] = math.nan
    return batches


def without_dropout(toy, optimizer=torch.optim.SGD, **options):
    """The toy with a model that has nothing random in its forward pass."""
    toy.model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
    toy.optimizer = optimizer(toy.model.parameters(), **{"lr": 0.1, **options})
    return toy


SETUPS = {
    "SGD": {},
    "AdamW": {"optimizer": torch.optim.AdamW, "weight_decay": 0.1},
    "LBFGS": {"optimizer": torch.optim.LBFGS, "max_iter": 3},
}


@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("bad", [(0,), (6,), (5, 6, 7), (0, 19, 21)])
def test_a_sweep_with_a_bad_batch_is_the_sweep_without_it(new_toy, setup, bad):
    def swept(batches):
        toy = without_dropout(new_toy(), **setup)
        curve = toy.range_test(batches=batches, restore=False, **SHORT)
        return curve, {**toy.model.state_dict(), **{str(n): v["step"] for n, v in enumerate(steps(toy))}}

    batches = batches_of(new_toy(), *bad)
    curve, state = swept(batches)
    sound, expected = swept([batch for number, batch in enumerate(batches) if number not in bad])
    assert curve.losses.tolist() == sound.losses.tolist()
    assert curve.bounds() == sound.bounds()
    for name, value in expected.items():
        assert torch.equal(value, state[name]), name
    assert tells(" ".join(curve.notes), *bad, "fault", "left out")


def steps(toy):
    return [state for state in toy.optimizer.state.values() if "step" in state]


def test_the_note_names_batch_update_and_lr(toy):
    curve = toy.range_test(batches=batches_of(toy, 6), **SHORT)
    assert tells(" ".join(curve.notes), "batch 6", "nan", "update 6", f"{curve.lrs[6]:.2g}", "not the LR")
    assert curve.ended == "swept"


def test_a_micro_batch_is_named_by_its_number_among_all(toy):
    curve = toy.range_test(batches=batches_of(toy, 13), accumulate=2, **{**SHORT, "updates": 12})
    assert tells(" ".join(curve.notes), "batch 13", "update 6")


def test_a_batch_that_comes_again_in_every_epoch_is_named_once(toy):
    curve = toy.range_test(batches=batches_of(toy, 3, size=32), **{**SHORT, "updates": 28})
    assert len(curve) == 28
    assert tells(" ".join(curve.notes), "3 (4 times)")


def test_everything_is_given_back_after_a_bad_batch(toy):
    before = copy.deepcopy((toy.model.state_dict(), toy.optimizer.state_dict()))
    toy.range_test(batches=batches_of(toy, 0, 6), **SHORT)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[0][name])
    assert toy.optimizer.state_dict() == before[1]


def test_frozen_weights_an_evaluation_and_an_iterator(toy):
    without_dropout(toy)
    toy.model[0].weight.requires_grad_(False)
    curve = toy.range_test(batches=iter(batches_of(toy, 6)), evaluate=toy.accuracy, restore=False, **SHORT)
    assert len(curve) == 20
    assert not torch.isnan(toy.model[1].running_mean).any()
    assert (curve.metrics["score"] >= 0).all()


@pytest.mark.parametrize("scaled", [False, True])
def test_a_gradient_scaler_does_not_count_a_bad_batch_as_a_skip(toy, scaled):
    scaler = torch.amp.GradScaler("cpu") if scaled else None
    curve = toy.range_test(batches=batches_of(toy, 6), scaler=scaler, **SHORT)
    assert (len(curve), curve.skipped) == (20, ())


def test_if_all_batches_are_bad_the_inputs_and_the_model_are(toy):
    with pytest.raises(LossError, match=facts("nan", "first update", "inputs", "initial weights")):
        toy.range_test(batches=batches_of(toy, *range(32)), **SHORT)


def test_weights_that_are_ruined_end_the_sweep(toy):
    """The bad batch has a finite loss, whose gradient is not: what follows is not the fault of the batches that follow."""

    def loss(model, batch):
        inputs, targets = batch
        value = toy.loss(model(inputs.nan_to_num()), targets)
        return value + 0 * torch.sqrt(0 * model[0].weight.sum()) if inputs.isnan().any() else value

    curve = toy.range_test(batches=batches_of(toy, 6), loss=loss, **SHORT)
    assert (len(curve), curve.ended) == (8, "not finite")
    assert not any("left out" in note for note in curve.notes)
    assert tells(curve.bounds().remedy, "update 7", "one before", "model")


def test_an_lr_at_which_the_loss_overflows_still_ends_the_sweep(toy):
    curve = toy.range_test(loss=lambda m, b: toy.loss(m(b[0]), b[1]) ** 40, high=1e8, stop=None, seed=0)
    assert curve.ended == "not finite"
    assert not any("fault" in note for note in curve.notes)


@pytest.mark.parametrize("bad", [(0,), (6,), (6, 7, 12)])
def test_where_losses_are_read_after_their_updates_the_sweep_is_made_again(new_toy, bad):
    """As on an accelerator: the first sweep ends at the batch, the second leaves it out."""

    def trainable():
        toy = without_dropout(new_toy())
        return TorchTrainable(toy.model, toy.optimizer, batches_of(toy, *bad), toy.loss, in_blocks=True, check_batches=False)

    sweep = sweep_of(1e-5, 1e-2, 20, "exponential", None, None, None, None)
    late, at_once = trainable(), without_dropout(new_toy())
    if 0 not in bad:
        assert swept(trainable(), sweep, 0, None).ended == "not finite"
    curve = swept(late, sweep, 0, late.save())
    expected = at_once.range_test(batches=batches_of(at_once, *bad), stop=None, **SHORT)
    assert curve.losses.tolist() == expected.losses.tolist()
    assert curve.ended == "swept"
    assert any(tells(note, *bad, "left out") for note in curve.notes)


def test_masks_are_left_alone_and_lazy_or_replaced_buffers_are_put_back(toy):
    class Centre(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.zeros(6))
            self.register_buffer("mask", torch.ones(1).expand(6))
            self.register_buffer("nothing", None)

        def forward(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
            return (x - self.mean) * self.mask

    toy.model = nn.Sequential(Centre(), nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.Linear(8, 2))
    toy.model(toy.inputs)
    toy.optimizer = torch.optim.SGD(toy.model.parameters(), lr=0.1)
    curve = toy.range_test(batches=batches_of(toy, 0, 6), restore=False, **SHORT)
    assert len(curve) == 20
    assert all(torch.isfinite(value).all() for value in toy.model.state_dict().values())


def test_a_tune_goes_on_without_the_batch(toy):
    without_dropout(toy)
    plan = lr.torch.tune(toy.model, toy.optimizer, batches_of(toy, 6), toy.loss, updates=300)
    assert any(tells(note, "batch 6", "left out") for note in plan.probe.notes)
    assert 1e-4 < plan.max_lr < 100


@pytest.mark.parametrize("test", [False, True])
def test_a_training_that_is_measured_meets_its_bad_batches(new_toy, test):
    recipe = lr.torch.Recipe(
        model=lambda: nn.Linear(6, 2),
        optimizer=lambda model: torch.optim.SGD(model.parameters(), lr=0.1),
        batches=lambda: batches_of(new_toy(), 1),
        loss=nn.CrossEntropyLoss(),
        updates=50,
    )
    trainable = recipe.trainable(0, test=test)
    returned = [trainable.update(1e-3) for _ in range(3)]
    assert isinstance(returned[1], LeftOut) != test
    assert math.isfinite(trainable.read(returned[2:])[0]["loss"]) != test
