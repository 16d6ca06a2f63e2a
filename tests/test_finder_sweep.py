"""The range test on loops of no framework."""

import math

import numpy as np
import pytest

import learnrate as lr
from learnrate.errors import LossError


class Quadratic:
    """Gradient descent on w**2 / 2 in one dimension: falls while lr < 2, diverges above; the edge is known."""

    def __init__(self, weight=1.0, offset=0.0, noise=0.0):
        self.weight, self.offset, self.noise = weight, offset, noise
        self.random = np.random.default_rng(0)
        self.lrs = []

    def __call__(self, rate):
        self.lrs.append(rate)
        loss = self.weight**2 / 2 + self.offset + self.noise * self.random.standard_normal()
        self.weight -= rate * self.weight
        return loss


def test_sweeps_the_range_geometrically():
    step = Quadratic()
    curve = lr.range_test(step, low=1e-5, high=1e-1, updates=41)
    assert list(curve.lrs) == step.lrs
    assert curve.lrs[0] == 1e-5
    assert curve.lrs[-1] == pytest.approx(1e-1)
    np.testing.assert_allclose(curve.lrs[1:] / curve.lrs[:-1], 10 ** (1 / 10), rtol=1e-9)
    assert curve.notes == ()


@pytest.mark.parametrize("offset", [0.0, 100.0, -100.0])
def test_stops_early_on_divergence_whatever_the_level_of_the_loss(offset):
    curve = lr.range_test(Quadratic(weight=30.0, offset=offset), low=1e-6, high=1e6, updates=200)
    assert len(curve) < 200
    assert 2.0 < curve.lrs[-1] < 2.0 * 10**1.5
    assert "the loss diverged at LR" in curve.notes[0]


def test_goes_on_through_divergence_when_told_to():
    curve = lr.range_test(Quadratic(), low=1e-4, high=10.0, updates=50, stop=None)
    assert len(curve) == 50


@pytest.mark.parametrize(("rise", "updates"), [(1.04, 40), (1.2, 21)])
def test_a_rise_of_a_twentieth_is_no_divergence(rise, updates):
    losses = [1.0] * 20 + [rise] * 20
    curve = lr.range_test(lambda _: losses.pop(0), updates=40)
    assert len(curve) == updates
    assert curve.ended == ("swept" if updates == 40 else "diverged")


def test_noise_is_no_divergence():
    curve = lr.range_test(Quadratic(weight=0.1, offset=1.0, noise=0.3), low=1e-6, high=1.0, updates=300)
    assert len(curve) == 300


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_no_longer_finite_ends_the_sweep_and_stays_in_the_record(bad):
    losses = iter([1.0] * 20 + [bad, 1.0])
    curve = lr.range_test(lambda _: next(losses), stop=None)
    assert len(curve) == 21
    assert not math.isfinite(curve.losses[-1])
    assert curve.ended == "not finite"
    assert f"became {bad}" in curve.notes[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_from_the_start_is_an_error(bad):
    with pytest.raises(LossError, match="at the first update"):
        lr.range_test(lambda _: bad)


def test_records_metrics():
    curve = lr.range_test(lambda rate: {"loss": 1.0, "accuracy": rate}, updates=20)
    np.testing.assert_array_equal(curve.metrics["accuracy"], curve.lrs)


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (np.ones(3), r"the loss must be a scalar, received a ndarray of shape \(3,\)"),
        ("0.1x", "the loss must be a scalar, received a str"),
        (None, "the loss must be a scalar, received a NoneType"),
        ({"accuracy": 0.1}, r"must have the key 'loss', received the keys \['accuracy'\]"),
        ({"loss": 0.1, "accuracy": [1, 2]}, "the accuracy must be a scalar, received a list"),
    ],
)
def test_what_is_no_loss_is_refused(returned, words):
    with pytest.raises(LossError, match=words):
        lr.range_test(lambda _: returned)


def test_metrics_must_not_change_their_names():
    returned = iter([{"loss": 1.0}, {"loss": 1.0, "accuracy": 0.5}])
    with pytest.raises(LossError, match="the same metrics each time"):
        lr.range_test(lambda _: next(returned))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"low": 0.0}, ValueError, "low must be above 0, received 0.0"),
        ({"low": -1e-3}, ValueError, "low must be above 0"),
        ({"low": math.nan}, ValueError, "low must be finite"),
        ({"low": 1.0, "high": 0.1}, ValueError, "low must be below high, received 1.0 and 0.1: swap them"),
        ({"high": math.inf}, ValueError, "high must be finite"),
        ({"updates": 0}, ValueError, "updates must be at least 10, received 0"),
        ({"updates": 2}, ValueError, "updates must be at least 10, received 2"),
        ({"updates": 50.5}, TypeError, "updates must be an integer"),
    ],
)
def test_bad_arguments_are_refused_before_the_first_update(arguments, error, words):
    step = Quadratic()
    with pytest.raises(error, match=words):
        lr.range_test(step, **arguments)
    assert step.lrs == []


def test_step_must_be_a_function():
    with pytest.raises(TypeError, match="step must be a function"):
        lr.range_test(0.1)


def test_tells_its_progress():
    told = []
    lr.range_test(lambda _: 1.0, updates=12, progress=lambda done, planned: told.append((done, planned)))
    assert told == [(n, 12) for n in range(1, 13)]
