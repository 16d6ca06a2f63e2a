"""Comparisons: on the same seeds, every training kept."""

import json
import math

import numpy as np
import pytest

import learnrate as lr
from facts import facts
from learnrate.errors import FailedTrainingsError, LearnrateError
from learnrate.study import Comparison, Outcome, Training
from learnrate.study.report.summary import answer
from learnrate.study.running.run import TUNING, Key

ARMS = {"plan": lr.constant(0.2), "constant": "constant(0.1)"}


class Descent(lr.Trainable):
    """Gradient descent on a parabola; what it evaluates to follows from its seed and from the LRs."""

    def __init__(self, seed):
        self.weight = 1.0 + seed / 10

    def update(self, lr):
        loss = self.weight**2
        self.weight -= lr * 2 * self.weight
        return loss

    def save(self):
        return self.weight

    def restore(self, state):
        self.weight = state

    def evaluate(self):
        return {"nearness": -abs(self.weight), "weight": self.weight}


RECIPE = lr.Recipe(Descent, updates=10)


def test_every_arm_is_trained_with_a_seed_before_the_next_seed():
    snapshots = []
    comparison = lr.compare(ARMS, RECIPE, seeds=[3, 4, 5], on_result=snapshots.append)
    assert [[len(arm.trainings) for arm in snapshot] for snapshot in snapshots] == [
        [1, 0],
        [1, 1],
        [2, 1],
        [2, 2],
        [3, 2],
        [3, 3],
    ]
    assert comparison["plan"].scores == pytest.approx([-(1.3 + n / 10) * 0.6**10 for n in range(3)])
    assert comparison["plan"].mean == pytest.approx(-1.4 * 0.6**10)
    assert comparison["plan"].std == pytest.approx(0.1 * 0.6**10)
    assert snapshots[-1] == comparison
    assert comparison.metric == "nearness"
    assert comparison.seeds == (3, 4, 5)
    assert [arm.name for arm in comparison.ranking()] == ["plan", "constant"]
    for name, remedy in (("constent", "did you mean 'constant'"), ("other", "plan, constant")):
        with pytest.raises(KeyError, match=facts(name, remedy)):
            comparison[name]


def test_a_single_seed_has_no_spread():
    assert lr.compare(ARMS, RECIPE, seeds=1)["plan"].std == 0.0


def test_an_arm_may_have_its_own_length_and_recipe():
    other = lr.Recipe(lambda seed: Descent(seed + 10), updates=7)
    arms = {"short": lr.Arm("linear(0.2, 0, '100%')", updates=4), "other": lr.Arm(lr.constant(0.1), recipe=other)}
    comparison = lr.compare(arms, RECIPE, seeds=2)
    assert [training.updates for arm in comparison for training in arm.trainings] == [4, 4, 10, 10]
    assert comparison["short"].trainings[0].schedule == "linear(start=0.2, end=0.0, length=4)"
    assert comparison["other"].trainings[0].first_loss == 2.0**2
    assert comparison.notes == ()


def test_arms_that_do_not_begin_alike_are_named():
    starts = iter(range(100))
    comparison = lr.compare(ARMS, lr.Recipe(lambda seed: Descent(next(starts)), updates=5), seeds=2)
    [note] = comparison.notes
    assert "seed 0, 1" in note


def test_a_training_that_fails_is_named_and_the_others_are_made():
    def created(seed):
        if seed == 1:
            raise ValueError("no data")
        return Descent(seed)

    comparison = lr.compare(ARMS, lr.Recipe(created, updates=5), seeds=3)
    assert [len(arm.trainings) for arm in comparison] == [2, 2]
    assert all("no data" in arm.failures[1].error for arm in comparison)
    with pytest.raises(FailedTrainingsError, match=facts("plan, seed 1", "no data")):
        comparison.require_complete()


def test_each_arm_may_be_trained_at_its_own_best_lr():
    comparison = lr.compare(
        {"shape": lr.cosine(1e-4, 0.0, 100), "cycle": "one_cycle"}, RECIPE, seeds=1, updates=100, tune_each=True
    )
    for arm in comparison:
        assert arm.chosen.updates > 0
        assert lr.parse(arm.schedule).max == pytest.approx(arm.chosen.max_lr)
        assert 0.01 < arm.chosen.max_lr < 1
        assert arm.trainings[0].score > -1e-3
    assert "cosine" in comparison["shape"].schedule


def test_a_training_survives_its_record():
    training = lr.compare(ARMS, RECIPE, seeds=1)["plan"].trainings[0]
    assert Training.of_record(json.loads(json.dumps(training.as_record()))) == training
    assert training.more["weight"] == pytest.approx([0.6**n for n in range(1, 11)])


def test_a_long_training_keeps_means_of_its_losses():
    training = lr.compare({"slow": lr.constant(1e-5)}, lr.Recipe(Descent, updates=4321), seeds=1)["slow"].trainings[0]
    assert training.losses_every == 3
    assert len(training.losses) == math.ceil(4321 / 3)
    weights = [(1 - 2e-5) ** n for n in range(4321)]
    assert training.losses[1] == pytest.approx(sum(weight**2 for weight in weights[3:6]) / 3)
    assert training.losses[-1] == pytest.approx(weights[-1] ** 2)


@pytest.mark.parametrize(
    ("argument", "value", "named"),
    [
        ("arms", [lr.constant(0.1)], "arms"),
        ("arms", {}, "arms"),
        ("arms", {"plan": 0.1}, "arms['plan']"),
        ("arms", {"plan": "constnat(0.1)"}, "constnat"),
        ("arms", {1: lr.constant(0.1)}, "name of an arm"),
        ("arms", {" ": lr.constant(0.1)}, "name of an arm"),
        ("arms", {"plan": "one_cycle"}, "tune_each"),
        ("recipe", 3, "recipe"),
        ("recipe", "missing.py", "missing.py"),
        ("seeds", 0, "seeds"),
        ("seeds", [], "seeds"),
        ("seeds", [1, 1], "seeds"),
        ("seeds", [0, 1.5], "seeds[1]"),
        ("seeds", [2**32 - 1], "seeds"),
        ("updates", 0, "updates"),
        ("updates", "2", "updates"),
        ("evaluate_every", 0, "evaluate_every"),
        ("tune_each", [], "tune_each"),
        ("tune_each", 0, "tune_each"),
        ("tune_each", "yes", "tune_each"),
        ("tune_each", float("nan"), "tune_each"),
        ("tune_each", "5 updates", "at least 40 updates"),
        ("executor", 0.5, "executor"),
        ("executor", 10**8, "executor"),
        ("progress", 1, "progress"),
        ("checkpoint_every", 0, "checkpoint_every"),
    ],
)
def test_arguments_are_checked(argument, value, named):
    arguments = {"arms": ARMS, "recipe": RECIPE, "seeds": 1, argument: value}
    with pytest.raises(LearnrateError, match=facts(named)):
        lr.compare(**arguments)


def noisy(better):
    """A recipe whose score is that of its seed, with a little noise, and better by a constant with a high LR."""

    class Scored(lr.Trainable):
        def __init__(self, seed):
            self.noise, self.lr = np.random.default_rng(seed).normal(size=2), 0.0

        def update(self, lr):
            self.lr = lr
            return 1.0

        def save(self):
            return None

        def restore(self, state):
            return None

        def evaluate(self):
            return {"score": self.noise[0] + 0.1 * self.noise[1] * self.lr + (better if self.lr > 0.5 else 0)}

    return lr.Recipe(Scored, updates=4)


def test_seeds_are_added_until_one_arm_is_surely_better():
    arms = {"high": lr.constant(1.0), "low": lr.constant(0.1)}
    comparison = lr.compare(arms, noisy(0.3), seeds=2, until_sure=True)
    assert 5 < len(comparison.seeds) < 15
    assert comparison.best() == "high"
    assert comparison.anytime
    assert not any("surely" in note for note in comparison.notes)
    again = lr.compare(arms, noisy(0.0), seeds=2, until_sure=True, budget="9 seeds")
    assert len(again.seeds) == 9
    assert again.best() is None


def test_no_seed_is_added_after_a_training_that_failed():
    class Broken(Descent):
        def __init__(self, seed):
            super().__init__(seed)
            self.seed = seed

        def update(self, lr):
            if self.seed == 1 and lr < 0.2:
                raise ZeroDivisionError("a bug in the recipe")
            return super().update(lr)

    comparison = lr.compare(ARMS, lr.Recipe(Broken, updates=10), seeds=3, until_sure=True)
    assert [len(arm.trainings) for arm in comparison] == [3, 2]
    assert "a bug in the recipe" in " ".join(comparison.notes)


def test_no_training_begins_when_the_budget_is_spent():
    comparison = lr.compare(ARMS, RECIPE, seeds=50, budget="60 updates")
    assert comparison.cost.updates == 60
    trainings = sum(len(arm.trainings) for arm in comparison)
    assert any("budget is spent" in note and str(100 - trainings) in note for note in comparison.notes)
    assert not any("budget" in note for note in lr.compare(ARMS, RECIPE, seeds=1, budget="1 hour").notes)
    assert lr.compare(ARMS, RECIPE, seeds=50, budget="1e-9 seconds").cost.updates == 0


def test_a_budget_is_checked():
    for budget, until_sure in (("3 seeds", False), ("many", True), ("0 updates", True), (3, True), ("5 seeds", True)):
        with pytest.raises(LearnrateError, match="budget"):
            lr.compare(ARMS, RECIPE, seeds=1, budget=budget, until_sure=until_sure)
    with pytest.raises(ValueError, match="until_sure"):
        lr.compare({"one": lr.constant(0.1)}, RECIPE, until_sure=True)


def test_the_times_to_a_target_are_told_by_arm():
    comparison = lr.compare({"fast": lr.constant(0.4), "slow": lr.constant(0.1)}, RECIPE, seeds=3, evaluate_every=1)
    fast, slow = comparison.times(-0.205).values()
    assert [time.updates for time in fast] == [1, 2, 2]
    assert [time.updates for time in slow] == [8, 8, 8]
    assert all(time.reached for time in slow)
    assert comparison.speedup("fast", "slow", -0.205).ratio[0] == pytest.approx((8 * 4 * 4) ** (1 / 3))
    assert comparison.target("slow") == comparison["slow"].mean
    assert not comparison.times(-1e-9)["slow"][0].reached
    with pytest.raises(ValueError, match="target"):
        comparison.times("other")


def test_progress_is_told_while_a_training_is_made():
    messages = []
    lr.compare(ARMS, RECIPE, seeds=1, progress=messages.append)
    assert {(message.key.arm, message.planned) for message in messages} == {("plan", 10), ("constant", 10)}
    assert messages[-1].updates == 10


def test_progress_is_told_while_an_lr_is_chosen():
    messages = []
    lr.compare(ARMS, lr.Recipe(Descent, updates=200), seeds=1, tune_each=True, progress=messages.append)
    for arm in ARMS:
        of_choice = [message for message in messages if message.key == Key(arm, TUNING)]
        assert len(of_choice) > 1
        assert of_choice[-1].updates == of_choice[-1].planned
        assert all(math.isnan(message.loss) for message in of_choice)


@pytest.mark.parametrize("tune_each", [False, True])
def test_an_error_of_progress_is_no_failure_of_a_training(tmp_path, tune_each):
    def stop(message):
        raise LookupError(message.key.arm) from TimeoutError("of the user")

    study, recipe = tmp_path / "study.sqlite", lr.Recipe(Descent, updates=200)
    with pytest.raises(LookupError, match="plan") as raised:
        lr.compare(ARMS, recipe, seeds=1, tune_each=tune_each, study=study, progress=stop)
    assert isinstance(raised.value.__cause__, TimeoutError)
    assert not any(arm.failures for arm in lr.compare(ARMS, recipe, seeds=1, tune_each=tune_each, study=study))


def test_arms_of_one_mean_are_no_ranking():
    scores = {"cosine": (0.97, 0.81), "wsd": (0.95, 0.83), "step": (0.6, 0.6)}
    trainings = {
        name: tuple(Training(seed, score, (0.5,), metric="accuracy") for seed, score in enumerate(both))
        for name, both in scores.items()
    }
    arms = [Outcome(name, "constant(0.1)", 9, of_arm) for name, of_arm in trainings.items()]
    sentence = answer(Comparison(9, tuple(arms)))
    assert "cosine and wsd have the best mean, which is the same" in sentence
    assert "step" not in sentence


def test_what_is_printed_says_what_failed():
    comparison = lr.compare(ARMS, lr.Recipe(lambda seed: 1 / 0, updates=5), seeds=2)
    assert len([note for note in comparison.notes if "ZeroDivisionError" in note]) == 1
    assert "4 runs failed, plan, seed 0 the first of them" in str(comparison)
    assert "1 arm," in str(lr.compare({"plan": ARMS["plan"]}, RECIPE, seeds=1))
    assert "(1 seed)" in str(lr.compare({"plan": ARMS["plan"]}, RECIPE, seeds=1))


def test_a_score_of_another_metric_at_each_evaluation_is_refused():
    class Changing(Descent):
        def evaluate(self):
            return {f"metric {self.weight}": 1.0}

    comparison = lr.compare({"plan": ARMS["plan"]}, lr.Recipe(Changing, updates=5), seeds=1)
    assert "same metric first" in comparison["plan"].failures[0].error


def test_arms_that_are_scored_by_different_metrics_are_named():
    class Other(Descent):
        def evaluate(self):
            return {"other": 1.0}

    arms = {**ARMS, "odd": lr.Arm("constant(0.1)", recipe=lr.Recipe(Other, updates=10))}
    comparison = lr.compare(arms, RECIPE, seeds=1)
    assert any("not comparable" in note and "other (odd, seed 0)" in note for note in comparison.notes)
    assert not lr.compare(ARMS, RECIPE, seeds=1).notes


def test_an_evaluation_that_is_not_finite_though_the_losses_are_is_named():
    class Broken(Descent):
        def evaluate(self):
            return {"nearness": math.nan}

    comparison = lr.compare(ARMS, lr.Recipe(Broken, updates=5), seeds=2)
    assert any("4 trainings" in note and "look at evaluate" in note for note in comparison.notes)
    diverged = lr.compare({"fast": lr.constant(1e200)}, RECIPE, seeds=1)
    assert not any("look at evaluate" in note for note in diverged.notes)


def test_equal_scores_have_no_spread():
    class Constant(Descent):
        def evaluate(self):
            return {"accuracy": 0.95625}

    assert lr.compare({"plan": ARMS["plan"]}, lr.Recipe(Constant, updates=2), seeds=3)["plan"].std == 0
    for score in (math.nan, 1e200):
        assert math.isnan(Outcome("a", "constant(9)", 1, tuple(Training(seed, score, ()) for seed in range(2))).std)
