"""A constant in the loss, and the digits of the loss: neither decides about bounds."""

import numpy as np
import pytest

import learnrate as lr
from curves import LRS, POINTS, valley
from learnrate.finder.levels import rounding


def bounds_of(losses):
    answer = lr.Curve(LRS, losses).bounds()
    return answer and (answer.base_lr, answer.lr, answer.max_lr)


@pytest.mark.parametrize("constant", [-1e6, -1500.0, -2.0, 10.0, 1000.0, 1500.0, 1e6])
@pytest.mark.parametrize("noise", [0.0, 0.02, 0.3])
def test_a_constant_in_the_loss_changes_no_bounds(constant, noise):
    for seed in range(3 if noise else 1):
        losses = valley(noise=noise, seed=seed)
        assert bounds_of(losses)
        assert bounds_of(losses + constant) == bounds_of(losses)


@pytest.mark.parametrize("constant", [-3.0, 1500.0])
def test_a_constant_changes_no_bounds_of_a_loss_whose_noise_shrinks_with_it(constant):
    random = np.random.default_rng(0)
    losses = valley() * (1 + 0.3 * random.standard_normal(POINTS))
    assert bounds_of(losses)
    assert bounds_of(losses + constant) == bounds_of(losses)


def test_a_loss_of_few_digits_has_the_bounds_of_one_of_many():
    losses = valley(noise=0.02)
    single = (losses + 1500).astype(np.float32).astype(float)
    assert bounds_of(single) == bounds_of(losses)


def test_a_fall_within_the_digits_of_the_loss_is_none():
    """At 1500, neighbouring numbers of 8 bits differ by 8: a loss that falls by 1.8 is the same number, or the next one."""
    assert not lr.Curve(LRS, np.round((valley(noise=0.02) + 1500) / 8) * 8).bounds()
    assert not lr.Curve(LRS, (valley() * 1e-5 + 1500).astype(np.float32).astype(float)).bounds()


@pytest.mark.parametrize(("kind", "distance"), [(np.float16, 2.0**-9), (np.float32, 2.0**-22), (np.float64, 2.0**-51)])
def test_the_rounding_of_losses_is_that_of_their_format(kind, distance):
    assert rounding(valley(noise=0.01).astype(kind).astype(float)) == distance
