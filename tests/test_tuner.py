"""tune() on a run of no framework: it drives the protocol alone."""

import copy
import math

import numpy as np
import pytest

import learnrate as lr
from learnrate.errors import NoAnswerError
from learnrate.tuner.cycling import cut
from learnrate.tuner.races import Race
from learnrate.tuner.tune import _best, allow, cyclical


class Regression:
    """Stochastic gradient descent on a linear regression, in NumPy. Fulfils Trainee."""

    def __init__(self, epoch=20, measured=True):
        self.random = np.random.default_rng(0)
        self.inputs = self.random.standard_normal((400, 8))
        self.targets = self.inputs @ np.arange(8) + 0.1 * self.random.standard_normal(400)
        self.weights = np.zeros(8)
        self.epoch, self.measured, self.made = epoch, measured, 0

    def update(self, rate):
        rows = self.random.integers(0, 400, 100)
        errors = self.inputs[rows] @ self.weights - self.targets[rows]
        self.weights = self.weights - rate * self.inputs[rows].T @ errors / 100
        self.made += 1
        with np.errstate(over="ignore"):
            return float(np.mean(errors**2))

    def evaluate(self):
        with np.errstate(over="ignore"):
            return -float(np.mean((self.inputs @ self.weights - self.targets) ** 2)) if self.measured else None

    def updates_per_epoch(self):
        return self.epoch

    def save(self):
        return self.weights.copy(), copy.deepcopy(self.random.bit_generator.state)

    def restore(self, state):
        self.weights, self.random.bit_generator.state = state[0].copy(), state[1]


@pytest.mark.parametrize("measured", [True, False])
def test_finds_a_max_lr_that_trains(measured):
    trainee = Regression(measured=measured)
    plan = lr.tune(trainee, updates=400)
    start = -Regression().evaluate()
    for update in range(plan.length):
        trainee.update(plan.schedule(update))
    trainee.measured = True
    assert -trainee.evaluate() < start / 100


@pytest.mark.parametrize("updates", [80, 100, 157, 400, 1000])
@pytest.mark.parametrize("budget", [0.5, 1.0, 3.0])
def test_never_exceeds_its_budget_and_gives_the_start_back(updates, budget):
    if updates * budget < 40:
        return
    trainee = Regression()
    before = trainee.save()
    plan = lr.tune(trainee, updates=updates, budget=budget)
    after = trainee.save()
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]
    assert trainee.made == plan.spent <= budget * updates
    assert plan.cost == plan.spent / updates <= budget


def test_the_plan_is_cyclical_and_says_why():
    plan = lr.tune(Regression(epoch=20), updates=410)
    assert plan.schedule == lr.triangular2(plan.schedule.base_lr, plan.max_lr, 51, cycles=4)
    assert (plan.step_size, plan.cycles, plan.updates, plan.length) == (51, 4, 410, 408)
    assert plan.schedule(plan.length) == plan.schedule.base_lr
    for words in (
        "base_lr is",
        "max_lr is",
        "lr is",
        "The interval of lr",
        "max_lr of the plan",
        "step_size is",
        "Tuning made",
    ):
        assert any(reason.startswith(words) for reason in plan.reasons), words


def test_a_family_of_ones_own():
    plan = lr.tune(Regression(), updates=300, family=lambda max_lr: lr.one_cycle(max_lr, 300))
    assert plan.schedule == lr.one_cycle(plan.max_lr, 300)
    assert plan.step_size is plan.cycles is None


def test_an_endless_family_is_raced_over_the_run():
    plan = lr.tune(Regression(), updates=300, family=lr.constant)
    assert plan.schedule == lr.constant(plan.max_lr)
    assert plan.updates == 300


def test_a_curve_that_is_there_already_is_not_run_again():
    trainee = Regression()
    start = trainee.save()
    curve = lr.range_test(trainee.update, updates=50)
    trainee.restore(start)
    trainee.made = 0
    plan = lr.tune(trainee, updates=300, curve=curve)
    assert plan.curve == curve
    assert plan.spent == trainee.made + len(curve) <= 300


def test_all_races_start_alike_and_see_the_same_data():
    trainee = Regression()
    starts = []
    update, restore = trainee.update, trainee.restore

    def spied(state):
        restore(state)
        starts.append((trainee.weights.copy(), trainee.random.bit_generator.state["state"]["state"]))

    trainee.restore = spied
    trainee.update = update
    lr.tune(trainee, updates=300)
    assert len(starts) == 5 + 2 + 1
    for weights, state in starts:
        np.testing.assert_array_equal(weights, starts[0][0])
        assert state == starts[0][1]


def test_progress_names_the_stages():
    stages = {}
    lr.tune(
        Regression(), updates=300, progress=lambda what, done, planned: stages.setdefault(what, []).append((done, planned))
    )
    assert list(stages) == ["range test", "races", "final races"]
    for steps in stages.values():
        assert steps[-1][0] <= steps[-1][1]


def test_restores_after_an_interrupt():
    trainee = Regression()
    before = trainee.save()
    update = trainee.update

    def interrupted(rate):
        if trainee.made == 150:
            raise KeyboardInterrupt
        return update(rate)

    trainee.update = interrupted
    with pytest.raises(KeyboardInterrupt):
        lr.tune(trainee, updates=300)
    np.testing.assert_array_equal(before[0], trainee.save()[0])
    assert before[1] == trainee.save()[1]


class Stubborn(Regression):
    """A run whose loss does not depend on its weights."""

    def update(self, rate):
        super().update(rate)
        return 1.0 + 0.1 * self.random.standard_normal()


def test_no_answer_is_an_error_that_says_what_would_help():
    with pytest.raises(NoAnswerError, match=r"never fell by more than its noise within 75 updates.*Sweep over 300 updates"):
        lr.tune(Stubborn(), updates=300)


class Brittle(Regression):
    """A run that can be swept but never raced."""

    def restore(self, state):
        super().restore(state)
        self.broken = True

    def update(self, rate):
        return math.nan if getattr(self, "broken", False) else super().update(rate)


def test_candidates_that_all_diverge_are_no_answer():
    with pytest.raises(NoAnswerError, match="every candidate max_lr diverged"):
        lr.tune(Brittle(), updates=300)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"updates": 0}, ValueError, "updates must be at least 2, received 0"),
        ({"updates": 1}, ValueError, "updates must be at least 2, received 1"),
        ({"updates": 2}, ValueError, "budget must cover at least 40 updates"),
        ({"updates": 300, "budget": 0.1}, ValueError, "budget must cover at least 40 updates .* received 30 updates"),
        ({"updates": 300, "budget": 0}, ValueError, "budget must be above 0"),
        ({"updates": 300, "budget": math.nan}, ValueError, "budget must be finite"),
        ({"updates": 300.0}, TypeError, "updates must be an integer"),
        ({"updates": 300, "family": 3}, TypeError, "family must be a function"),
        ({"updates": 300, "family": lambda max_lr: max_lr}, TypeError, "family must return a schedule"),
        ({"updates": 300, "family": lambda m: lr.one_cycle(m, 999)}, ValueError, "at most 300 updates, received one of 999"),
        ({"updates": 300, "curve": "curve.json"}, TypeError, "curve must be a Curve"),
        ({"updates": 300, "low": 1.0, "high": 0.1}, ValueError, "low must be below high"),
    ],
)
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        lr.tune(Regression(), **arguments)


def race(max_lr, loss, score):
    return Race(max_lr, 10, 10, loss, score)


def test_the_best_score_wins_then_the_lower_loss_then_the_lower_lr():
    assert _best((race(0.4, 0.1, 0.8), race(0.2, 0.5, 0.9)), 1) == (0.2,)
    assert _best((race(0.4, 0.1, 0.9), race(0.2, 0.5, 0.9)), 1) == (0.4,)
    assert _best((race(0.4, 0.1, 0.9), race(0.2, 0.1, 0.9), race(0.1, 0.2, 0.9)), 2) == (0.2, 0.4)
    assert _best((race(0.4, 0.1, None), race(0.2, 0.2, None)), 1) == (0.4,)
    assert _best((race(0.4, math.inf, None), race(0.2, 0.2, math.nan)), 2) == (0.2,)


def test_the_default_family_starts_at_a_quarter_of_a_low_peak():
    bounds = lr.Bounds(0.01, 1.0, 0.1, (0.1, 0.1), None, "none")
    family = cyclical(bounds, cut(400, 20))
    assert family(1.0).base_lr == 0.01
    assert family(0.02).base_lr == 0.005


def test_every_schedule_of_a_family_is_checked():
    made = []

    def family(max_lr):
        made.append(max_lr)
        return lr.constant(max_lr) if len(made) < 3 else 3.0

    with pytest.raises(TypeError, match=r"family must return a schedule, received 3\.0"):
        lr.tune(Regression(), updates=300, family=family)


@pytest.mark.parametrize("budget", range(40, 400, 7))
def test_an_allowance_covers_the_stages_and_no_more(budget):
    parts = allow(budget)
    assert parts.sweep + parts.candidates * parts.heat + 2 * parts.final <= budget
    assert min(parts.sweep // 10, parts.heat, parts.final) >= 1


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


def test_a_plan_saves_and_loads(tmp_path):
    for family in (None, lr.constant):
        plan = lr.tune(Regression(), updates=300, family=family)
        plan.save(tmp_path / "plan.json")
        assert lr.Plan.load(tmp_path / "plan.json") == plan
