"""The range test of the CLR paper: accuracy against an LR that rises linearly."""

import copy

import pytest
import torch
from matplotlib.figure import Figure

import learnrate as lr
from facts import facts


def test_accuracy_gives_the_bounds_of_the_paper(toy):
    held_out = [(toy.inputs[:64], toy.targets[:64]), (toy.inputs[64:128], toy.targets[64:128])]
    curve = lr.torch.accuracy_test(
        toy.model, toy.optimizer, toy.batches, toy.loss, held_out, low=1e-4, high=0.5, epochs=10, seed=0
    )
    assert len(curve) == 160
    assert curve.lrs[1] - curve.lrs[0] == pytest.approx(curve.lrs[-1] - curve.lrs[-2])
    measured = curve.metrics["accuracy"][~torch.isnan(torch.tensor(curve.metrics["accuracy"])).numpy()]
    assert len(measured) > 40
    assert measured.max() > 0.9
    bounds = curve.bounds(lr.rules.accuracy)
    assert 1e-4 <= bounds.base_lr < bounds.max_lr <= 0.5
    with pytest.raises(ValueError, match=facts("held_out", "at least one batch")):
        lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, [], low=1e-4, high=0.5)
    with pytest.raises(ValueError, match=facts("batches", "length", "DataLoader")):
        lr.torch.accuracy_test(toy.model, toy.optimizer, lambda: iter(toy.batches), toy.loss, held_out, low=1e-4, high=0.5)


def test_the_test_may_start_at_lr_0_as_in_the_paper(toy):
    held_out = [(toy.inputs[:64], toy.targets[:64])]
    curve = lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, held_out, low=0.0, high=0.5, seed=0)
    assert curve.lrs[0] == 0.0
    assert curve.bounds(lr.rules.accuracy).base_lr > 0


@pytest.mark.parametrize(
    ("held_out", "error", "words"),
    [
        ([(torch.randn(8, 6), torch.zeros(8, 1))], ValueError, ("held_out", "(8, 1)", "(8,)")),
        ([{"x": torch.randn(8, 6)}], ValueError, ("held_out", "(inputs, targets)", "evaluate")),
        (5, TypeError, ("held_out", "(inputs, targets)", 5)),
    ],
)
def test_held_out_data_without_classes_is_refused(toy, held_out, error, words):
    before = copy.deepcopy(toy.model.state_dict())
    with pytest.raises(error, match=facts(*words)):
        lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, held_out, low=1e-3, high=1.0)
    for name, value in toy.model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_schedule_is_no_argument(toy):
    with pytest.raises(TypeError, match=facts("argument", "'schedule'")):
        lr.torch.accuracy_test(
            toy.model, toy.optimizer, toy.batches, toy.loss, toy.batches, low=1e-3, high=1.0, schedule="linear"
        )


def test_random_numbers_are_given_back(toy):
    before = torch.get_rng_state()
    lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, toy.batches, low=1e-3, high=1.0, epochs=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_figure_of_the_paper(toy):
    curve = lr.torch.accuracy_test(toy.model, toy.optimizer, toy.batches, toy.loss, toy.batches, low=1e-3, high=0.5, seed=0)
    ax = curve.plot(Figure().subplots(), rule=lr.rules.accuracy, metric="accuracy")
    assert (ax.get_xscale(), ax.get_ylabel()) == ("linear", "accuracy")
    assert ax.get_ylim()[1] > 1.05, "room for the labels"
    with pytest.raises(ValueError, match=facts("metric", "accuracy", "recall")):
        curve.plot(metric="recall")
