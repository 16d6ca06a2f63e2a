"""Impossible arguments are refused when the schedule is built: argument, rule, value, remedy."""

import math

import numpy as np
import pytest

import learnrate as lr


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: lr.constant(-0.1), r"value must be at least 0, received -0.1"),
        (lambda: lr.constant(math.nan), r"value must be finite, received nan"),
        (lambda: lr.constant(0.1, 0), r"length must be at least 1, received 0"),
        (lambda: lr.linear(0.1, math.inf, 10), r"end must be finite, received inf"),
        (
            lambda: lr.linear(0.1, 0, "10"),
            r"length must be a number of updates or a text such as '3 epochs'.*, received '10'",
        ),
        (lambda: lr.cosine(0.1, 0, 0), r"length must be at least 1, received 0"),
        (lambda: lr.cosine(0.1, 0, -5), r"length must be at least 1, received -5"),
        (lambda: lr.polynomial(0.1, 0, 10, power=0), r"power must be above 0, received 0"),
        (lambda: lr.exponential(0, 1, 10), r"start must be above 0, received 0"),
        (lambda: lr.warmup(0, 10), r"max_lr must be above 0, received 0"),
        (lambda: lr.warmup(0.1, 10, start=0.2), r"start must be at most max_lr = 0.1, received 0.2: to fall, use linear"),
        (lambda: lr.triangular(0.2, 0.1, 10), r"base_lr must be below max_lr, received 0.2 and 0.1: swap them"),
        (lambda: lr.triangular(0.1, 0.1, 10), r"base_lr must be below max_lr, received 0.1 and 0.1: make room"),
        (lambda: lr.triangular2(0.1, 0.2, 0), r"step_size must be at least 1, received 0"),
        (lambda: lr.triangular2(0.1, 0.2, 10, cycles=0), r"cycles must be at least 1, received 0"),
        (lambda: lr.exp_range(0.1, 0.2, 10, gamma=1.1), r"gamma must be above 0 and at most 1, received 1.1"),
        (lambda: lr.exp_range(0.1, 0.2, 10, gamma=0), r"gamma must be above 0 and at most 1, received 0"),
        (
            lambda: lr.exp_range(0.1, 0.2, 10, 0.9, shrinks="all"),
            r"shrinks must be one of 'amplitude', 'bounds', received 'all'",
        ),
        (lambda: lr.one_cycle(0.1, 10, pct_start=1.0), r"pct_start must be strictly between 0 and 1, received 1.0"),
        (lambda: lr.one_cycle(0.1, 10, div_factor=0.5), r"div_factor must be at least 1, received 0.5"),
        (lambda: lr.one_cycle(0.1, 10, shape="cos"), r"shape must be one of 'cosine', 'linear', received 'cos'"),
    ],
)
def test_a_value_that_breaks_its_rule(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: lr.constant("0.1"), r"value must be a number, received '0.1' of type str"),
        (lambda: lr.constant(None), r"value must be a number, received None"),
        (lambda: lr.constant(True), r"value must be a number, received True of type bool"),
        (lambda: lr.linear(0.1, 0, 10.0), r"length must be an integer, received 10.0 of type float: round it"),
        (
            lambda: lr.constant(0.1, 5) >> 0.1,
            r"what follows >> must be a schedule, received 0.1 of type float: to hold a number",
        ),
    ],
)
def test_a_value_of_the_wrong_kind(build, message):
    with pytest.raises(TypeError, match=message):
        build()


def test_numbers_of_any_library_become_plain():
    s = lr.triangular(np.float32(0.5), np.int64(1), np.int8(7))
    assert (type(s.base_lr), type(s.max_lr), type(s.step_size)) == (float, float, int)
    assert s == lr.triangular(0.5, 1.0, 7)


@pytest.mark.parametrize("length", [1, 2])
def test_the_shortest_lengths_work(length):
    for s in (
        lr.linear(0.5, 0.1, length),
        lr.cosine(0.5, 0.1, length),
        lr.polynomial(0.5, 0.1, length),
        lr.exponential(0.5, 0.1, length),
        lr.warmup(0.1, length),
        lr.one_cycle(0.1, length),
        lr.triangular(0.1, 0.5, length, cycles=1),
    ):
        values = [s(n) for n in range(length + 3)]
        assert all(math.isfinite(value) for value in values)
        assert values[-1] == s(s.length)
