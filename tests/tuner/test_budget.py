"""What tuning may cost: how a budget is given, the usual budget, and that no more is spent."""

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
from learnrate.trainable import Reading
from learnrate.tuner.budget import OUT_OF_TIME, Budget, Spending, read, usual
from learnrate.tuner.request import SMALLEST_BUDGET, probe_length, range_test_length
from test_runner import Clock
from trainables import ConstantLoss, NotFinite, Quadratic, Regression, Unrelated


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (None, Budget(600)),
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
def test_a_budget_is_read_in_every_spelling(budget, expected):
    assert read(budget, 1000) == expected


@pytest.mark.parametrize(
    ("budget", "error", "words"),
    [
        (0, ValueError, ("budget", "above 0", "received 0")),
        (-0.5, ValueError, ("budget", "above 0", -0.5)),
        (math.nan, ValueError, ("budget", "finite", math.nan)),
        (math.inf, ValueError, ("budget", "finite", math.inf)),
        (500, ValueError, ("budget", "at most 10", "received 500", "'500 updates'", "'50000%'")),
        (True, TypeError, ("budget", "number", True, "share", "text")),
        ([0.5], TypeError, ("budget", "number", "[0.5]")),
        (b"25%", TypeError, ("budget", "number", "b'25%'", "text", "'500 updates'")),
        ("", ValueError, ("budget", "text", "''")),
        ("25", ValueError, ("budget", "text", "'25'")),
        ("percent", ValueError, ("budget", "text", "'percent'")),
        ("0%", ValueError, ("budget", "text", "'0%'")),
        ("-5 updates", ValueError, ("budget", "text", "'-5 updates'")),
        ("nan seconds", ValueError, ("budget", "text", "'nan seconds'")),
        ("1e999 seconds", ValueError, ("budget", "text", "'1e999 seconds'")),
        ("5 miles", ValueError, ("budget", "'90 seconds'", "'5 minutes'", "'5 miles'")),
        ("5 minutes or so", ValueError, ("budget", "text", "'5 minutes or so'")),
    ],
)
def test_a_wrong_budget_is_refused(budget, error, words):
    with pytest.raises(error, match=facts(*words)):
        read(budget, 1000)
    with pytest.raises(error, match=facts(*words)):
        lr.tune(Regression(), updates=1000, budget=budget)


@given(st.integers(1, 10**7), st.integers(0, 10**7))
def test_the_usual_budget_grows_with_the_run_and_its_share_falls(updates, more):
    assert usual(updates) <= usual(updates + more)
    # Rounding down may cost one update of the shorter run.
    assert (usual(updates) + 1) / updates >= usual(updates + more) / (updates + more)


def test_the_usual_budget_is_as_documented():
    assert all(usual(updates) == updates for updates in (1, 40, 180))
    assert all(usual(updates) == 0.6 * updates for updates in (300, 600, 1000, 1500))
    assert [usual(updates) for updates in (5000, 20_000, 100_000)] == [1000, 1400, 2000]  # 20 %, 7 %, 2 %
    for updates in (300, 1500, 5000, 20_000, 100_000):
        assert abs(usual(updates + 1) - usual(updates - 1)) <= 2


@given(st.integers(SMALLEST_BUDGET, 10**6))
def test_a_probe_or_a_range_test_leaves_at_least_half_of_the_budget_to_trials(budget):
    assert 20 <= range_test_length(budget) <= budget / 2
    for updates in (40, 1000, 10**6):
        assert 20 <= probe_length(budget, updates) <= budget / 2


FAMILIES = st.sampled_from([None, "one_cycle", "triangular2", lr.constant, ["warmup_cosine", "wsd", "one_cycle"]])


@pytest.mark.slow
@settings(max_examples=60)
@given(
    kind=st.sampled_from([Quadratic, NotFinite, Unrelated, ConstantLoss]),
    updates=st.integers(22, 600),
    budget=st.integers(40, 900),
    curvature=st.floats(-3, 3),
    plateau=st.sampled_from([0, 0, 0, 30]),
    family=FAMILIES,
)
def test_a_budget_is_never_exceeded_and_the_start_is_restored(kind, updates, budget, curvature, plateau, family):
    trainable = kind(curvature=10**curvature, plateau=plateau)
    budget += 200 if isinstance(family, list) else 0  # with less, three families are refused
    before = trainable.save()
    with suppress(NoAnswerError):
        plan = lr.tune(trainable, updates=updates, budget=f"{budget} updates", family=family)
        assert plan.spent == trainable.all_updates
        assert plan.cost == plan.spent / updates
        assert all(trial.updates <= max(10, updates) for trial in plan.trials)
    assert trainable.all_updates <= budget
    assert trainable.save() == before


@pytest.mark.parametrize("every", [2, 8, 1000])
def test_a_budget_is_kept_if_losses_are_read_several_at_a_time(every):
    class ReadLate(Quadratic):
        reading = Reading(every=every, within=math.inf)

    trainable = ReadLate()
    plan = lr.tune(trainable, updates=300)
    assert plan.spent == trainable.all_updates <= 300


def test_trials_are_not_longer_than_the_run():
    plan = lr.tune(Quadratic(noise=0.0), updates=8, budget="2000 updates")
    assert {trial.updates for trial in plan.trials} == {8}
    plan = lr.tune(Quadratic(), updates=60, budget="10000%")
    assert max(trial.updates for trial in plan.trials) == 30


def test_the_updates_of_a_given_curve_count_as_spent():
    trainable = Regression()
    curve = lr.range_test(trainable, updates=50)
    trainable.all_updates = 0
    plan = lr.tune(trainable, updates=300, curve=curve)
    assert plan.curve == curve
    assert plan.spent == trainable.all_updates + len(curve) <= 300


def test_a_curve_that_leaves_no_budget_is_refused_before_the_first_update():
    trainable = Regression()
    curve = lr.range_test(trainable, updates=50, stop=None, high=0.1)
    trainable.all_updates = 0
    for budget in ("69 updates", "50 updates", "10 updates"):
        with pytest.raises(ValueError, match=facts("budget", "50 updates", "curve", "at least 20", f"received {budget}")):
            lr.tune(trainable, updates=300, budget=budget, curve=curve)
    assert trainable.all_updates == 0
    assert lr.tune(trainable, updates=300, budget="70 updates", curve=curve).spent <= 70


class Slow(Quadratic):
    """Needs two thousandths of a second for an update, or a little more."""

    pause = 0.002

    def update(self, lr):
        time.sleep(self.pause)
        return super().update(lr)


@pytest.mark.slow
def test_a_budget_in_seconds_is_kept():
    trainable = Slow()
    began = time.monotonic()
    plan = lr.tune(trainable, updates=5000, budget="2 seconds")
    assert time.monotonic() - began < 6  # a busy machine may notice the time late
    assert trainable.all_updates == plan.spent <= 2 / Slow.pause + 1
    assert 0.05 < plan.max_lr < 2


def test_a_budget_in_seconds_does_not_include_the_time_of_a_given_curve():
    trainable = Slow()
    before = trainable.save()
    curve = lr.range_test(Quadratic(), updates=100, high=100.0)
    plan = lr.tune(trainable, updates=5000, budget="1 second", curve=curve)
    assert trainable.all_updates == plan.spent - len(curve) <= 1 / Slow.pause + 1
    assert trainable.save() == before


@pytest.mark.parametrize("budget", ["1e-6 seconds", "0.03 seconds"])
def test_a_time_that_is_too_short_is_no_answer(budget):
    trainable = Slow()
    before = trainable.save()
    with pytest.raises(NoAnswerError, match=facts("budget", "before", "larger budget")):
        lr.tune(trainable, updates=5000, budget=budget)
    assert trainable.save() == before


def spending(budget, seconds=0.0, **fields):
    """What is spent after this time."""
    clock = Clock()
    state = Spending(budget, clock=clock, **fields)
    clock.seconds = seconds
    return state


def test_the_remaining_updates_follow_from_the_pace():
    assert spending(Budget(1000, 100.0), 25).remaining() == 1000  # the pace is not known yet
    assert spending(Budget(1000, 100.0), 25, spent=100).remaining() == 300
    assert spending(Budget(1000, 100.0), 25, spent=100, given=50).remaining() == 150
    late = spending(Budget(1000, 1.0), 2)
    assert late.out_of_time() == OUT_OF_TIME
    assert late.remaining() == 0
    over = spending(Budget(10), spent=12)
    assert over.remaining() == 0
    assert over.out_of_time() is None


def test_a_pause_does_not_count_for_the_pace():
    clock = Clock()
    state = Spending(Budget(1000, 100.0), spent=10, clock=clock)
    clock.seconds = 10
    with state.pause():
        clock.seconds = 20
    assert state.remaining() == 80


@pytest.mark.parametrize("budget", ["1e308 seconds", "1e307 minutes", "1e308 hours"])
def test_a_budget_of_more_seconds_than_a_float_holds_updates_for_is_one_run(budget):
    assert spending(read(budget, 1000), 0.5, spent=5).total() == 1000


def test_a_share_of_many_runs_has_a_remedy_that_can_be_given():
    with pytest.raises(ValueError, match=facts("budget", "at most 10")) as raised:
        read(1e308, 1000)
    assert "inf" not in str(raised.value)


def test_the_total_of_a_budget_in_seconds_follows_from_the_pace():
    assert spending(Budget(1000)).total() == 1000
    assert spending(Budget(1000), spent=300).total() == 1000
    assert spending(Budget(10_000, 60.0), spent=40, given=40).total() == 540  # the pace is not known yet
    assert spending(Budget(10_000, 100.0), 25, spent=100).total() == 400


def test_processes_use_the_time_of_one_of_them():
    assert spending(Budget(1000, 100.0), 25, spent=100, agree=lambda updates: 7).remaining() == 7
    assert spending(Budget(1000, 100.0), 25, spent=100, agree=lambda updates: 7).total() == 7

    def unused(updates):
        raise AssertionError("a number of updates is the same in all processes")

    assert spending(Budget(1000), 25, spent=100, agree=unused).remaining() == 900
