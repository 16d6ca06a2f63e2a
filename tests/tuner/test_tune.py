"""tune(): from a trainee to a plan, on runs of no framework and on small torch models."""

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

import learnrate as lr
from facts import facts, tells
from learnrate.errors import NoAnswerError
from trainees import Diverging, Frozen, Jittering, Quadratic, Regression, Stubborn, check_reasons, scored


@pytest.mark.parametrize("measured", [True, False])
def test_finds_a_max_lr_that_trains(measured):
    trainee = Regression(measured=measured)
    plan = lr.tune(trainee, updates=400)
    check_reasons(plan)
    start = -Regression().evaluate()
    for update in range(plan.length):
        trainee.update(plan.schedule(update))
    trainee.measured = True
    assert -trainee.evaluate() < start / 100


@pytest.mark.parametrize("curvature", [1e-2, 1.0, 1e3])
@pytest.mark.parametrize("updates", [100, 1000])
def test_stays_below_the_cliff_wherever_it_is(curvature, updates):
    plan = lr.tune(Quadratic(curvature=curvature, noise=0.1 * curvature), updates=updates)
    assert 0.02 < plan.max_lr * curvature < 2
    check_reasons(plan)
    assert plan.bounds is not None


def test_the_usual_plan_warms_up_falls_to_zero_and_says_why():
    plan = lr.tune(Regression(), updates=410)
    assert plan.schedule == lr.warmup(plan.max_lr, 41) >> lr.cosine(plan.max_lr, 0.0, 369)
    assert (plan.family, plan.step_size, plan.cycles, plan.updates, plan.length) == ("warmup_cosine", None, None, 410, 410)
    low, high = plan.interval
    assert low <= plan.max_lr <= high
    assert set(plan.reasons) >= set(vars(plan.bounds.reasons).values())
    longest = max(race.updates for race in plan.races)
    for parts in (
        ("max_lr", f"{plan.max_lr:.2g}", f"{low:.2g}", f"{high:.2g}"),
        (410, longest, "lower"),
        (plan.spent, f"{plan.cost:.0%}", 410),
        (longest, 2 * longest),
    ):
        assert any(tells(reason, *parts) for reason in plan.reasons), parts
    check_reasons(plan)


def test_where_more_would_buy_nothing_no_more_is_asked_for():
    plan = lr.tune(Regression(), updates=100, budget=3.0)
    assert tells(plan.reasons[-1], plan.spent, f"{plan.cost:.0%}")
    assert max(race.updates for race in plan.races) == 50


def test_every_race_is_told_among_the_reasons():
    plan = lr.tune(Quadratic(), updates=300)
    for race in plan.races:
        parts = (race.updates, f"{race.max_lr:.2g}", "diverged" if race.diverged else f"{race.loss:.3g}")
        assert any(tells(reason, *parts) for reason in plan.reasons), parts
    assert any(race.diverged for race in plan.races)


@pytest.mark.slow
def test_equal_runs_give_equal_plans_and_other_noise_a_near_one():
    plans = [lr.tune(Quadratic(seed=seed), updates=400) for seed in (0, 0, 1, 2, 3)]
    assert plans[0] == plans[1]
    assert plans[0] != plans[2]
    octaves = [math.log2(plan.max_lr) for plan in plans]
    assert max(octaves) - min(octaves) < 2


@pytest.mark.slow
@settings(max_examples=10)
@given(st.integers(-60, 60), st.integers(0, 5))
def test_the_unit_of_the_loss_changes_nothing(power, seed):
    plain, scaled = (lr.tune(Quadratic(seed=seed, scale=scale), updates=200) for scale in (1.0, 2.0**power))
    assert (plain.max_lr, plain.interval) == (scaled.max_lr, scaled.interval)
    assert [race.max_lr for race in plain.races] == [race.max_lr for race in scaled.races]


@pytest.mark.parametrize("offset", [-4.5, -100.0])
def test_losses_may_start_at_zero_and_be_negative(offset):
    # 4.5 is the loss at the start: a trifle beside 100, but all that there is to fall.
    trainee = Quadratic(noise=0.0, offset=offset)
    assert trainee.update(0.0) == 4.5 + offset
    plan = lr.tune(Quadratic(noise=0.0, offset=offset), updates=400)
    assert 0.02 < plan.max_lr < 2.5
    check_reasons(plan)


@pytest.mark.parametrize("score", [None, math.nan, math.inf, -math.inf])
def test_an_evaluation_without_a_finite_number_leaves_the_choice_to_the_loss(score, tmp_path):
    plan = lr.tune(scored(Quadratic(), lambda: score), updates=300)
    assert plan.max_lr == lr.tune(Quadratic(), updates=300).max_lr
    assert all(race.score is None for race in plan.races)
    check_reasons(plan)
    plan.save(tmp_path / "plan.json")
    assert lr.Plan.load(tmp_path / "plan.json") == plan


def test_a_score_of_any_library_is_a_number_in_the_plan(tmp_path):
    trainee = Quadratic()
    plan = lr.tune(scored(trainee, lambda: torch.tensor(-abs(trainee.weight))), updates=300)
    assert all(type(race.score) is float for race in plan.races if not race.diverged)
    plan.save(tmp_path / "plan.json")
    with pytest.raises(RuntimeError, match=facts("score", "str")):
        lr.tune(scored(Quadratic(), lambda: "good"), updates=300)


def test_a_score_that_falls_while_the_loss_falls_does_not_lead_astray():
    trainee = Quadratic()
    plan = lr.tune(scored(trainee, lambda: abs(trainee.weight)), updates=300)
    assert plan.max_lr == lr.tune(Quadratic(), updates=300).max_lr


@pytest.mark.parametrize("length", [5, 60])
def test_a_plateau_is_left_or_said(length):
    plan = lr.tune(Quadratic(plateau=length), updates=1000)
    assert 0.02 < plan.max_lr < 3
    with pytest.raises(NoAnswerError, match=facts("loss", "larger budget", "plateau", "never changed")):
        lr.tune(Quadratic(plateau=900), updates=1000)
    with pytest.raises(NoAnswerError, match=facts("loss", "larger budget", "plateau")) as caught:
        lr.tune(Jittering(plateau=900), updates=1000)
    assert "never changed" not in str(caught.value)


@pytest.mark.parametrize("kind", [Stubborn, Frozen])
def test_a_run_that_never_learns_is_no_answer(kind):
    trainee = kind()
    before = trainee.save()
    with pytest.raises(NoAnswerError, match=facts("loss", "updates", "larger budget")):
        lr.tune(trainee, updates=300)
    assert trainee.save() == before


class Interrupted(Regression):
    def update(self, rate):
        if self.made == 30:
            raise KeyboardInterrupt
        return super().update(rate)


def epochs(number):
    trainee = Quadratic()
    trainee.updates_per_epoch = lambda: number
    return trainee


@pytest.mark.parametrize(
    ("trainee", "words"),
    [
        (Quadratic, ("class", "Quadratic")),
        (epochs("10"), ("updates_per_epoch()", "integer", "'10'")),
        (epochs(math.nan), ("updates_per_epoch()", "nan")),
        (epochs(-5), ("updates_per_epoch()", 1, -5)),
    ],
)
def test_what_is_no_trainee_is_refused_before_an_update_is_made(trainee, words):
    with pytest.raises((TypeError, ValueError), match=facts(*words)):
        lr.tune(trainee, updates=300)
    assert isinstance(trainee, type) or trainee.all_made == 0


def test_whether_steps_are_unbounded_is_a_flag():
    with pytest.raises(TypeError, match=facts("unbounded", True, False, "'yes'")):
        lr.tune(Quadratic(), updates=300, unbounded="yes")


class Flung(Regression):
    """A batch in a hundred flings the loss up where the LR is high, and the next one is as if nothing had been."""

    def update(self, rate):
        seen = super().update(rate)
        return seen + 1e6 * rate**2 if self.made % 100 == 40 and rate > 0.02 else seen


def test_an_optimizer_whose_steps_have_no_bound_keeps_below_what_flings_the_loss_up():
    safe, brave = (lr.tune(Flung(), updates=1000, unbounded=unbounded) for unbounded in (True, False))
    assert safe.max_lr < brave.max_lr
    assert safe.max_lr < min(race.max_lr for race in safe.races if race.highest > 2000)
    raced = {f"{race.max_lr:.2g}" for race in safe.races if race.max_lr > safe.max_lr}
    assert any(tells(reason, lr_, "safe") for reason in safe.reasons for lr_ in raced)


@pytest.mark.parametrize("name", ["abreast", "progress", "on_curve"])
def test_what_is_no_function_is_refused(name):
    with pytest.raises(TypeError, match=facts(name, "function", 3)):
        lr.tune(Quadratic(), updates=300, **{name: 3})


def test_an_interrupt_in_the_range_test_leaves_its_curve():
    curves = []
    with pytest.raises(KeyboardInterrupt):
        lr.tune(Interrupted(), updates=300, on_curve=lambda curve, bounds: curves.append(curve))
    assert [curve.ended for curve in curves] == ["interrupted"]


@pytest.mark.parametrize("budget", [1.0, "100000%"])
def test_a_run_that_is_lost_at_once_is_no_answer_and_ends(budget):
    trainee = Diverging()
    before = trainee.save()
    with pytest.raises(NoAnswerError, match=r"(?s)finite.*\b1\b.*\b1\.\de-06\b.*NaN"):
        lr.tune(trainee, updates=300, budget=budget)
    assert trainee.save() == before
    assert trainee.all_made < 100


class Doomed(Jittering):
    """Its loss grows without limit, at an LR that decides how soon it is no number."""

    def update(self, rate):
        super().update(rate)
        return math.inf if self.made > 12 and self.made * (1 + rate) > 20 else 1.0 + 0.01 * self.random.standard_normal()


def test_a_run_that_diverges_at_every_lr_is_no_answer_and_ends_however_large_the_budget():
    trainee = Doomed()
    with pytest.raises(NoAnswerError, match=r"diverged|finite"):
        lr.tune(trainee, updates=300, budget="100000%")
    assert trainee.all_made < 400


@pytest.mark.parametrize("at", [1, 2, 8, 15, 30])
def test_a_batch_that_is_no_number_is_named(at):
    trainee = Diverging(finite=at)
    with pytest.raises(NoAnswerError, match=facts("finite", "update", at, "NaN", "batch")):
        lr.tune(trainee, updates=1000)
    assert trainee.all_made < 400


def test_what_would_help_is_a_higher_end_where_nothing_was_too_high():
    with pytest.raises(NoAnswerError, match=facts("`high`", 2e-08, "larger budget")):
        lr.tune(Jittering(), updates=300, low=1e-9, high=1e-8)


def test_what_would_help_is_a_loss_without_what_is_constant():
    with pytest.raises(NoAnswerError, match=facts("constant", 1004.5, 4.5)):
        lr.tune(Quadratic(offset=1000.0), updates=300)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(0, 299), st.sampled_from([KeyboardInterrupt, ZeroDivisionError, SystemExit]))
def test_the_start_is_given_back_after_an_error_at_any_update(at, error):
    class Broken(Quadratic):
        def update(self, rate):
            if self.all_made == at:
                raise error
            return super().update(rate)

    trainee = Broken()
    before = trainee.save()
    try:
        plan = lr.tune(trainee, updates=300)
    except error:
        assert trainee.all_made == at
    else:
        assert plan.spent <= at
    assert trainee.save() == before


def test_a_curve_that_was_interrupted_may_be_given():
    curve = lr.range_test(Interrupted().update, updates=100)
    assert curve.ended == "interrupted"
    assert lr.tune(Regression(), updates=400, curve=curve).curve == curve


def test_a_curve_without_a_loss_at_its_start_is_refused():
    rates = np.geomspace(1e-6, 1, 30)
    with pytest.raises(ValueError, match=facts("curve", 3, "finite")):
        lr.tune(Regression(), updates=400, curve=lr.Curve(rates, np.full(30, math.nan)))
    # Three are enough to tell where the loss started and how noisy it is, and the races do the rest.
    known = lr.Curve(rates, [4.5, 4.4, 4.5, *[math.nan] * 27])
    assert 0.02 < lr.tune(Quadratic(), updates=400, curve=known).max_lr < 2
    for few in (lr.Curve(rates, [4.5, 4.4, *[math.nan] * 28]), lr.Curve([1e-6, 2e-6], [4.5, 4.4], ended="interrupted")):
        with pytest.raises(ValueError, match=facts("curve", 3, "finite")):
            lr.tune(Quadratic(), updates=400, curve=few)


@pytest.mark.parametrize("given_curve", [False, True])
def test_progress_grows_and_ends_within_the_budget(given_curve):
    stages = {}

    def told(what, done, planned):
        stages.setdefault(what, []).append((done, planned))

    curve = lr.range_test(Regression().update, updates=40) if given_curve else None
    plan = lr.tune(Regression(), updates=300, curve=curve, progress=told)
    assert list(stages) == (["races"] if given_curve else ["range test", "races"])
    for steps in stages.values():
        assert all(before[0] < after[0] for before, after in pairwise(steps))
        assert all(done <= planned for done, planned in steps)
    assert stages["races"][0][0] == len(plan.curve) + 1
    assert stages["races"][-1] == (plan.spent, 300)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"updates": 0}, ValueError, ("updates", 2, 0)),
        ({"updates": 1}, ValueError, ("updates", 2, 1)),
        ({"updates": 2}, ValueError, ("budget", 40, 2, "longer")),
        ({"updates": 39, "budget": "1 hour"}, ValueError, ("budget", 40, 39)),
        ({"updates": 300, "budget": 0.1}, ValueError, ("budget", 40, 30)),
        ({"updates": 10**400}, ValueError, ("updates",)),
        ({"updates": 300.0}, TypeError, ("updates", "integer")),
        ({"updates": 2, "budget": 50.0, "family": "wsd"}, ValueError, ("longer",)),
        ({"updates": 300, "curve": "curve.json"}, TypeError, ("curve", "Curve", "'curve.json'")),
        ({"updates": 300, "progress": 3}, TypeError, ("progress", "function", 3)),
        ({"updates": 300, "low": 1.0, "high": 0.1}, ValueError, ("low", "high", 1.0, 0.1)),
        ({"updates": 300, "low": 0.0}, ValueError, ("low", 0.0)),
        ({"updates": 300, "drift": math.nan}, ValueError, ("drift", "finite", "nan")),
        ({"updates": 300, "drift": 2.0}, ValueError, ("drift", -1, 1, 2.0)),
        ({"updates": 300, "drift": "up"}, TypeError, ("drift", "number", "'up'")),
    ],
)
def test_bad_arguments(arguments, error, words):
    trainee = Quadratic()
    with pytest.raises(error, match=facts(*words)):
        lr.tune(trainee, **arguments)
    assert trainee.all_made == 0


def test_what_is_no_trainee_is_refused():
    with pytest.raises(TypeError, match=facts("update", "evaluate", "updates_per_epoch", "save", "restore")):
        lr.tune(lambda rate: 1.0, updates=300)


@pytest.mark.parametrize("updates", [2, 3, 5, 9, 10, 19, 20, 21])
@pytest.mark.parametrize("family", ["warmup_cosine", "one_cycle", "triangular2"])
def test_tiny_trainings_can_be_tuned_by_whoever_pays(updates, family):
    plan = lr.tune(Quadratic(noise=0.0), updates=updates, budget="300 updates", family=family)
    assert 1 <= plan.length <= updates
    assert max(race.updates for race in plan.races) <= updates
    check_reasons(plan)


def test_a_plan_saves_and_loads(tmp_path):
    flat = lr.Curve(np.geomspace(1e-6, 10, 40), [4.5] * 40)
    for given_ in ({}, {"family": "triangular2"}, {"family": lr.constant}, {"curve": flat}):
        plan = lr.tune(Quadratic(), updates=300, **given_)
        plan.save(tmp_path / "plan.json")
        loaded = lr.Plan.load(tmp_path / "plan.json")
        assert loaded == plan
        assert type(loaded.bounds) is type(plan.bounds)
    assert isinstance(loaded.bounds, lr.NoAnswer)
    assert any(loaded.bounds.reason in reason for reason in plan.reasons)
    with pytest.raises(NoAnswerError):
        _ = loaded.bounds.max_lr


class Digits:
    """A small network on scikit-learn's digits."""

    def __init__(self, seed=0):
        torch.manual_seed(seed)
        images, labels = load_digits(return_X_y=True)
        self.inputs, self.labels = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
        self.model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.9)
        data = torch.utils.data.TensorDataset(self.inputs[:1400], self.labels[:1400])
        self.batches = torch.utils.data.DataLoader(data, batch_size=50, shuffle=True)

    def accuracy(self, model):
        return float((model(self.inputs[1400:]).argmax(1) == self.labels[1400:]).double().mean())

    def tune(self, loss=None, **given_):
        loss = loss or torch.nn.CrossEntropyLoss()
        return lr.torch.tune(self.model, self.optimizer, self.batches, loss, evaluate=self.accuracy, updates=200, **given_)


@pytest.mark.slow
def test_a_torch_model_is_tuned_alike_each_time_and_given_back():
    digits, again = Digits(), Digits()
    before = {name: value.clone() for name, value in digits.model.state_dict().items()}
    plan = digits.tune()
    assert all(torch.equal(value, before[name]) for name, value in digits.model.state_dict().items())
    assert plan == again.tune() == digits.tune()
    assert plan.cost <= 1
    check_reasons(plan)
    scheduler = lr.torch.Scheduler(digits.optimizer, plan.schedule)
    stream = (batch for _ in range(100) for batch in digits.batches)
    for _, (inputs, labels) in zip(range(plan.length), stream, strict=False):
        digits.optimizer.zero_grad()
        torch.nn.functional.cross_entropy(digits.model(inputs), labels).backward()
        digits.optimizer.step()
        scheduler.step()
    assert digits.accuracy(digits.model) > 0.9


def assumed(plan):
    """Whether the reasons say that a run as long as the training wants a lower, a higher, or the same LR as the longest races."""
    longest = max(race.updates for race in plan.races)
    matches = [
        re.search(r"\b(lower|higher|same)\b", reason) for reason in plan.reasons if tells(reason, plan.updates, longest)
    ]
    [word] = [match[0] for match in matches if match]
    return word


def test_the_drift_is_said_and_moves_the_choice():
    plans = [lr.tune(Regression(), updates=2000, drift=drift) for drift in (-0.5, 0.0, 0.5)]
    assert plans[0].max_lr < plans[1].max_lr <= plans[2].max_lr
    for plan, expected in zip(plans, ("lower", "same", "higher"), strict=True):
        assert assumed(plan) == expected
        check_reasons(plan)


@pytest.mark.slow
def test_a_longer_training_with_adagrad_is_taken_to_want_a_higher_lr():
    def want(optimizer, **given):
        digits = Digits()
        digits.optimizer = optimizer(digits.model)
        return assumed(digits.tune(**given))

    assert want(lambda model: torch.optim.SGD(model.parameters(), lr=0.1)) == "lower"
    assert want(lambda model: torch.optim.Adagrad(model.parameters(), lr=0.1)) == "higher"
    assert want(lambda model: torch.optim.Adagrad(model.parameters(), lr=0.1), drift=0.0) == "same"

    def two(model):
        first, second = model[0].parameters(), model[2].parameters()
        return {"slow": torch.optim.SGD(first, lr=0.1), "own": torch.optim.Adagrad(second, lr=0.1)}

    assert want(two) == "lower"
    assert want(two, only="own") == "higher"


def test_a_scaler_that_skips_without_end_at_a_high_lr_is_a_divergence():
    digits = Digits()
    scaler = torch.amp.GradScaler("cpu")
    plan = digits.tune(
        lambda model, batch: (model(batch[0]) - torch.nn.functional.one_hot(batch[1], 10)).pow(4).mean(), scaler=scaler
    )
    assert 0 < plan.max_lr < 100
    assert scaler.state_dict() == torch.amp.GradScaler("cpu").state_dict()
