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
        (lambda: lr.cosine(0.1, 0, 10, power=0), r"power must be above 0, received 0"),
        (lambda: lr.cosine(0.1, 0, 10, k=-1), r"k must be above 0, received -1"),
        (lambda: lr.rex(0.1, 0, 10, beta=1.0), r"beta must be at least 0 and below 1, received 1.0"),
        (lambda: lr.tanh(0.1, 0, 10, low=3, high=-6), r"low must be below high, received 3.0 and -6.0: swap them"),
        (
            lambda: lr.tanh(0.1, 0, 10, low=30, high=40),
            r"low must be where the tangent moves, received 30.0: -6 and 3 are usual",
        ),
        (lambda: lr.tanh(0.1, 0, 10, ends="exactly"), r"ends must be one of 'exact', 'published', received 'exactly'"),
        (lambda: lr.sigmoid(0.1, 0, 10, steepness=100), r"steepness must be at most 70, received 100.0: for a jump"),
        (lambda: lr.warmup(0.1, 10, shape="constant"), r"start must be given for a constant warm-up, received None"),
        (lambda: lr.warmup(0.1, 10, start=0, shape="exponential"), r"start must be above 0 for an exponential warm-up"),
        (lambda: lr.warmup(0.1, 10, shape="sqrt"), r"shape must be one of 'linear', 'cosine', 'exponential', 'constant'"),
        (lambda: lr.custom(0.1, 0, lambda p: p / 2, 10), r"shape\(1.0\) must be 1, received 0.5: a shape goes from 0 to 1"),
        (lambda: lr.custom(0.1, 0, lambda p: 3 * p, 10), r"shape\(0.5\) must be within \[0, 1\], received 1.5"),
        (lambda: lr.custom(0.1, 0, lambda p: math.nan, 10), r"shape\(0.0\) must be finite, received nan"),
        (lambda: lr.inverse_time(0.1, -1), r"decay must be at least 0, received -1"),
        (lambda: lr.time_based(0.1, 0), r"decay must be above 0, received 0"),
        (lambda: lr.exponential_decay(0.1, 1.5), r"rate must be above 0 and at most 1, received 1.5"),
        (lambda: lr.step_decay(0.1, 2.0, 10), r"factor must be above 0 and at most 1, received 2.0"),
        (lambda: lr.step_decay(0.1, 0.5, 10, offset=-1), r"offset must be at least 0, received -1"),
        (
            lambda: lr.multistep(0.1, 0.5, (30, 30)),
            r"milestones\[1\] must be above milestones\[0\] = 30, received 30: put them",
        ),
        (lambda: lr.multistep(0.1, 0.5, ()), r"milestones must hold at least one update number"),
        (lambda: lr.multistep(0.1, 0.5, (0, 3)), r"milestones\[0\] must be at least 1, received 0"),
        (lambda: lr.piecewise_constant((1, 2), (1, 2)), r"values must be one more than milestones, received 2 values and 2"),
        (lambda: lr.piecewise_constant((1, -2), (1,)), r"values\[1\] must be at least 0, received -2"),
        (lambda: lr.inverse_sqrt(0.1, 0), r"timescale must be at least 1, received 0"),
        (lambda: lr.noam(0), r"d_model must be at least 1, received 0"),
        (lambda: lr.sigmoid_decay(0.1, -1, 10), r"gamma must be above 0, received -1"),
        (
            lambda: lr.cyclical(0, 1, 10, window="hamming"),
            r"window must be one of 'triangular', 'welch', 'hann', received 'hamming'",
        ),
        (
            lambda: lr.cyclical(0, 1, 10, envelope="exp"),
            r"envelope must be one of 'constant', 'halving', 'gamma per update'",
        ),
        (lambda: lr.cyclical(0, 1, 10, gamma=0.9), r"gamma must be 1 where the envelope is 'constant', received 0.9"),
        (lambda: lr.cyclical(0, 1, 10, 0), r"step_size_down must be at least 1, received 0"),
        (lambda: lr.warm_restarts(0.1, 10, 0.2), r"min_lr must be below max_lr, received 0.2 and 0.1"),
        (lambda: lr.warm_restarts(0.1, 10, warmup=10), r"warmup must be below period = 10, received 10"),
        (lambda: lr.warm_restarts(0.1, 10, growth=0.5), r"growth must be at least 1, received 0.5"),
        (
            lambda: lr.warm_restarts(0.1, 10, 0.05, decay=0.1, cycles=2),
            r"decay must be such that every peak lies above min_lr",
        ),
        (lambda: lr.one_cycle(0.1, 10, phases=4), r"phases must be 2 or 3, received 4"),
        (lambda: lr.one_cycle(0.1, 10, pct_start=0.5, phases=3), r"pct_start must be below 1/2 with three phases"),
        (lambda: lr.one_cycle.torch(0.1, 1), r"total_steps must be at least 2, received 1"),
        (
            lambda: lr.wsd(0.1, 100, warmup=60, cooldown=40),
            r"must leave at least 1 of 100 updates to the 'rest', they leave 0",
        ),
        (lambda: lr.wsd(0.1, 100, shape="rex"), r"shape must be one of 'linear', 'cosine', '1-sqrt', received 'rex'"),
        (lambda: lr.decay(0.2, 0.1, 10), r"base_lr must be below max_lr, received 0.2 and 0.1"),
        (lambda: lr.linear_scaling(0.1, 0, 256), r"batch_size must be at least 1, received 0"),
        (lambda: lr.sqrt_scaling(-0.1, 1, 256), r"lr must be above 0, received -0.1"),
        (lambda: lr.wsd(0.1, "50%"), r"length must be a number of updates or 'rest', received '50%': resolve the run"),
        (lambda: lr.knee(-1), r"max_lr must be above 0, received -1"),
        (lambda: lr.triangular(0, 1, "rest"), r"step_size must be a length of its own, received 'rest'"),
        (lambda: lr.multistep(1, 0.1, ("rest",)), r"milestones\[0\] must be a length of its own"),
        (lambda: lr.multistep(1, 0.1, ("60%", "30%")), r"milestones\[1\] must be above milestones\[0\] = 60%"),
        (lambda: lr.warm_restarts(1, "1 epoch", warmup="2 epochs"), r"warmup must be below period = 1 epoch"),
        (lambda: lr.step_decay(1, 0.5, 10, offset="rest"), r"offset must be a length of its own"),
        (lambda: lr.linear(1, 0, 2**63), r"length must be at most 4611686018427387904"),
        (lambda: lr.linear(1, 0, 5).repeat(10**6, length_growth=1 + 1e-9), r"length_growth must be 1, or at least 1.001"),
        (lambda: lr.inverse_sqrt_scaling(-1, 4), r"k must be above 0, received -1"),
        (lambda: lr.warm_restarts(1, 10, growth=0.5), r"growth must be at least 1, received 0.5: periods that shrink"),
        (lambda: lr.tanh(0.1, 0, 10, low=-12, high=-9), r"low must be where the tangent moves, received -12.0"),
        (lambda: lr.tanh(0.1, 0, 10, low=-1e308, high=1e308), r"low must be where the tangent moves"),
        (lambda: lr.sigmoid(0.1, 0, 10, steepness=5e-324), r"steepness must be at least 0.001"),
        (lambda: lr.time_based(0.1, 1e308), r"decay must be within 1e-100 and 1e100"),
        (lambda: lr.linear(1, 0) >> lr.linear(0, 1), r"only one part of a chain can take the rest of the run, 2 do"),
        (lambda: lr.linear(1, 0).repeat(), r"what takes the rest of the run cannot be repeated without end"),
        (lambda: lr.linear(1, 0, 10).repeat(70, length_growth=2), r"all periods together must be at most 2 \*\* 62 updates"),
        (lambda: lr.warm_restarts(1, 10, growth=2, cycles=70), r"all periods together must be at most 2 \*\* 62 updates"),
        (lambda: lr.linear(1, 0, 10).shift(2**63), r"by must be at most 4611686018427387904"),
        (lambda: lr.constant(0.1, "5%").mirrored(0.8, 0.9), r"what is mirrored must not be constant"),
        (lambda: lr.constant(1e200) * 1e200, r"factor must be at most 1e100"),
        (lambda: lr.noam(10**400), r"d_model must be at most 4611686018427387904"),
        (lambda: lr.wsd(-0.1, 1000), r"max_lr must be above 0, received -0.1"),
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
        (lambda: lr.custom(0.1, 0, "cosine", 10), r"shape must be a function, received 'cosine' of type str"),
        (lambda: lr.linear(0.1, 0, np.array([2])), r"length must be an integer"),
        (lambda: lr.linear(0.1, 0, np.array(2.5)), r"length must be an integer"),
        (lambda: lr.function(0.1), r"of must be a function, received 0.1 of type float"),
        (lambda: lr.multistep(0.1, 0.5, 30), r"milestones must be a sequence of update numbers, received 30"),
        (lambda: lr.multistep(0.1, 0.5, "30"), r"milestones must be a sequence of update numbers, received '30'"),
        (lambda: lr.piecewise_constant(0.1, (3,)), r"values must be a sequence of numbers, received 0.1"),
        (lambda: lr.cyclical(0, 1, 10, window=3), r"window must be a function or one of 'triangular'"),
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
