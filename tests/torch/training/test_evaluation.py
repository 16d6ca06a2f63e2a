"""Evaluation: a function or held-out batches, and what it must not change."""

import pytest
import torch
from torch.utils.data import DataLoader

import learnrate as lr
from facts import facts


def calls(toy, evaluate):
    """A range test and a tuning with this evaluation."""
    given = (toy.model, toy.optimizer, toy.batches, toy.loss)
    yield lambda: lr.torch.range_test(*given, updates=20, evaluate=evaluate, evaluate_every=5)
    yield lambda: lr.torch.tune(*given, updates=80, evaluate=evaluate)


def shuffled(toy, generator=None):
    return DataLoader(toy.batches.dataset, batch_size=64, shuffle=True, generator=generator)


def test_held_out_batches_in_random_order_leave_the_random_numbers_as_they_were(toy):
    generator = torch.Generator().manual_seed(5)
    for evaluate in (shuffled(toy), shuffled(toy, generator)):
        for call in calls(toy, evaluate):
            before = torch.get_rng_state(), generator.get_state()
            call()
            assert torch.equal(torch.get_rng_state(), before[0])
            assert torch.equal(generator.get_state(), before[1])


@pytest.mark.parametrize("kind", ["function", "held-out batches"])
def test_an_evaluation_does_not_change_the_training(toy, kind):
    evaluate = shuffled(toy) if kind == "held-out batches" else lambda model: torch.rand(()).item()
    curves = [
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, seed=0, evaluate=evaluation, evaluate_every=1)
        for evaluation in (None, evaluate)
    ]
    assert curves[0].losses.tolist() == curves[1].losses.tolist()


def test_a_class_in_place_of_an_object_is_not_asked_for_its_state(toy):
    with pytest.raises(TypeError, match=facts("evaluate", "number", "Sequential")):
        lr.torch.range_test(toy.model, toy.optimizer, toy.batches, toy.loss, evaluate=torch.nn.Sequential)


def test_iterators_are_refused(toy):
    for call in calls(toy, iter([])):
        with pytest.raises(TypeError, match=facts("evaluate", "again")):
            call()
