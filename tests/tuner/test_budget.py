"""What tuning may cost: how a budget is given, what is usual, and that no more is spent."""

import math
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import learnrate as lr
from facts import facts
from learnrate.errors import NoAnswerError
from learnrate.tuner.budget import Budget, Purse, read, usual
from learnrate.tuner.tune import SMALLEST_BUDGET, sweep_updates
from trainees import Diverging, Frozen, Quadratic, Regression, Stubborn


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (None, Budget(1000)),
        (0.5, Budget(500)),
        (1, Budget(1000)),
        (3.0, Budget(3000)),
        (np.float32(0.5), Budget(500)),
        (0.29, Budget(290)),  # 0.29 * 1000 is a little less in floats
        ("500 updates", Budget(500)),
        ("1 update", Budget(1)),
        ("1.5e3 updates", Budget(1500)),
        (" 500updates ", Budget(500)),
        ("25%", Budget(250)),
        ("12.5 %", Budget(125)),
        ("29%", Budget(290)),
        ("250 %", Budget(2500)),
        ("90 seconds", Budget(1000, 90.0)),
        (".5 Seconds", Budget(1000, 0.5)),
        ("1 minute", Budget(1000, 60.0)),
        ("5 MINUTES", Budget(1000, 300.0)),
        ("1.5 hours", Budget(1000, 5400.0)),
        (10, Budget(10_000)),
        ("1e300 updates", Budget(2**62)),
    ],
)
def test_every_spelling(budget, expected):
    assert read(budget, 1000) == expected


@pytest.mark.parametrize(
    ("budget", "error", "remedy"),
    [
        (0, ValueError, ()),
        (-0.5, ValueError, ()),
        (math.nan, ValueError, ("finite",)),
        (math.inf, ValueError, ("finite",)),
        (500, ValueError, (10, "500 updates", "50000%")),
        (True, TypeError, ("share", "500 updates")),
        ([0.5], TypeError, ("number",)),
        (b"25%", TypeError, ("500 updates",)),
        ("", ValueError, ("500 updates", "''")),
        ("25", ValueError, ("25%",)),
        ("percent", ValueError, ("25%",)),
        ("0%", ValueError, ("25%",)),
        ("-5 updates", ValueError, ()),
        ("nan seconds", ValueError, ()),
        ("1e999 seconds", ValueError, ()),
        ("5 miles", ValueError, ("updates", "%", "seconds", "minutes")),
        ("5 minutes or so", ValueError, ()),
    ],
)
def test_other_budgets_are_refused(budget, error, remedy):
    with pytest.raises(error, match=facts("budget", budget, *remedy)):
        read(budget, 1000)
    with pytest.raises(error, match=facts("budget", budget, *remedy)):
        lr.tune(Regression(), updates=1000, budget=budget)


@given(st.integers(1, 10**7), st.integers(0, 10**7))
def test_usual_grows_with_the_training_and_its_share_falls(updates, more):
    assert usual(updates) <= usual(updates + more)
    # The floor may cost one update of the shorter training.
    assert (usual(updates) + 1) / updates >= usual(updates + more) / (updates + more)


def test_usual_keeps_what_is_promised():
    assert all(usual(updates) == updates for updates in (1, 40, 300, 1199, 1200))
    assert usual(5000) == 0.25 * 5000
    assert usual(20_000) == 0.1 * 20_000
    for updates in (4999, 5001, 19_999, 20_001):
        near = 5000 if updates < 10_000 else 20_000
        assert abs(usual(updates) - usual(near)) <= 1


@given(st.integers(SMALLEST_BUDGET, 10**6))
def test_a_range_test_leaves_at_least_half_of_the_budget_to_races(budget):
    assert 20 <= sweep_updates(budget) <= budget / 2


TRAINEES = st.sampled_from([Quadratic, Diverging, Stubborn, Frozen])
FAMILIES = st.sampled_from([None, "one_cycle", "triangular2", lr.constant, ["warmup_cosine", "wsd", "one_cycle"]])


@pytest.mark.slow
@settings(max_examples=60)
@given(
    kind=TRAINEES,
    updates=st.integers(22, 600),
    budget=st.integers(40, 900),
    curvature=st.floats(-3, 3),
    plateau=st.sampled_from([0, 0, 0, 30]),
    family=FAMILIES,
)
def test_is_never_exceeded_and_the_start_is_given_back(kind, updates, budget, curvature, plateau, family):
    trainee = kind(curvature=10**curvature, plateau=plateau)
    budget += 200 if isinstance(family, list) else 0  # with less, three families are refused
    before = trainee.save()
    with suppress(NoAnswerError):
        plan = lr.tune(trainee, updates=updates, budget=f"{budget} updates", family=family)
        assert plan.spent == trainee.all_made
        assert plan.cost == plan.spent / updates
        assert all(race.updates <= max(10, updates) for race in plan.races)
    assert trainee.all_made <= budget
    assert trainee.save() == before


def test_no_time_passes_for_the_pace_while_a_caller_looks_at_the_curve():
    purse = Purse(Budget(1000, 100.0), spent=10, _began=time.monotonic() - 20)
    assert purse.left == pytest.approx(40, abs=1)
    purse.idle = 10.0
    assert purse.left == pytest.approx(80, abs=1)
    with purse.idling():
        time.sleep(0.02)
    assert purse.idle > 10.01


def test_races_longer_than_the_training_are_not_run():
    plan = lr.tune(Quadratic(noise=0.0), updates=8, budget="2000 updates")
    assert {race.updates for race in plan.races} == {8}
    plan = lr.tune(Quadratic(), updates=60, budget="10000%")
    assert max(race.updates for race in plan.races) == 30


def test_a_curve_that_is_given_counts():
    trainee = Regression()
    start = trainee.save()
    curve = lr.range_test(trainee.update, updates=50)
    trainee.restore(start)
    trainee.made = 0
    plan = lr.tune(trainee, updates=300, curve=curve)
    assert plan.curve == curve
    assert plan.spent == trainee.made + len(curve) <= 300


def test_a_curve_that_leaves_nothing_is_refused_before_an_update_is_made():
    trainee = Regression()
    curve = lr.range_test(trainee.update, updates=50, stop=None, high=0.1)
    trainee.made = 0
    for budget in ("69 updates", "50 updates", "10 updates"):
        with pytest.raises(ValueError, match=facts("budget", "curve", 50, 20, budget)):
            lr.tune(trainee, updates=300, budget=budget, curve=curve)
    assert trainee.made == 0
    assert lr.tune(trainee, updates=300, budget="70 updates", curve=curve).spent <= 70


class Slow(Quadratic):
    """Takes two thousandths of a second for an update, or a little more."""

    pause = 0.002

    def update(self, rate):
        time.sleep(self.pause)
        return super().update(rate)


def test_a_budget_in_seconds_is_kept():
    trainee = Slow()
    began = time.monotonic()
    plan = lr.tune(trainee, updates=5000, budget="2 seconds")
    assert time.monotonic() - began < 6  # a busy machine may be late in noticing
    assert trainee.all_made == plan.spent <= 2 / Slow.pause + 1
    assert 0.05 < plan.max_lr < 2


def test_a_budget_in_seconds_counts_no_time_for_a_curve_that_is_given():
    trainee = Slow()
    before = trainee.save()
    curve = lr.range_test(Quadratic().update, updates=100, high=100.0)
    plan = lr.tune(trainee, updates=5000, budget="1 second", curve=curve)
    assert trainee.all_made == plan.spent - len(curve) <= 1 / Slow.pause + 1
    assert trainee.save() == before


@pytest.mark.parametrize("budget", ["1e-6 seconds", "0.03 seconds"])
def test_a_time_that_is_too_short_is_no_answer(budget):
    trainee = Slow()
    before = trainee.save()
    with pytest.raises(NoAnswerError, match=facts("budget", "larger")):
        lr.tune(trainee, updates=5000, budget=budget)
    assert trainee.save() == before


def test_a_purse_foresees_the_pace():
    purse = Purse(Budget(1000, 100.0), _began=time.monotonic() - 25)
    assert purse.left == 1000  # nothing is known of the pace yet
    purse.pay(100)
    assert 250 <= purse.left <= 300
    purse.given = 50
    assert 120 <= purse.left <= 150
    late = Purse(Budget(1000, 1.0), _began=time.monotonic() - 2)
    assert late.late
    assert late.left == 0
    spent = Purse(Budget(10), spent=12)
    assert spent.left == 0
    assert not spent.late


def test_a_purse_knows_what_fits_into_its_time():
    assert Purse(Budget(1000)).whole == 1000
    assert Purse(Budget(1000), spent=300).whole == 1000
    assert Purse(Budget(10_000, 60.0), spent=40, given=40).whole == 540  # no pace yet
    assert 380 <= Purse(Budget(10_000, 100.0), spent=100, _began=time.monotonic() - 25).whole <= 400
