"""The published formulas at points that are computed by hand, in the units of a user."""

import math

import numpy as np
import pytest

import learnrate as lr

BASE, TOP, STEP = 0.001, 0.006, 2000  # the CIFAR-10 run of the CLR paper: section 4.1.1 and its code listing


def clr_paper(n, mode, gamma=0.99994):
    """The paper's own code (Smith, arXiv 1506.01186, section 3.1): cycle, x, and the three policies."""
    cycle = math.floor(1 + n / (2 * STEP))
    x = abs(n / STEP - 2 * cycle + 1)
    scale = {"triangular": 1, "triangular2": 1 / 2 ** (cycle - 1), "exp_range": gamma**n}[mode]
    return BASE + (TOP - BASE) * max(0, 1 - x) * scale


@pytest.mark.parametrize("n", [0, 1, 999, 1000, 2000, 2001, 3999, 4000, 4001, 6000, 8000, 123_456])
@pytest.mark.parametrize(
    ("mode", "schedule"),
    [
        ("triangular", lr.triangular(BASE, TOP, STEP)),
        ("triangular2", lr.triangular2(BASE, TOP, STEP)),
        ("exp_range", lr.exp_range(BASE, TOP, STEP, gamma=0.99994)),
    ],
)
def test_policies_equal_the_formulas_of_the_paper(mode, schedule, n):
    assert schedule(n) == pytest.approx(clr_paper(n, mode), rel=1e-11)


def logistic(x):
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("schedule", "points"),
    [
        (lr.triangular(0.001, 0.006, 2000), {0: 0.001, 1000: 0.0035, 2000: 0.006, 3000: 0.0035, 4000: 0.001, 6000: 0.006}),
        (lr.triangular2(0.001, 0.006, 2000), {2000: 0.006, 4000: 0.001, 6000: 0.0035, 10_000: 0.00225, 14_000: 0.001625}),
        (lr.exp_range(0.001, 0.006, 2000, 0.99994), {0: 0.001, 2000: 0.001 + 0.005 * 0.99994**2000, 4000: 0.001}),
        (
            lr.exp_range(0.001, 0.006, 2000, 0.99994, shrinks="bounds"),
            {0: 0.001, 2000: 0.006 * 0.99994**2000, 4000: 0.001 * 0.99994**4000},
        ),
        (
            lr.switch((lr.linear(0.1, 0.0, 100), lr.constant(0.5), lr.linear(0.0, 0.3, 60)), (50, 60)),
            {0: 0.1, 49: 0.051, 50: 0.5, 59: 0.5, 60: 0.3, 100: 0.3},
        ),
        (lr.linear(0.1, 0.0, 100), {0: 0.1, 25: 0.075, 50: 0.05, 100: 0.0, 500: 0.0}),
        (lr.cosine(0.1, 0.0, 100), {0: 0.1, 50: 0.05, 100: 0.0, 25: 0.05 * (1 + math.cos(math.pi / 4)), 101: 0.0}),
        (lr.polynomial(0.1, 0.0, 100, power=0.9), {0: 0.1, 50: 0.1 * 0.5**0.9, 100: 0.0}),
        (lr.exponential(1e-7, 10.0, 8), {0: 1e-7, 1: 1e-6, 4: 1e-3, 7: 1.0, 8: 10.0, 9: 10.0}),
        (lr.warmup(0.5, 4), {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.5, 5: 0.5}),
        (lr.warmup(0.5, 5, start=0.0), {0: 0.0, 1: 0.1, 5: 0.5}),
        (lr.one_cycle(1.0, 1000), {0: 0.04, 150: 0.52, 300: 1.0, 650: (1 + 4e-6) / 2, 1000: 4e-6}),
        (lr.one_cycle(1.0, 1000, shape="linear"), {0: 0.04, 150: 0.52, 300: 1.0, 650: (1 + 4e-6) / 2, 1000: 4e-6}),
        (lr.one_cycle.paper(1.0, 100), {0: 0.1, 45: 1.0, 90: 0.1, 95: (0.1 + 0.001) / 2, 100: 0.001}),
        (lr.one_cycle.fastai_v1(1.0, 100), {0: 0.04, 30: 1.0, 65: (1 + 4e-6) / 2, 100: 4e-6}),
        (lr.one_cycle.fastai_v2(1.0, 100), {0: 0.04, 25: 1.0, 100: 1e-5}),
        # Haegele et al.: 1 - sqrt(p)
        (lr.one_minus_sqrt(0.1, 0.0, 100), {0: 0.1, 1: 0.09, 25: 0.05, 81: 0.01, 100: 0.0, 101: 0.0}),
        # REX: (1 - p) / (1/2 + (1 - p) / 2), and the port with z / (0.1 + 0.9 z)
        (lr.rex(0.1, 0.0, 100), {0: 0.1, 50: 0.1 * 0.5 / 0.75, 75: 0.1 * 0.25 / 0.625, 100: 0.0}),
        (lr.rex(0.1, 0.0, 100, beta=0.9), {0: 0.1, 50: 0.1 * 0.5 / (0.1 + 0.9 * 0.5), 100: 0.0}),
        # HTD(-6, 3)
        (
            lr.tanh(0.1, 0.0, 90, ends="published"),
            {0: 0.05 * (1 - math.tanh(-6)), 60: 0.05, 90: 0.05 * (1 - math.tanh(3)), 99: 0.05 * (1 - math.tanh(3))},
        ),
        (lr.tanh(0.1, 0.0, 90), {0: 0.1, 90: 0.0}),
        (
            lr.sigmoid(0.0, 1.0, 100, steepness=2),
            {0: 0.0, 50: 0.5, 100: 1.0, 75: (logistic(0.5) - logistic(-1)) / (logistic(1) - logistic(-1))},
        ),
        (lr.cosine(0.1, 0.0, 100, k=2), {0: 0.1, 50: 0.05 * (1 + math.cos(math.pi / 4)), 100: 0.0}),
        (lr.cosine(0.1, 0.0, 100, power=2), {50: 0.025, 100: 0.0}),
        (lr.warmup(1.0, 10, start=0.1, shape="constant"), {0: 0.1, 9: 0.1, 10: 1.0, 11: 1.0}),
        (lr.warmup(1.0, 10, start=0.01, shape="exponential"), {0: 0.01, 5: 0.1, 10: 1.0}),
        (lr.warmup(1.0, 10, start=0.0, shape="cosine"), {0: 0.0, 5: 0.5, 10: 1.0}),
        # textbook forms
        (lr.inverse_time(0.1, 0.5), {0: 0.1, 2: 0.05, 18: 0.01}),
        (lr.step_decay(0.1, 0.5, 10), {0: 0.1, 9: 0.1, 10: 0.05, 30: 0.0125}),
        (lr.step_decay(0.1, 0.5, 10, offset=1), {8: 0.1, 9: 0.05, 19: 0.025}),
        (lr.exponential_decay(0.1, 0.9), {0: 0.1, 1: 0.09, 2: 0.081}),
        (lr.natural_exp_decay(0.1, 0.5), {0: 0.1, 4: 0.1 * math.exp(-2)}),
        (lr.inverse_sqrt(0.1, timescale=10).staircase(10), {0: 0.1, 9: 0.1, 30: 0.05, 39: 0.05}),  # k / sqrt(epoch)
        (lr.multistep(0.1, 0.1, (30, 60)), {0: 0.1, 29: 0.1, 30: 0.01, 59: 0.01, 60: 0.001, 999: 0.001}),
        (lr.piecewise_constant((0.1, 0.5, 0.2), (5, 9)), {0: 0.1, 4: 0.1, 5: 0.5, 8: 0.5, 9: 0.2}),
        # Vaswani et al., the base model
        (lr.noam(512, 4000), {0: 512**-0.5 * 4000**-1.5, 3999: 512**-0.5 * 4000**-0.5, 99_999: 512**-0.5 * 1e5**-0.5}),
        # windows and envelopes
        (lr.cyclical(0.0, 1.0, 4, window="welch"), {0: 0.0, 1: 1 - 0.75**2, 2: 0.75, 4: 1.0, 6: 0.75, 8: 0.0}),
        (lr.cyclical(0.0, 1.0, 4, window="hann"), {0: 0.0, 1: (1 - math.cos(math.pi / 4)) / 2, 2: 0.5, 4: 1.0, 8: 0.0}),
        (lr.cyclical(0.0, 1.0, 4, 2), {2: 0.5, 4: 1.0, 5: 0.5, 6: 0.0, 10: 1.0}),
        (lr.cyclical(0.0, 1.0, 4, envelope="gamma per cycle", gamma=0.9), {4: 1.0, 12: 0.9, 20: 0.81}),
        (lr.cyclical(1.0, 2.0, 4, envelope="halving", shrinks="bounds"), {0: 1.0, 4: 2.0, 8: 0.5, 12: 1.0}),
        # SGDR with T_0 = 10, T_mult = 2: the restarts of the paper's figure 1
        (lr.warm_restarts(0.05, 10, growth=2), {0: 0.05, 5: 0.025, 10: 0.05, 20: 0.025, 30: 0.05, 50: 0.025, 70: 0.05}),
        (lr.warm_restarts(1.0, 10, 0.1, decay=0.5), {0: 1.0, 10: 0.5, 15: 0.3, 20: 0.25}),
        (lr.warm_restarts(1.0, 10, 0.1, decay=0.5, decays="amplitude"), {0: 1.0, 10: 0.55, 20: 0.325}),
        (
            lr.warm_restarts(1.0, 10, warmup=2, cycles=2),
            {0: 1 / 3, 1: 2 / 3, 2: 1.0, 6: 0.5, 10: 1 / 3, 12: 1.0, 20: 0.0, 99: 0.0},
        ),
        (lr.wsd(1.0, 1000), {0: 1 / 51, 50: 1.0, 799: 1.0, 800: 1.0, 850: 0.5, 1000: 0.0}),
        (lr.trapezoid(1.0, 1000), {50: 1.0, 800: 1.0, 900: 0.5, 1000: 0.0}),
        (lr.knee(1.0, 1000, warmup=100), {100: 1.0, 599: 1.0, 600: 1.0, 800: 0.5, 1000: 0.0}),
        (lr.linear_to_zero(1.0, 1000), {100: 1.0, 550: 0.5, 1000: 0.0}),
        (lr.decay(0.001, 0.006, 2000), {0: 0.006, 1000: 0.0035, 2000: 0.001, 9999: 0.001}),
    ],
    ids=repr,
)
def test_values_at_points_computed_by_hand(schedule, points):
    for n, expected in points.items():
        assert schedule(n) == pytest.approx(expected, rel=1e-12, abs=1e-18), n


def test_a_part_of_a_chain_starts_where_the_part_before_ends():
    s = lr.warmup(0.1, 500) >> lr.cosine(0.1, 0.0, 9500) >> lr.constant(0.01)
    assert s(499) < 0.1
    assert s(500) == 0.1
    assert s(9_999) == pytest.approx(0.0, abs=1e-8)
    assert s(10_000) == s(10**9) == 0.01


@pytest.mark.parametrize("schedule", [lr.triangular(1.0, 5.0, 4, cycles=2), lr.triangular2(1.0, 5.0, 4, cycles=2)])
def test_a_number_of_cycles_ends_at_the_lower_bound(schedule):
    assert schedule.length == 16
    assert schedule(16) == schedule(17) == schedule(10**9) == 1.0
    assert schedule(15) > 1.0


def test_far_positions_are_exact():
    s = lr.triangular(0.0, 1.0, step_size=2000)
    assert s(4000 * 250_000_000 + 500) == s(500) == 0.25
    assert lr.triangular2(0.5, 1.0, 1)(2**62 + 1) == 0.5


def caffe(policy, base_lr, gamma, power, stepsize, iteration, max_iter):
    """Caffe's `SGDSolver::GetLearningRate`, as its comments in `caffe.proto` define the policies."""
    match policy:
        case "fixed":
            return base_lr
        case "step":
            return base_lr * gamma ** (iteration // stepsize)
        case "exp":
            return base_lr * gamma**iteration
        case "inv":
            return base_lr * (1 + gamma * iteration) ** -power
        case "multistep":
            return base_lr * gamma ** sum(iteration >= value for value in (stepsize, 3 * stepsize))
        case "poly":
            return base_lr * (1 - iteration / max_iter) ** power
        case "sigmoid":
            return base_lr / (1 + math.exp(-gamma * (iteration - stepsize)))


@pytest.mark.parametrize(
    ("policy", "gamma", "schedule"),
    [
        ("fixed", 0.9, lr.constant(0.1)),
        ("step", 0.9, lr.step_decay(0.1, 0.9, every=20)),
        ("exp", 0.9, lr.exponential_decay(0.1, 0.9)),
        ("inv", 0.9, lr.inverse_time(0.1, 0.9, power=0.75)),
        ("multistep", 0.9, lr.multistep(0.1, 0.9, (20, 60))),
        ("poly", 0.9, lr.polynomial(0.1, 0.0, 100, power=0.75)),
        ("sigmoid", -0.3, lr.sigmoid_decay(0.1, gamma=0.3, midpoint=20)),
    ],
)
def test_the_policies_of_caffe(policy, gamma, schedule):
    expected = [caffe(policy, 0.1, gamma, 0.75, 20, n, 100) for n in range(101)]
    np.testing.assert_allclose(schedule(np.arange(101)), expected, rtol=1e-12)


@pytest.mark.parametrize("decay", [1e-9, 1e-6, 1e-4, 0.01, 0.099, 0.1, 0.101, 0.5, 1.0, 3.0, 100.0])
def test_time_based_equals_a_loop(decay):
    updates = min(30_000, int(40 / math.sqrt(decay)) + 10)
    value, expected = 0.1, []
    for n in range(updates):
        expected.append(value)
        value /= 1 + decay * n
    np.testing.assert_allclose(lr.time_based(0.1, decay)(np.arange(updates)), expected, rtol=2e-12, atol=1e-300)


def test_decays_approach_0_at_huge_counts():
    for s in (
        lr.inverse_time(1.0, 0.1),
        lr.time_based(1.0, 0.1),
        lr.time_based(1.0, 100.0),
        lr.exponential_decay(1.0, 0.9),
        lr.natural_exp_decay(1.0, 5.0),
        lr.step_decay(1.0, 0.5, 1),
        lr.inverse_sqrt(1.0, 1),
        lr.sigmoid_decay(1.0, 5.0, 10),
        lr.noam(512),
        lr.triangular2(0.0, 1.0, 3),
        lr.exp_range(0.0, 1.0, 3, 0.9),
        lr.warm_restarts(1.0, 2, growth=3, decay=0.5),
        lr.linear(1.0, 0.0, 5).repeat(value_decay=0.5),
    ):
        for n in (10**6, 10**12, 2**53, 2**63 - 1):
            assert 0 <= s(n) <= 1e-2, (s, n)
            assert s(np.array([n])) == pytest.approx(s(n), abs=1e-300, rel=1e-9)


@pytest.mark.parametrize(
    ("period", "growth", "restarts"),
    [
        (7, 1.3, (7, 16.1, 27.93)),
        (10, 1.2, (10, 22, 36.4)),
        (1000, 1.1, (1000, 2100, 3310, 4641)),
        (100, 1.6, (100, 260, 516)),
    ],
)
def test_a_growth_is_the_decimal_that_the_user_wrote(period, growth, restarts):
    s = lr.warm_restarts(0.1, period, growth=growth)
    assert s.cycle_ends(math.ceil(restarts[-1])) == restarts
    for restart in restarts:
        if isinstance(restart, int):
            assert s(restart) == 0.1
            assert s(np.array([restart])) == 0.1
    finite = lr.warm_restarts(0.1, period, growth=growth, cycles=len(restarts))
    assert finite.length == math.ceil(restarts[-1])


@pytest.mark.parametrize("decay", [0.01, 0.5, 3.0, 100.0])
def test_time_based_never_rises(decay):
    values = lr.time_based(0.1, decay)(np.linspace(0, 5, 501))
    assert values[0] == lr.time_based(0.1, decay)(1) == 0.1
    assert (np.diff(values) <= 0).all()


def test_restarts_are_exact_at_all_powers():
    for growth in (2, 3, 5, 7, 10, 1.5):
        s = lr.warm_restarts(1.0, 8, growth=growth)
        for restart in s.cycle_ends(10**9):
            if float(restart).is_integer():
                assert s(restart) == 1.0
                assert s(restart - 1) < 0.5


def test_a_search_among_many_milestones_gives_the_same_values_as_comparisons():
    milestones = tuple(range(3, 63, 3))
    counts = np.arange(80)
    for s in (lr.multistep(1.0, 0.9, milestones), lr.multistep(1.0, 0.9, milestones[:16])):
        np.testing.assert_allclose(s(counts), [s(int(n)) for n in counts], rtol=1e-12)
        assert s(counts.astype(np.float32)).dtype == np.float32
