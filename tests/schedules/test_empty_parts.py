"""A part of 0 updates is no part: the settings of trainers use 0 for "none"."""

import numpy as np
import pytest

import learnrate as lr
from facts import facts

FALL = lr.cosine(0.1, 0, 100)


@pytest.mark.parametrize(
    "empty",
    [
        lr.warmup(0.1, 0),
        lr.warmup(0.1, 0, start=0.01, shape="constant"),
        lr.warmup(0.1, 0, shape="exponential"),
        lr.warmup(0.1, "0%"),
        lr.warmup(0.1, "0 epochs") * 0.5,
        lr.constant(0.1, 0),
        lr.linear(0.1, 0, 0),
        lr.cosine(0.1, 0, "0 updates"),
        lr.polynomial(0.1, 0, 0, power=2),
        lr.exponential(0.1, 0.01, 0),
        lr.one_minus_sqrt(0.1, 0, 0),
        lr.rex(0.1, 0, 0),
        lr.tanh(0.1, 0, 0),
        lr.sigmoid(0.1, 0, 0),
        lr.one_cycle(0.1, 0),
        lr.custom(0.1, 0, np.square, 0),
        lr.function(abs, 0),
        lr.linear(0.1, 0, 0).clip(low=0.01).staircase(5),
    ],
    ids=repr,
)
def test_a_part_without_updates_is_left_out_of_a_chain(empty):
    assert empty >> FALL == FALL
    assert FALL >> empty == FALL
    assert FALL >> empty >> FALL == FALL >> FALL == lr.schedules.Chain((FALL, empty, FALL))
    assert empty >> empty == empty
    assert empty.length == 0
    assert lr.parse(repr(empty), [np.square, abs]) == empty


@pytest.mark.parametrize(
    ("empty", "value"),
    [
        (lr.warmup(0.1, 0), 0.1),
        (lr.warmup(0.1, 0, start=0.01, shape="constant"), 0.1),
        (lr.warmup(0.1, 0, shape="exponential"), 0.1),
        (lr.linear(0.3, 0.2, 0), 0.2),
        (lr.cosine(0.2, 0.3, 0), 0.3),
        (lr.exponential(0.1, 0.01, 0), 0.01),
        (lr.one_cycle(1.0, 0), 4e-6),
        (lr.one_cycle.paper(1.0, 0), 0.001),
        (lr.custom(0.1, 0.2, np.square, 0), 0.2),
        (lr.constant(0.1, 0), 0.1),
    ],
    ids=repr,
)
def test_a_schedule_without_updates_holds_its_end_value(empty, value):
    assert empty(0) == empty(7) == pytest.approx(value)
    np.testing.assert_allclose(empty(np.arange(3)), value)
    assert empty.boundaries() == empty.cycle_ends() == ()


@pytest.mark.parametrize(
    ("run", "parts"),
    [
        (lr.wsd(0.1, 1000, cooldown=0), lr.warmup(0.1, 50) >> lr.constant(0.1, 950)),
        (lr.wsd(0.1, 1000, warmup=0), lr.constant(0.1, 800) >> lr.one_minus_sqrt(0.1, 0, 200)),
        (lr.wsd(0.1, 1000, warmup="0%", cooldown="0 epochs"), lr.constant(0.1, 1000)),
        (lr.wsd(0.1, 1000, warmup=200, cooldown=800), lr.warmup(0.1, 200) >> lr.one_minus_sqrt(0.1, 0, 800)),
        (lr.wsd(0.1, 1000, warmup=1000, cooldown=0), lr.warmup(0.1, 1000)),
        (lr.trapezoid(0.1, 1000, cooldown=0, warmup=10), lr.warmup(0.1, 10) >> lr.constant(0.1, 990)),
        (lr.linear_to_zero(0.1, 1000, warmup=0), lr.linear(0.1, 0, 1000)),
        (lr.linear_to_zero(0.1, 1000, warmup=1000), lr.warmup(0.1, 1000)),
        (lr.knee(0.1, 1000, warmup=0), lr.constant(0.1, 500) >> lr.linear(0.1, 0, 500)),
        (lr.knee(0.1, 1000, explore=0), lr.linear(0.1, 0, 1000)),
        (lr.knee(0.1, 1000, explore=900, warmup=100), lr.warmup(0.1, 100) >> lr.constant(0.1, 900)),
        ((lr.warmup(0.1, 0) >> lr.cosine(0.1, 0)).resolve(1000), lr.cosine(0.1, 0, 1000)),
        ((lr.warmup(0.1, 100) >> lr.cosine(0.1, 0)).resolve(100), lr.warmup(0.1, 100)),
        (
            (lr.warmup(0.1, 100) >> lr.cosine(0.1, 0) >> lr.constant(0.1)).resolve(100),
            lr.warmup(0.1, 100) >> lr.constant(0.1),
        ),
    ],
    ids=repr,
)
def test_a_run_without_one_of_its_parts(run, parts):
    assert run == parts


@pytest.mark.parametrize(
    "build",
    [
        lambda: lr.linear(1, 0, 0).repeat(3),
        lambda: lr.linear(1, 0, 0).repeat(),
        lambda: (lr.warmup(1, 3) >> lr.linear(1, 0)).repeat(2).resolve(5),
    ],
)
def test_what_has_no_updates_cannot_be_repeated(build):
    with pytest.raises(ValueError, match=facts("must", "at least")):
        build()


def test_the_length_of_a_cycle_is_at_least_one_update():
    for build in (lambda n: lr.triangular(0, 1, n), lambda n: lr.warm_restarts(1, n), lambda n: lr.inverse_sqrt(1, n)):
        for nothing in (0, "0%", "0 epochs", 0.5):
            with pytest.raises((ValueError, TypeError), match=facts("must be")):
                build(nothing)
