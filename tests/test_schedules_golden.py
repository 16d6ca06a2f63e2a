"""The published formulas at points computed by hand, in the units of a user."""

import math

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
        (lr.linear(0.1, 0.0, 100), {0: 0.1, 25: 0.075, 50: 0.05, 100: 0.0, 500: 0.0}),
        (lr.cosine(0.1, 0.0, 100), {0: 0.1, 50: 0.05, 100: 0.0, 25: 0.05 * (1 + math.cos(math.pi / 4)), 101: 0.0}),
        (lr.polynomial(0.1, 0.0, 100, power=0.9), {0: 0.1, 50: 0.1 * 0.5**0.9, 100: 0.0}),
        (lr.exponential(1e-7, 10.0, 8), {0: 1e-7, 1: 1e-6, 4: 1e-3, 7: 1.0, 8: 10.0, 9: 10.0}),
        (lr.warmup(0.5, 4), {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.5, 5: 0.5}),
        (lr.warmup(0.5, 5, start=0.0), {0: 0.0, 1: 0.1, 5: 0.5}),
        (lr.one_cycle(1.0, 1000), {0: 0.04, 150: 0.52, 300: 1.0, 650: (1 + 4e-6) / 2, 1000: 4e-6}),
        (lr.one_cycle(1.0, 1000, shape="linear"), {0: 0.04, 150: 0.52, 300: 1.0, 650: (1 + 4e-6) / 2, 1000: 4e-6}),
    ],
    ids=repr,
)
def test_values_at_hand_computed_points(schedule, points):
    for n, expected in points.items():
        assert schedule(n) == pytest.approx(expected, rel=1e-12, abs=1e-18), n


def test_a_chain_hands_over_at_the_end_of_each_part():
    s = lr.warmup(0.1, 500) >> lr.cosine(0.1, 0.0, 9500) >> lr.constant(0.01)
    assert s(499) < 0.1
    assert s(500) == 0.1
    assert s(9_999) == pytest.approx(0.0, abs=1e-8)
    assert s(10_000) == s(10**9) == 0.01


@pytest.mark.parametrize("schedule", [lr.triangular(1.0, 5.0, 4, cycles=2), lr.triangular2(1.0, 5.0, 4, cycles=2)])
def test_counted_cycles_end_at_the_lower_bound(schedule):
    assert schedule.length == 16
    assert schedule(16) == schedule(17) == schedule(10**9) == 1.0
    assert schedule(15) > 1.0


def test_far_positions_are_exact():
    s = lr.triangular(0.0, 1.0, step_size=2000)
    assert s(4000 * 250_000_000 + 500) == s(500) == 0.25
    assert lr.triangular2(0.5, 1.0, 1)(2**62 + 1) == 0.5
