"""Batches in an order that repeats, sorted by class or shuffled once, in range tests of a real model."""

import numpy as np
import pytest

import learnrate as lr
from curves import LRS, POINTS, valley
from facts import tells
from learnrate.finder.order import cycle_of_batches

BATCH = 32
CLASSES = 10


class SoftmaxRegression:
    """Ten classes of points in 20 dimensions; each update takes the next batch of an epoch of `cycle` batches."""

    def __init__(self, cycle, order, seed):
        self.random = np.random.default_rng(seed)
        self.labels = np.arange(cycle * BATCH) * CLASSES // (cycle * BATCH)  # in sorted order
        centres = self.random.standard_normal((CLASSES, 20))
        self.points = centres[self.labels] + 0.7 * self.random.standard_normal((cycle * BATCH, 20))
        self.weights = 0.1 * self.random.standard_normal((20, CLASSES))
        self.momentum = np.zeros_like(self.weights)
        self.order = order
        self.count = 0

    def __call__(self, rate):
        size = len(self.labels)
        if self.count * BATCH % size == 0 and (self.order == "shuffled" or (self.order == "fixed" and not self.count)):
            shuffled = self.random.permutation(size)
            self.points, self.labels = self.points[shuffled], self.labels[shuffled]
        rows = np.arange(self.count * BATCH, (self.count + 1) * BATCH) % size
        self.count += 1
        points, labels = self.points[rows], self.labels[rows]
        scores = points @ self.weights
        scores -= scores.max(axis=1, keepdims=True)
        chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        loss = -float(np.mean(scores[np.arange(BATCH), labels] - np.log(np.exp(scores).sum(axis=1))))
        chances[np.arange(BATCH), labels] -= 1
        self.momentum = 0.9 * self.momentum + points.T @ chances / BATCH
        self.weights -= rate * self.momentum
        return loss


def curve(cycle, order, seed):
    return lr.range_test(SoftmaxRegression(cycle, order, seed))


@pytest.mark.parametrize("cycle", [7, 13, 20, 31])
def test_the_cycle_of_batches_is_read_off_the_losses(cycle):
    for seed in range(3):
        assert cycle_of_batches(curve(cycle, "sorted", seed).losses) == cycle
        assert cycle_of_batches(curve(cycle, "fixed", seed).losses) == cycle
        assert cycle_of_batches(curve(cycle, "shuffled", seed).losses) is None


@pytest.mark.parametrize("cycle", [7, 13, 20, 31])
def test_sorted_batches_give_the_bounds_of_shuffled_ones_or_no_answer(cycle):
    for seed in range(3):
        expected, bounds = (curve(cycle, order, seed).bounds() for order in ("shuffled", "sorted"))
        if bounds:
            assert 1 / 4 < bounds.max_lr / expected.max_lr < 4, seed
            assert 1 / 4 < bounds.base_lr / expected.base_lr < 4, seed
        else:
            assert tells(bounds.reason, "batches", "order"), bounds
            assert tells(bounds.remedy, "shuffle"), bounds


@pytest.mark.parametrize("cycle", [13, 20, 31])
def test_batches_that_were_shuffled_once_give_the_bounds_of_shuffled_ones(cycle):
    for seed in range(3):
        expected, bounds = (curve(cycle, order, seed).bounds() for order in ("shuffled", "fixed"))
        assert 1 / 4 < bounds.max_lr / expected.max_lr < 4, seed
        assert 1 / 4 < bounds.base_lr / expected.base_lr < 4, seed


def test_no_cycle_is_read_into_a_trend_or_noise():
    noise = np.random.default_rng(0).standard_normal((100, POINTS))
    assert not any(cycle_of_batches(valley() + 0.05 * series) for series in noise)
    assert cycle_of_batches(np.full(POINTS, 2.3)) is None
    assert cycle_of_batches(np.linspace(3.0, 1.0, POINTS)) is None
    assert cycle_of_batches(np.ones(5)) is None


@pytest.mark.parametrize("cycle", [13, 20, 33])
def test_a_rise_of_sorted_batches_does_not_end_the_sweep(cycle):
    """A regression sorted by its target: within an epoch the loss falls to 0 and rises far above its start."""
    targets = np.linspace(-1.5, 3.0, cycle)
    losses = iter([*np.resize(targets**2, 99).tolist(), 1e3])
    swept = lr.range_test(lambda _: next(losses), updates=POINTS)
    assert len(swept) == POINTS
    assert not swept.bounds()


def test_a_divergence_in_the_first_half_ends_the_sweep_an_eighth_later():
    losses = [1.0] * 15 + [20.0] * 85
    assert len(lr.range_test(lambda _: losses.pop(0), updates=POINTS)) in range(25, 31)


def test_a_loss_that_falls_after_its_divergence_is_no_fall():
    """As the loss of the discriminator of a GAN whose generator diverged."""
    losses = valley(1e-3, 0.01)
    losses[LRS > 1.0] = 50.0
    losses[LRS > 5.0] = 0.0
    before, bounds = lr.Curve(LRS, valley(1e-3, 0.01)).bounds(), lr.Curve(LRS, losses).bounds()
    assert (bounds.base_lr, bounds.max_lr) == (before.base_lr, before.max_lr)
