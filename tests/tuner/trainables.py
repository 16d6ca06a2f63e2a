"""What the tests of the tuner train: small trainings in NumPy whose best LR follows from how they are built."""

import copy
import math
import re

import numpy as np

import learnrate as lr


class Regression(lr.Trainable):
    """Stochastic gradient descent on a linear regression."""

    def __init__(self, epoch=20, evaluated=True):
        self.random = np.random.default_rng(0)
        self.inputs = self.random.standard_normal((400, 8))
        self.targets = self.inputs @ np.arange(8) + 0.1 * self.random.standard_normal(400)
        self.weights = np.zeros(8)
        self.epoch, self.evaluated, self.all_updates = epoch, evaluated, 0

    def update(self, lr):
        rows = self.random.integers(0, 400, 100)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = self.inputs[rows] @ self.weights - self.targets[rows]
            self.weights = self.weights - lr * self.inputs[rows].T @ errors / 100
            self.all_updates += 1
            return float(np.mean(errors**2))

    def evaluate(self):
        if not self.evaluated:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return -float(np.mean((self.inputs @ self.weights - self.targets) ** 2))

    def updates_per_epoch(self):
        return self.epoch

    def save(self):
        return self.weights.copy(), copy.deepcopy(self.random.bit_generator.state)

    def restore(self, state):
        self.weights, self.random.bit_generator.state = state[0].copy(), state[1]


class Quadratic(lr.Trainable):
    """Gradient descent on curvature / 2 * w ** 2, which is stable for LRs below 2 / curvature.

    Args:
        seed: Seed of the noise of the gradients.
        noise: Its standard deviation.
        curvature: Decides where the stability edge is.
        plateau: Number of updates in which nothing is learned.
        scale: Factor of the losses.
        offset: Added to them before that.
        traits: See `learnrate.Trainable`.
    """

    def __init__(self, seed=0, noise=0.1, curvature=1.0, plateau=0, scale=1.0, offset=0.0, traits=None):
        self.random = np.random.default_rng(seed)
        self.noise, self.curvature, self.plateau = noise, curvature, plateau
        self.scale, self.offset = scale, offset
        self.weight, self.updates, self.all_updates = 3.0, 0, 0
        self.traits = traits or self.traits

    def loss(self):
        return self.curvature * self.weight**2 / 2 if abs(self.weight) < 1e100 else math.inf

    def update(self, lr):
        loss = self.loss()
        if self.updates >= self.plateau:
            self.weight -= lr * (self.curvature * self.weight + self.noise * self.random.standard_normal())
        self.updates += 1
        self.all_updates += 1
        return self.scale * (loss + self.offset)

    def updates_per_epoch(self):
        return 10

    def save(self):
        return self.weight, self.updates, self.random.bit_generator.state

    def restore(self, state):
        self.weight, self.updates, self.random.bit_generator.state = state


class NoisyLoss(Quadratic):
    """Its losses have noise that training does not change."""

    def update(self, lr):
        return super().update(lr) + 0.1 * self.random.standard_normal()


class NotFinite(NoisyLoss):
    """After its first updates its loss is NaN, at every LR."""

    def __init__(self, finite=1, **arguments):
        super().__init__(**arguments)
        self.finite = finite

    def update(self, lr):
        loss = super().update(lr)
        return loss if self.updates <= self.finite else math.nan


class Unrelated(Quadratic):
    """Its loss does not depend on its weight."""

    def update(self, lr):
        super().update(lr)
        return 1.0 + 0.1 * self.random.standard_normal()


class ConstantLoss(Quadratic):
    """Its loss is the same at every update."""

    def update(self, lr):
        super().update(lr)
        return 1.0


def with_evaluation(trainable, evaluate):
    """The trainable, with another evaluation."""
    trainable.evaluate = evaluate
    return trainable


def check_reasons(plan):
    """Each reason is one sentence, and none has a number that is not finite, or None."""
    assert all((plan.reasons.probe, plan.reasons.trials, plan.reasons.choice, plan.reasons.cost))
    assert bool(plan.reasons.range_test) == (plan.curve is not None)
    for reason in plan.reasons:
        assert re.fullmatch(r"[A-Za-z0-9].*[a-z0-9%)]\.", reason), reason
        assert not re.search(r"[a-z)]\. [A-Z]", reason), reason
        assert not re.search(r"\b(nan|inf|None)\b", reason), reason
