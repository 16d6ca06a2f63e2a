"""Kinds of schedules: how they are given, what is refused, and how they are compared."""

import pytest

import learnrate as lr
from facts import facts
from learnrate.tuner.cycling import whole_cycles
from learnrate.tuner.families import NAMED, Run, bind, read
from trainables import Quadratic, Regression, check_reasons


@pytest.mark.parametrize("name", NAMED)
def test_each_name_is_a_family(name):
    plan = lr.tune(Regression(), updates=400, family=name)
    assert plan.family == name
    assert plan.schedule == NAMED[name](plan.max_lr, Run(400, 20, plan.bounds.base_lr))
    assert plan.schedule.max == pytest.approx(plan.max_lr)
    assert {trial.family for trial in plan.trials} == {name}
    check_reasons(plan)


def test_cycles_are_whole_and_the_plan_says_why():
    plan = lr.tune(Regression(epoch=20), updates=410, family="triangular2")
    assert plan.schedule == lr.triangular2(plan.schedule.base_lr, plan.max_lr, 51, cycles=4)
    assert (plan.step_size, plan.cycles, plan.updates, plan.length) == (51, 4, 410, 408)
    assert plan.schedule(plan.length) == plan.schedule.base_lr
    assert any(reason.startswith("step_size is 51 updates") for reason in plan.reasons)


def test_cycles_begin_at_a_quarter_of_a_low_peak():
    (builder,) = read("triangular2", 400).values()
    family = bind(builder, Run(400, 20, 0.01))
    assert family(1.0).base_lr == 0.01
    assert family(0.02).base_lr == 0.005
    assert bind(builder, Run(400, 20))(1.0).base_lr == 0.25


def test_a_function_is_a_family():
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


def test_a_function_with_the_name_of_a_family_is_still_the_function_of_the_user():
    plan = lr.tune(Regression(), updates=300, family={"triangular2": lr.constant})
    assert plan.schedule == lr.constant(plan.max_lr)
    assert plan.step_size is plan.cycles is None
    assert "step_size" not in " ".join(plan.reasons)


class Penalised(Quadratic):
    """Its loss is higher whenever the LR is less than half of the highest LR so far."""

    highest = 0.0

    def update(self, lr):
        self.highest = max(self.highest, lr)
        return super().update(lr) + (lr < self.highest / 2)

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
    ("trainable", "best"),
    [
        (Quadratic(seed=1, noise=2.0), "falling"),  # the loss at the end is the noise of the last LR
        (Penalised(noise=0.0), "rising"),
    ],
)
def test_the_better_family_is_chosen_in_any_order(names, trainable, best):
    families = {name: globals()[name] for name in names}
    plan = lr.tune(trainable, updates=600, family=families)
    assert plan.family == best
    assert plan.schedule == families[best](plan.max_lr).resolve(600)
    assert {trial.family for trial in plan.trials} == set(names)
    (reason,) = [reason for reason in plan.reasons.choice if all(f"{name} (" in reason for name in names)]
    assert f"family {best} " in reason
    check_reasons(plan)


@pytest.mark.parametrize("budget", [0.3, 1.0, 3.0])
def test_all_families_are_compared_in_trials_of_the_same_length(budget):
    names = ["warmup_cosine", "one_cycle", "wsd"]
    trainable = Quadratic()
    plan = lr.tune(trainable, updates=1000, budget=budget, family=names)
    longest = max(trial.updates for trial in plan.trials)
    for name in names:
        assert sum(trial.family == name and trial.updates == longest for trial in plan.trials) >= 2
    assert plan.spent == trainable.all_updates <= 1000 * budget


def test_families_that_cannot_all_be_tried_are_not_compared():
    trainable = Quadratic()
    with pytest.raises(ValueError, match=facts("budget", "at least 218", "4 families", 100, "fewer families")):
        lr.tune(trainable, updates=300, budget="100 updates", family=list(NAMED))
    with pytest.raises(ValueError, match=facts("updates", "at least 20", "families", 18)):
        lr.tune(trainable, updates=18, budget="2000 updates", family=list(NAMED))
    assert trainable.all_updates == 0
    assert lr.tune(trainable, updates=300, budget="218 updates", family=list(NAMED)).spent <= 218


def test_a_family_may_refuse_lrs_that_are_not_tried():
    def picky(max_lr):
        if max_lr < 0.011:
            raise ValueError("too low")
        return lr.constant(min(max_lr, 5.0))

    assert 0.02 < lr.tune(Quadratic(), updates=300, family=picky, low=0.02, high=5.0).max_lr < 3
    with pytest.raises(ValueError, match="base_lr must be below max_lr"):
        lr.tune(Quadratic(), updates=300, family=lambda max_lr: lr.triangular2(50.0, max_lr, 10, 2))


def test_the_first_of_equal_families_is_chosen():
    same = {"second": lr.constant, "first": lr.constant}
    assert lr.tune(Quadratic(noise=0.0), updates=600, family=same).family == "second"
    assert lr.tune(Quadratic(), updates=600, family=["wsd", "wsd"]).family == "wsd"


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        ("cosin", ValueError, ("family", "'warmup_cosine'", "'one_cycle'", "'wsd'", "'triangular2'", "'cosin'")),
        (["wsd", "cosin"], ValueError, ("family", "'wsd'", "'cosin'")),
        ([], ValueError, ("family", "at least one", "none")),
        ({}, ValueError, ("family", "at least one", "none")),
        (3, TypeError, ("family", "name", "function", 3)),
        ({"wsd"}, TypeError, ("family", "name", "function", "{'wsd'}")),
        ([3], ValueError, ("family", "'wsd'", 3)),
        ([lr.constant], TypeError, ("family", "mapping", "constant")),
        ({"mine": "wsd"}, TypeError, ("family['mine']", "function", "max_lr", "'wsd'")),
        (lambda max_lr: None, TypeError, ("family", "returns", "schedule", None)),
        (lambda max_lr: lr.one_cycle(max_lr, 999), ValueError, ("family", "at most 300 updates", 999)),
        (
            lambda max_lr: lr.constant(0.1),
            ValueError,
            ("family", "depends on its max_lr", "constant(value=0.1)", 0.01, 0.005),
        ),
        (
            {"a": lr.constant, "b": lambda max_lr: max_lr},
            TypeError,
            ("family", "returns", "schedule", 0.01, "float"),
        ),
        (
            lr.one_cycle(0.1, 300),
            TypeError,
            ("family", "function", "one_cycle(max_lr=0.1, length=300)", "family=lambda max_lr"),
        ),
    ],
)
def test_a_wrong_family_is_refused_before_the_first_update(family, error, words):
    trainable = Quadratic()
    with pytest.raises(error, match=facts(*words)):
        lr.tune(trainable, updates=300, family=family)
    assert trainable.all_updates == 0


@pytest.mark.parametrize(
    ("family", "error", "words"),
    [
        (lambda max_lr: lr.one_cycle(max_lr, 999 if max_lr < 1 else 300), ValueError, ("300 updates", 999)),
        (lambda max_lr: lr.constant(max_lr) if max_lr > 10 else 3.0, TypeError, ("returns", "schedule", "3.0")),
    ],
)
def test_what_a_function_returns_is_checked_each_time(family, error, words):
    trainable = Quadratic()
    before = trainable.save()
    with pytest.raises(error, match=facts(*words)):
        lr.tune(trainable, updates=300, family=family)
    assert trainable.save() == before


@pytest.mark.parametrize(
    ("updates", "epoch", "step_size", "cycles"),
    [
        (1600, 50, 200, 4),  # halves of 4 epochs
        (300, 25, 50, 3),  # four cycles would have halves under 2 epochs
        (100, 25, 50, 1),
        (60, 25, 30, 1),  # too short for the rule
        (5000, 50, 500, 5),  # four cycles would have halves over 10 epochs
        (10_000, 50, 833, 6),  # ten cycles would keep the rule, but the last ones would hardly change the LR
        (1000, 1, 83, 6),
        (10**9, 1, 10**9 // 12, 6),
        (1601, 50, 200, 4),
        (1000, None, 125, 4),
        (2, None, 1, 1),
    ],
)
def test_cycles_follow_the_rule_of_the_paper(updates, epoch, step_size, cycles):
    cycling = whole_cycles(updates, epoch)
    assert (cycling.step_size, cycling.cycles) == (step_size, cycles)
    assert cycling.updates <= updates < cycling.updates + 2 * cycles + 1
