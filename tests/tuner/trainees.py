"""What the tests of the tuner train: small runs of no framework whose best LR follows from how they are made."""

import copy
import math
import re

import numpy as np


class Regression:
    """Stochastic gradient descent on a linear regression, in NumPy."""

    def __init__(self, epoch=20, measured=True):
        self.random = np.random.default_rng(0)
        self.inputs = self.random.standard_normal((400, 8))
        self.targets = self.inputs @ np.arange(8) + 0.1 * self.random.standard_normal(400)
        self.weights = np.zeros(8)
        self.epoch, self.measured, self.made = epoch, measured, 0

    def update(self, rate):
        rows = self.random.integers(0, 400, 100)
        with np.errstate(over="ignore", invalid="ignore"):
            errors = self.inputs[rows] @ self.weights - self.targets[rows]
            self.weights = self.weights - rate * self.inputs[rows].T @ errors / 100
            self.made += 1
            return float(np.mean(errors**2))

    def evaluate(self):
        if not self.measured:
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return -float(np.mean((self.inputs @ self.weights - self.targets) ** 2))

    def updates_per_epoch(self):
        return self.epoch

    def save(self):
        return self.weights.copy(), copy.deepcopy(self.random.bit_generator.state)

    def restore(self, state):
        self.weights, self.random.bit_generator.state = state[0].copy(), state[1]


class Quadratic:
    """Gradient descent on curvature / 2 * w ** 2, which is stable for LRs below 2 / curvature.

    Args:
        seed: Of the gradients' noise.
        noise: Its standard deviation.
        curvature: Sets the cliff.
        plateau: Number of updates in which nothing is learned.
        scale: Factor of the losses that are told.
        offset: Added to them before that.
    """

    def __init__(self, seed=0, noise=0.1, curvature=1.0, plateau=0, scale=1.0, offset=0.0):
        self.random = np.random.default_rng(seed)
        self.noise, self.curvature, self.plateau = noise, curvature, plateau
        self.scale, self.offset = scale, offset
        self.weight, self.made, self.all_made = 3.0, 0, 0

    def loss(self):
        return self.curvature * self.weight**2 / 2 if abs(self.weight) < 1e100 else math.inf

    def update(self, rate):
        seen = self.loss()
        if self.made >= self.plateau:
            self.weight -= rate * (self.curvature * self.weight + self.noise * self.random.standard_normal())
        self.made += 1
        self.all_made += 1
        return self.scale * (seen + self.offset)

    def evaluate(self):
        return None

    def updates_per_epoch(self):
        return 10

    def save(self):
        return self.weight, self.made, self.random.bit_generator.state

    def restore(self, state):
        self.weight, self.made, self.random.bit_generator.state = state


class Jittering(Quadratic):
    """The losses that it tells are noisy."""

    def update(self, rate):
        return super().update(rate) + 0.1 * self.random.standard_normal()


class Diverging(Jittering):
    """After its first updates, its loss is no number, whatever the LR."""

    def __init__(self, finite=1, **given):
        super().__init__(**given)
        self.finite = finite

    def update(self, rate):
        seen = super().update(rate)
        return seen if self.made <= self.finite else math.nan


class Stubborn(Quadratic):
    """Its loss does not depend on its weight."""

    def update(self, rate):
        super().update(rate)
        return 1.0 + 0.1 * self.random.standard_normal()


class Frozen(Quadratic):
    """Its loss is the same at every update."""

    def update(self, rate):
        super().update(rate)
        return 1.0


def scored(trainee, evaluate):
    """The trainee, with another evaluation."""
    trainee.evaluate = evaluate
    return trainee


def check_reasons(plan):
    """Each is one sentence, and none tells of what is no number."""
    for reason in plan.reasons:
        assert re.fullmatch(r"[A-Za-z0-9].*[a-z0-9%)]\.", reason), reason
        assert not re.search(r"[a-z)]\. [A-Z]", reason), reason
        assert not re.search(r"\b(nan|inf|None)\b", reason), reason
