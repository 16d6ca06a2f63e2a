"""Invalid arguments are refused when the schedule is built. The error names argument, rule and value."""

import math
import re

import numpy as np
import pytest
import torch

import learnrate as lr


@pytest.mark.parametrize(
    ("build", "argument", "rule", "received"),
    [
        (lambda: lr.constant(-0.1), "value", "at least 0", "-0.1"),
        (lambda: lr.constant(math.nan), "value", "finite", "nan"),
        (lambda: lr.constant(0.1, -1), "length", "at least 0", "-1"),
        (lambda: lr.linear(0.1, math.inf, 10), "end", "finite", "inf"),
        (lambda: lr.linear(0.1, 0, "10"), "length", "'3 epochs'", "'10'"),
        (lambda: lr.cosine(0.1, 0, -5), "length", "at least 0", "-5"),
        (lambda: lr.polynomial(0.1, 0, 10, power=0), "power", "above 0", "0"),
        (lambda: lr.exponential(0, 1, 10), "start", "above 0", "0"),
        (lambda: lr.warmup(0, 10), "max_lr", "above 0", "0"),
        (lambda: lr.warmup(0.1, 10, start=0.2), "start", "at most max_lr = 0.1", "0.2"),
        (lambda: lr.triangular(0.2, 0.1, 10), "base_lr", "below max_lr", "0.2 and 0.1"),
        (lambda: lr.triangular(0.1, 0.1, 10), "base_lr", "below max_lr", "0.1 and 0.1"),
        (lambda: lr.triangular2(0.1, 0.2, 0), "step_size", "at least 1", "0"),
        (lambda: lr.triangular2(0.1, 0.2, 10, cycles=0), "cycles", "at least 1", "0"),
        (lambda: lr.exp_range(0.1, 0.2, 10, gamma=1.1), "gamma", "above 0 and at most 1", "1.1"),
        (lambda: lr.exp_range(0.1, 0.2, 10, gamma=0), "gamma", "above 0 and at most 1", "0"),
        (lambda: lr.exp_range(0.1, 0.2, 10, 0.9, shrinks="all"), "shrinks", "one of 'amplitude', 'bounds'", "'all'"),
        (lambda: lr.cosine(0.1, 0, 10, power=0), "power", "above 0", "0"),
        (lambda: lr.cosine(0.1, 0, 10, k=-1), "k", "above 0", "-1"),
        (lambda: lr.rex(0.1, 0, 10, beta=1.0), "beta", "at least 0 and below 1", "1.0"),
        (lambda: lr.tanh(0.1, 0, 10, low=3, high=-6), "low", "below high", "3.0 and -6.0"),
        (lambda: lr.tanh(0.1, 0, 10, low=30, high=40), "low", "tangent", "30.0"),
        (lambda: lr.tanh(0.1, 0, 10, ends="exactly"), "ends", "one of 'exact', 'published'", "'exactly'"),
        (lambda: lr.sigmoid(0.1, 0, 10, steepness=100), "steepness", "at most 70", "100.0"),
        (lambda: lr.warmup(0.1, 10, shape="constant"), "start", "given", "None"),
        (lambda: lr.warmup(0.1, 10, start=0, shape="exponential"), "start", "above 0", ""),
        (lambda: lr.warmup(0.1, 10, shape="sqrt"), "shape", "one of 'linear', 'cosine', 'exponential', 'constant'", ""),
        (lambda: lr.custom(0.1, 0, lambda p: p / 2, 10), "shape(1.0)", "1", "0.5"),
        (lambda: lr.custom(0.1, 0, lambda p: 3 * p, 10), "shape(0.5)", "within [0, 1]", "1.5"),
        (lambda: lr.custom(0.1, 0, lambda p: math.nan, 10), "shape(0.0)", "finite", "nan"),
        (lambda: lr.inverse_time(0.1, -1), "decay", "at least 0", "-1"),
        (lambda: lr.time_based(0.1, 0), "decay", "above 0", "0"),
        (lambda: lr.exponential_decay(0.1, 1.5), "rate", "above 0 and at most 1", "1.5"),
        (lambda: lr.step_decay(0.1, 2.0, 10), "factor", "above 0 and at most 1", "2.0"),
        (lambda: lr.step_decay(0.1, 0.5, 10, offset=-1), "offset", "at least 0", "-1"),
        (lambda: lr.multistep(0.1, 0.5, (30, 30)), "milestones[1]", "above milestones[0] = 30", "30"),
        (lambda: lr.multistep(0.1, 0.5, ()), "milestones", "at least one", ""),
        (lambda: lr.multistep(0.1, 0.5, (0, 3)), "milestones[0]", "at least 1", "0"),
        (lambda: lr.piecewise_constant((1, 2), (1, 2)), "values", "one item more than milestones", "2 values and 2"),
        (lambda: lr.piecewise_constant((1, -2), (1,)), "values[1]", "at least 0", "-2"),
        (lambda: lr.inverse_sqrt(0.1, 0), "timescale", "at least 1", "0"),
        (lambda: lr.noam(0), "d_model", "at least 1", "0"),
        (lambda: lr.sigmoid_decay(0.1, -1, 10), "gamma", "above 0", "-1"),
        (lambda: lr.cyclical(0, 1, 10, window="hamming"), "window", "one of 'triangular', 'welch', 'hann'", "'hamming'"),
        (lambda: lr.cyclical(0, 1, 10, envelope="exp"), "envelope", "one of 'constant', 'halving', 'gamma per update'", ""),
        (lambda: lr.cyclical(0, 1, 10, gamma=0.9), "gamma", "'constant'", "0.9"),
        (lambda: lr.cyclical(0, 1, 10, 0), "step_size_down", "at least 1", "0"),
        (lambda: lr.warm_restarts(0.1, 10, 0.2), "min_lr", "below max_lr", "0.2 and 0.1"),
        (lambda: lr.warm_restarts(0.1, 10, warmup=10), "warmup", "below period = 10", "10"),
        (lambda: lr.warm_restarts(0.1, 10, growth=0.5), "growth", "at least 1", "0.5"),
        (lambda: lr.warm_restarts(0.1, 10, 0.05, decay=0.1, cycles=2), "decay", "min_lr", ""),
        (lambda: lr.one_cycle(0.1, 10, phases=4), "phases", "2 or 3", "4"),
        (lambda: lr.one_cycle(0.1, 10, pct_start=0.5, phases=3), "pct_start", "below 1/2", ""),
        (lambda: lr.one_cycle.torch(0.1, 1), "total_steps", "at least 2", "1"),
        (lambda: lr.wsd(0.1, 100, warmup=60, cooldown=41), "the other parts", "at least 0 of 100 updates", "1 more"),
        (lambda: lr.wsd(0.1, 100, shape="rex"), "shape", "one of 'linear', 'cosine', '1-sqrt'", "'rex'"),
        (lambda: lr.decay(0.2, 0.1, 10), "base_lr", "below max_lr", "0.2 and 0.1"),
        (lambda: lr.linear_scaling(0.1, 0, 256), "batch_size", "at least 1", "0"),
        (lambda: lr.sqrt_scaling(-0.1, 1, 256), "lr", "above 0", "-0.1"),
        (lambda: lr.wsd(0.1, "50%"), "length", "a number of updates or 'rest'", "'50%'"),
        (lambda: lr.knee(-1), "max_lr", "above 0", "-1"),
        (lambda: lr.triangular(0, 1, "rest"), "step_size", "", "'rest'"),
        (lambda: lr.multistep(1, 0.1, ("rest",)), "milestones[0]", "", ""),
        (lambda: lr.multistep(1, 0.1, ("60%", "30%")), "milestones[1]", "above milestones[0] = 60%", ""),
        (lambda: lr.warm_restarts(1, "1 epoch", warmup="2 epochs"), "warmup", "below period = 1 epoch", ""),
        (lambda: lr.step_decay(1, 0.5, 10, offset="rest"), "offset", "", ""),
        (lambda: lr.linear(1, 0, 2**63), "length", "at most 4611686018427387904", ""),
        (lambda: lr.linear(1, 0, 5).repeat(10**6, length_growth=1 + 1e-9), "length_growth", "1, or at least 1.001", ""),
        (lambda: lr.inverse_sqrt_scaling(-1, 4), "k", "above 0", "-1"),
        (lambda: lr.warm_restarts(1, 10, growth=0.5), "growth", "at least 1", "0.5"),
        (lambda: lr.tanh(0.1, 0, 10, low=-12, high=-9), "low", "tangent", "-12.0"),
        (lambda: lr.tanh(0.1, 0, 10, low=-1e308, high=1e308), "low", "tangent", ""),
        (lambda: lr.sigmoid(0.1, 0, 10, steepness=5e-324), "steepness", "at least 0.001", ""),
        (lambda: lr.time_based(0.1, 1e308), "decay", "within 1e-100 and 1e100", ""),
        (lambda: lr.linear(1, 0).repeat(), "times", "given", "linear(start=1.0, end=0.0)"),
        (lambda: lr.linear(1, 0, 10).repeat(70, length_growth=2), "all periods together", "at most 2 ** 62 updates", ""),
        (lambda: lr.warm_restarts(1, 10, growth=2, cycles=70), "all periods together", "at most 2 ** 62 updates", ""),
        (lambda: lr.linear(1, 0, 10).shift(2**63), "by", "at most 4611686018427387904", ""),
        (
            lambda: lr.constant(0.1, "5%").mirrored(0.8, 0.9),
            "the mirrored schedule",
            "not be constant",
            "constant(value=0.1, length='5%')",
        ),
        (lambda: lr.constant(1e200) * 1e200, "factor", "at most 1e100", ""),
        (lambda: lr.noam(10**400), "d_model", "at most 4611686018427387904", ""),
        (lambda: lr.constant(10**5000), "value", "finite", "bits"),
        (lambda: lr.multistep(0.1, 0.5, (10**5000,)), "milestones[0]", "at most 4611686018427387904", "bits"),
        (lambda: lr.constant(0.1)(10**5000), "the update count", "below 2 ** 63", "bits"),
        (lambda: lr.step_decay(0.1, 0.5, 5, offset=10**400), "offset", "at most 4611686018427387904", ""),
        (lambda: lr.warm_restarts(0.1, 5, warmup=10**400), "warmup", "at most 4611686018427387904", ""),
        (
            lambda: lr.one_cycle(0.1, 10, pct_start=0),
            "pct_start",
            "strictly between 0 and 1",
            "0: for a fall only, use cosine(",
        ),
        (lambda: lr.one_cycle.torch(0.1, 10, pct_start=0), "pct_start", "strictly between 0 and 1", "cosine("),
        (lambda: lr.decay(0.1, 0.2, 0), "step_size", "at least 1", "0"),
        (lambda: lr.wsd(0.1, warmup="5 eons"), "warmup", "'3 epochs'", "'5 eons'"),
        (lambda: lr.wsd(0.1, cooldown=-1), "cooldown", "at least 0", "-1"),
        (lambda: lr.knee(0.1, explore="rest"), "explore", "a length of its own", "'rest'"),
        (lambda: lr.wsd(-0.1, 1000), "max_lr", "above 0", "-0.1"),
        (lambda: lr.one_cycle(0.1, 10, pct_start=1.0), "pct_start", "strictly between 0 and 1", "1.0"),
        (lambda: lr.one_cycle(0.1, 10, div_factor=0.5), "div_factor", "at least 1", "0.5"),
        (lambda: lr.one_cycle(0.1, 10, shape="cos"), "shape", "one of 'cosine', 'linear'", "'cos'"),
    ],
)
def test_a_value_that_breaks_its_rule(build, argument, rule, received):
    with pytest.raises(ValueError, match=rf"^{re.escape(argument)} must ") as caught:
        build()
    assert rule in str(caught.value)
    assert received in str(caught.value)


@pytest.mark.parametrize(
    ("build", "argument", "rule", "received"),
    [
        (lambda: lr.constant("0.1"), "value", "a number", "'0.1' of type str"),
        (lambda: lr.constant(None), "value", "a number", "None"),
        (lambda: lr.constant(True), "value", "a number", "True of type bool"),
        (lambda: lr.custom(0.1, 0, "cosine", 10), "shape", "a function", "'cosine' of type str"),
        (lambda: lr.linear(0.1, 0, np.array([2])), "length", "an integer", ""),
        (lambda: lr.linear(0.1, 0, np.array(2.5)), "length", "an integer", ""),
        (lambda: lr.function(0.1), "of", "a function", "0.1 of type float"),
        (lambda: lr.multistep(0.1, 0.5, 30), "milestones", "a sequence of update numbers", "30"),
        (lambda: lr.multistep(0.1, 0.5, "30"), "milestones", "a sequence of update numbers", "'30'"),
        (lambda: lr.piecewise_constant(0.1, (3,)), "values", "a sequence of numbers", "0.1"),
        (lambda: lr.cyclical(0, 1, 10, window=3), "window", "a function or one of 'triangular'", ""),
        (lambda: lr.linear(0.1, 0, 10.0), "length", "an integer", "10.0 of type float"),
        (lambda: lr.constant(0.1, 5) >> 0.1, "the right side of >>", "a schedule", "0.1 of type float"),
        (lambda: lr.wsd(0.1, np.arange(3)), "length", "an integer", "array([0, 1, 2])"),
        (lambda: lr.wsd(0.1, warmup=math.nan), "warmup", "an integer", "nan"),
        (lambda: lr.trapezoid(0.1, cooldown=2.5), "cooldown", "an integer", "2.5"),
        (lambda: lr.knee(0.1, warmup=np.arange(3)), "warmup", "an integer", ""),
        (lambda: lr.linear_to_zero(0.1, warmup=None), "warmup", "an integer", "None"),
        (lambda: lr.multistep(0.1, 0.5, torch.tensor(5)), "milestones", "a sequence of update numbers", "tensor(5)"),
        (lambda: lr.multistep(0.1, 0.5, np.array(5)), "milestones", "a sequence of update numbers", "array(5)"),
        (lambda: lr.piecewise_constant(torch.tensor(5.0), (3,)), "values", "a sequence of numbers", "tensor(5.)"),
    ],
)
def test_a_value_of_the_wrong_type(build, argument, rule, received):
    with pytest.raises(TypeError, match=rf"^{re.escape(argument)} must ") as caught:
        build()
    assert rule in str(caught.value)
    assert received in str(caught.value)


def test_only_one_part_of_a_chain_takes_the_rest_of_the_run():
    with pytest.raises(ValueError, match="rest of the run"):
        _ = lr.linear(1, 0) >> lr.linear(0, 1)


@pytest.mark.parametrize(
    ("build", "remedy"),
    [
        (lambda: lr.triangular(0.2, 0.1, 10), "swap"),
        (lambda: lr.warmup(0.1, 10, start=0.2), "linear("),
        (lambda: lr.sigmoid(0.1, 0, 10, steepness=100), "constant("),
        (lambda: lr.linear(0.1, 0, 10.0), "round"),
        (lambda: lr.constant(0.1, 5) >> 0.1, "constant("),
        (lambda: lr.wsd(0.1, "50%"), "resolve("),
        (lambda: lr.warm_restarts(0.1, 10, 0.05, decay=0.1, cycles=2), "decays='amplitude'"),
    ],
)
def test_the_error_names_a_remedy(build, remedy):
    with pytest.raises((ValueError, TypeError)) as caught:
        build()
    assert remedy in str(caught.value)


def test_numbers_of_any_library_become_python_numbers():
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
