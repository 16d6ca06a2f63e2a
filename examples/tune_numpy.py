"""`tune` of a training loop that knows no framework: logistic regression in NumPy, by the five methods of a trainee."""

import copy

import numpy as np
from sklearn.datasets import load_breast_cancer

import learnrate as lr

UPDATES = 400

table = load_breast_cancer()
rows = np.random.default_rng(0).permutation(len(table.target))
train, held_out = rows[:400], rows[400:]
inputs = (table.data - table.data[train].mean(0)) / table.data[train].std(0)
targets = table.target


class Regression:
    """What is trained, as `learnrate.tuner.Trainee` asks for it."""

    def __init__(self):
        self.weights = np.zeros(inputs.shape[1])
        self.random = np.random.default_rng(0)

    def update(self, rate):
        """One update at this LR; the loss that it saw."""
        batch = self.random.choice(train, 20, replace=False)
        margins = (2 * targets[batch] - 1) * (inputs[batch] @ self.weights)
        slopes = (2 * targets[batch] - 1) / (1 + np.exp(margins))
        self.weights = self.weights + rate * inputs[batch].T @ slopes / len(batch)
        return float(np.mean(np.logaddexp(0, -margins)))

    def evaluate(self):
        """Accuracy on data that it does not train on."""
        return float(np.mean((inputs[held_out] @ self.weights > 0) == targets[held_out]))

    def updates_per_epoch(self):
        """20 batches of 20 are about one."""
        return len(train) // 20

    def save(self):
        """A copy of all that training changes, the random numbers that draw the batches among it."""
        return self.weights.copy(), copy.deepcopy(self.random.bit_generator.state)

    def restore(self, state):
        """Put it back; it may be asked for again."""
        weights, numbers = state
        self.weights, self.random.bit_generator.state = weights.copy(), copy.deepcopy(numbers)


trainee = Regression()
plan = lr.tune(trainee, updates=UPDATES)
print(*plan.reasons, sep="\n")
print(plan.schedule)

print(f"accuracy before {trainee.evaluate():.3f}")  # tune has left it as it was
losses = [trainee.update(plan.schedule(update)) for update in range(plan.length)]
print(f"accuracy after {trainee.evaluate():.3f}")
