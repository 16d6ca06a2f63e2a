"""probe() of any Trainable: the LR follows from the step sizes, or there is no answer and a reason."""

import contextlib
import math

import numpy as np
import pytest

import learnrate as lr
from facts import facts, tells
from learnrate.errors import LearnrateError, NoAnswerError
from learnrate.tuner.probe import METHODS, usual
from trainables import Regression


class Probed(Regression):
    """Gradient descent by DoWG (arXiv 2305.16284, Algorithm 1) on a linear regression."""

    method, scale, maximize, factor, offset = "dowg", 1.0, False, 1.0, 0.0
    step, bad = 0.0, ()

    @contextlib.contextmanager
    def probing(self):
        self.start, self.moved, self.weighted, self.updates = self.weights.copy(), 1e-4, 0.0, 0
        yield self.Probing(self)

    class Probing:
        def __init__(self, trainable):
            self.trainable, self.method = trainable, trainable.method
            self.maximize = trainable.maximize

        def update(self):
            self.trainable.updates += 1
            return self.trainable.own_step()

        def lr(self):
            return self.trainable.step

        def scale(self, updates):
            return self.trainable.scale

    def own_step(self):
        rows = self.random.integers(0, 400, 100)
        errors = self.inputs[rows] @ self.weights - self.targets[rows]
        gradient = self.inputs[rows].T @ errors / 100
        self.moved = max(self.moved, float(np.linalg.norm(self.weights - self.start)))
        self.weighted += self.moved**2 * float(gradient @ gradient)
        self.step = self.factor * self.moved**2 / math.sqrt(self.weighted)
        self.weights = self.weights - self.step * gradient
        return math.nan if self.updates - 1 in self.bad else self.offset + float(np.mean(errors**2))


class Still(Probed):
    """Its loss is noise."""

    def own_step(self):
        self.step += 0.1
        return float(self.random.standard_normal())


def final_loss(max_lr, updates=400):
    trainable = Regression()
    schedule = lr.warmup(max_lr, 40) >> lr.cosine(max_lr, 0.0, updates - 40)
    for n in range(updates):
        trainable.update(schedule(n))
    return -trainable.evaluate()


def test_the_lr_trains_and_everything_is_given_back():
    trainable = Probed()
    before = trainable.save()
    probe = lr.probe(trainable, updates=400)
    after = trainable.save()
    np.testing.assert_array_equal(before[0], after[0])
    assert before[1] == after[1]
    assert probe.updates == len(probe.losses) == len(probe.steps) == 50
    assert probe.interval[0] < probe.lr < probe.interval[1]
    best = min(final_loss(2.0**exponent) for exponent in range(-8, 2))
    assert final_loss(probe.lr) < 2 * best
    assert probe == lr.probe(trainable, updates=400)


def test_the_reason_says_how_the_lr_follows():
    probe = lr.probe(Probed(), updates=400)
    median, method = float(np.median(probe.steps)), METHODS["dowg"]
    assert probe.lr == pytest.approx(method.factor * median, rel=0.05)
    assert tells(probe.reason, f"{median:.2g}", "50 updates", "2305.16284", method.factor)
    assert f"{probe.lr:.2g}" in repr(probe)
    assert probe.reason in probe._repr_html_()
    with_momentum = Probed()
    with_momentum.scale = 0.1
    slower = lr.probe(with_momentum, updates=400)
    assert slower.lr == pytest.approx(probe.lr / 10, rel=0.05)
    assert tells(slower.reason, 0.1, "momentum")


def test_where_the_loss_hardly_fell_the_interval_is_wider_upwards():
    plain, slow = Probed(), Probed()
    plain.method = slow.method = "prodigy"
    slow.offset = 1e4
    first, second = lr.probe(plain, updates=400), lr.probe(slow, updates=400)
    assert (second.lr, second.interval[0]) == (first.lr, first.interval[0])
    assert second.interval[1] > 3 * first.interval[1]
    assert tells(second.reason, "%", "higher")
    slow.method = "dowg"
    with pytest.raises(NoAnswerError, match=facts("%", "tenth", "longer")):
        lr.probe(slow, updates=400)


@pytest.mark.parametrize(
    ("trainable", "named"),
    [
        (Regression(), ("no LR-free probe", "tune")),
        (Still(), ("did not fall", "50 updates", "longer")),
        (type("Rising", (Still,), {"maximize": True})(), ("did not rise", "50 updates")),
        (type("Bad", (Probed,), {"bad": (7,)})(), ("nan", "update 7", "batch")),
        (type("Stuck", (Probed,), {"factor": 0.0})(), ("did not grow", "precision")),
    ],
    ids=["no probe", "no fall", "no rise", "NaN", "no growth"],
)
def test_no_answer_has_a_reason_and_a_remedy(trainable, named):
    weights = trainable.weights.copy()
    with pytest.raises(NoAnswerError, match=facts(*named)):
        lr.probe(trainable, updates=400)
    np.testing.assert_array_equal(trainable.weights, weights)


@pytest.mark.parametrize(
    ("budget", "updates"), [(None, 100), (0.1, 100), ("5%", 50), ("64 updates", 64), ("1 hour", 100), (0.5, 500)]
)
def test_the_budget_is_the_number_of_updates(budget, updates):
    trainable, calls = Probed(), []
    probe = lr.probe(trainable, updates=1000, budget=budget, progress=lambda count, planned: calls.append((count, planned)))
    assert probe.updates == updates
    assert calls == [(count, updates) for count in range(1, updates + 1)]


def test_a_time_that_is_over_before_an_estimate_gives_no_answer():
    with pytest.raises(NoAnswerError, match=facts("20", "larger budget")):
        lr.probe(Probed(), updates=1000, budget="0.0000001 seconds")


def test_a_probe_is_a_twentieth_of_a_long_run_and_at_most_an_eighth_of_a_short_one():
    assert [usual(updates) for updates in (160, 800, 1000, 5000, 100_000)] == [20, 100, 100, 250, 5000]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"updates": 19}, "updates"),
        ({"updates": "many"}, "updates"),
        ({"budget": 0.01}, "budget"),
        ({"budget": "10 updates"}, "budget"),
        ({"budget": "soon"}, "budget"),
        ({"progress": 3}, "progress"),
        ({"trainable": 3}, "trainable"),
    ],
)
def test_arguments_are_checked(changed, named):
    with pytest.raises(LearnrateError, match=facts(named)):
        lr.probe(**{"trainable": Probed(), "updates": 400, **changed})


@pytest.mark.parametrize(
    ("changed", "named"), [({"method": "adam"}, "method"), ({"scale": "x"}, "scale"), ({"scale": math.nan}, "scale")]
)
def test_what_an_adapter_returns_is_checked(changed, named):
    with pytest.raises(LearnrateError, match=facts(named)):
        lr.probe(type("Wrong", (Probed,), changed)(), updates=400)
