"""Kinds of schedules: how they are given, what is refused, and how they are compared."""

import re

import pytest

import learnrate as lr
from facts import facts, tells
from learnrate.tuner.cycling import cut
from learnrate.tuner.families import NAMED, Run, read
from trainees import Quadratic, Regression, check_reasons


@pytest.mark.parametrize("name", NAMED)
def test_each_name(name):
    plan = lr.tune(Regression(), updates=400, family=name)
    assert plan.family == name
    assert plan.schedule == NAMED[name](plan.max_lr, Run(400, 20, plan.bounds.base_lr))
    assert plan.schedule.max == pytest.approx(plan.max_lr)
    assert {race.family for race in plan.races} == {name}
    check_reasons(plan)


def test_cycles_are_whole_and_the_plan_says_why():
    plan = lr.tune(Regression(epoch=20), updates=410, family="triangular2")
    assert plan.schedule == lr.triangular2(plan.schedule.base_lr, plan.max_lr, 51, cycles=4)
    assert (plan.step_size, plan.cycles, plan.updates, plan.length) == (51, 4, 410, 408)
    assert plan.schedule(plan.length) == plan.schedule.base_lr
    assert any(tells(reason, "step_size", 51) for reason in plan.reasons)


def test_cycles_begin_at_a_quarter_of_a_low_peak():
    (family,) = read("triangular2", Run(400, 20, 0.01)).values()
    assert family(1.0).base_lr == 0.01
    assert family(0.02).base_lr == 0.005
    (family,) = read("triangular2", Run(400, 20)).values()
    assert family(1.0).base_lr == 0.25


def test_a_function():
    plan = lr.tune(Regression(), updates=300, family=lambda max_lr: lr.one_cycle(max_lr, 300))
    assert plan.schedule == lr.one_cycle(plan.max_lr, 300)
    assert plan.family == "family"
    assert plan.step_size is plan.cycles is None
    plan = lr.tune(Regression(), updates=300, family=lr.constant)
    assert plan.schedule == lr.constant(plan.max_lr)
    assert plan.length == 300


def test_lengths_of_a_function_are_resolved_and_may_be_shorter_than_the_run():
    plan = lr.tune(Regression(), updates=300, family=lambda max_lr: lr.cosine(max_lr, 0, "50%"))
    assert plan.schedule == lr.cosine(plan.max_lr, 0.0, 150)
    assert plan.length == 150


def test_a_function_that_bears_a_known_name_is_still_the_users_own():
    plan = lr.tune(Regression(), updates=300, family={"triangular2": lr.constant})
    assert plan.schedule == lr.constant(plan.max_lr)
    assert plan.step_size is plan.cycles is None
    assert "step_size" not in " ".join(plan.reasons)


class Homesick(Quadratic):
    """Its loss is higher wherever the LR has fallen to less than half of the highest so far."""

    highest = 0.0

    def update(self, rate):
        self.highest = max(self.highest, rate)
        return super().update(rate) + (rate < self.highest / 2)

    def save(self):
        return super().save(), self.highest

    def restore(self, state):
        super().restore(state[0])
        self.highest = state[1]


def rising(max_lr):
    return lr.linear(0.0, max_lr, "rest")


def falling(max_lr):
    return lr.linear(max_lr, 0.0, "rest")


@pytest.mark.parametrize("names", [("rising", "falling"), ("falling", "rising")])
@pytest.mark.parametrize(
    ("trainee", "best"),
    [
        (Quadratic(noise=2.0), "falling"),  # what is left at the end is the noise at the last LR
        (Homesick(noise=0.0), "rising"),
    ],
)
def test_the_truly_better_family_is_chosen_in_whatever_order(names, trainee, best):
    families = {name: globals()[name] for name in names}
    plan = lr.tune(trainee, updates=600, family=families)
    assert plan.family == best
    assert plan.schedule == families[best](plan.max_lr).resolve(600)
    assert {race.family for race in plan.races} == set(names)
    other = next(name for name in names if name != best)
    assert any(re.search(rf"\b{best}\b.*\b{other}\b", reason) for reason in plan.reasons)
    check_reasons(plan)


@pytest.mark.parametrize("budget", [0.3, 1.0, 3.0])
def test_all_families_race_over_the_same_length(budget):
    names = ["warmup_cosine", "one_cycle", "wsd"]
    trainee = Quadratic()
    plan = lr.tune(trainee, updates=1000, budget=budget, family=names)
    own = {name: {race.updates for race in plan.races if race.family == name} for name in names}
    shared = set.intersection(*own.values())
    assert len(shared) == 1
    for name in names[1:]:
        assert sum(race.family == name for race in plan.races) >= 4
        assert own[name] == shared
    assert plan.spent == trainee.all_made <= 1000 * budget


def test_families_that_cannot_all_race_are_not_compared():
    trainee = Quadratic()
    with pytest.raises(ValueError, match=facts("budget", 285, 4, "families", 100)):
        lr.tune(trainee, updates=300, budget="100 updates", family=list(NAMED))
    with pytest.raises(ValueError, match=facts("updates", 22, "families", 18)):
        lr.tune(trainee, updates=18, budget="2000 updates", family=list(NAMED))
    assert trainee.all_made == 0
    assert lr.tune(trainee, updates=300, budget="285 updates", family=list(NAMED)).spent <= 285


def test_a_family_may_refuse_lrs_that_will_not_race():
    def picky(max_lr):
        if max_lr < 0.011:
            raise ValueError("too low")
        return lr.constant(min(max_lr, 5.0))

    assert 0.02 < lr.tune(Quadratic(), updates=300, family=picky, low=0.02, high=5.0).max_lr < 3
    with pytest.raises(ValueError, match=facts("base_lr", "max_lr")):
        lr.tune(Quadratic(), updates=300, family=lambda max_lr: lr.triangular2(50.0, max_lr, 10, 2))


def test_equal_families_are_told_by_their_order():
    same = {"second": lr.constant, "first": lr.constant}
    assert lr.tune(Quadratic(noise=0.0), updates=600, family=same).family == "second"
    assert lr.tune(Quadratic(), updates=600, family=["wsd", "wsd"]).family == "wsd"


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        ("cosin", ValueError, ("'warmup_cosine'", "'one_cycle'", "'wsd'", "'triangular2'", "'cosin'")),
        (["wsd", "cosin"], ValueError, ("'warmup_cosine'", "'cosin'")),
        ([], ValueError, ("at least one",)),
        ({}, ValueError, ("at least one",)),
        (3, TypeError, ("name", "function", 3)),
        ({"wsd"}, TypeError, ("name", "function", "wsd")),
        ([3], ValueError, ("'warmup_cosine'", 3)),
        ([lr.constant], TypeError, ("name", "function")),
        ({"mine": "wsd"}, TypeError, ("['mine']", "function", "'wsd'")),
        (lambda max_lr: None, TypeError, ("schedule", None)),
        (lambda max_lr: lr.one_cycle(max_lr, 999), ValueError, (300, 999)),
        (lambda max_lr: lr.constant(0.1), ValueError, ("max_lr", "constant(value=0.1)", 0.01)),
        ({"a": lr.constant, "b": lambda max_lr: max_lr}, TypeError, ("schedule", 0.01, "float")),
        (lr.one_cycle(0.1, 300), TypeError, ("one_cycle(", "lambda max_lr")),
    ],
)
def test_what_is_no_family_is_refused_before_an_update_is_made(family, error, words):
    trainee = Quadratic()
    with pytest.raises(error, match=facts("family", *words)):
        lr.tune(trainee, updates=300, family=family)
    assert trainee.all_made == 0


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        (lambda max_lr: lr.one_cycle(max_lr, 999 if max_lr < 1 else 300), ValueError, (300, 999)),
        (lambda max_lr: lr.constant(max_lr) if max_lr > 10 else 3.0, TypeError, ("schedule", 3.0)),
    ],
)
def test_what_a_function_returns_is_checked_each_time(family, error, words):
    trainee = Quadratic()
    before = trainee.save()
    with pytest.raises(error, match=facts("family", *words)):
        lr.tune(trainee, updates=300, family=family)
    assert trainee.save() == before


@pytest.mark.parametrize(
    ("updates", "epoch", "step_size", "cycles"),
    [
        (1600, 50, 200, 4),  # halves of 4 epochs
        (300, 25, 50, 3),  # four cycles would have halves under 2 epochs
        (100, 25, 50, 1),
        (60, 25, 30, 1),  # too short for the rule
        (5000, 50, 500, 5),  # four cycles would have halves over 10 epochs
        (10_000, 50, 833, 6),  # ten cycles would keep the rule, but the last ones would hardly move the LR
        (1000, 1, 83, 6),
        (10**9, 1, 10**9 // 12, 6),
        (1601, 50, 200, 4),
        (1000, None, 125, 4),
        (2, None, 1, 1),
    ],
)
def test_cycles_are_cut_by_the_rule_of_the_paper(updates, epoch, step_size, cycles):
    found = cut(updates, epoch)
    assert (found.step_size, found.cycles) == (step_size, cycles)
    assert found.updates <= updates < found.updates + 2 * cycles + 1
