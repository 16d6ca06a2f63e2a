"""`tune` without a framework: logistic regression in NumPy as a `learnrate.Trainable`."""

import copy

import numpy as np
from sklearn.datasets import load_breast_cancer

import learnrate as lr

UPDATES = 400
BATCH = 20

table = load_breast_cancer()
rows = np.random.default_rng(0).permutation(len(table.target))
train, held_out = rows[:400], rows[400:]
inputs = (table.data - table.data[train].mean(0)) / table.data[train].std(0)
targets = table.target


class Regression(lr.Trainable):
    """`update`, `save` and `restore` are required; `evaluate` and `updates_per_epoch` have defaults."""

    def __init__(self):
        self.weights = np.zeros(inputs.shape[1])
        self.random = np.random.default_rng(0)

    def update(self, lr):
        """One update (optimizer step) at this LR; returns the loss before it."""
        batch = self.random.choice(train, BATCH, replace=False)
        signs = 2 * targets[batch] - 1
        margins = signs * (inputs[batch] @ self.weights)
        self.weights = self.weights + lr * inputs[batch].T @ (signs / (1 + np.exp(margins))) / BATCH
        return np.mean(np.logaddexp(0, -margins))

    def save(self):
        """A copy of everything that training changes, the random numbers that draw the batches included."""
        return self.weights.copy(), copy.deepcopy(self.random.bit_generator.state)

    def restore(self, state):
        """Put back what `save` returned; the same state may be restored many times."""
        weights, numbers = state
        self.weights, self.random.bit_generator.state = weights.copy(), copy.deepcopy(numbers)

    def evaluate(self):
        """Accuracy on held-out data; higher is better."""
        return {"accuracy": np.mean((inputs[held_out] @ self.weights > 0) == targets[held_out])}

    def updates_per_epoch(self):
        """Number of batches in the training data."""
        return len(train) // BATCH


trainable = Regression()
plan = lr.tune(trainable, updates=UPDATES)
print(plan.reasons)
print(plan.schedule)

print(f"accuracy before {trainable.evaluate()['accuracy']:.3f}")  # tune has restored the trainable
for update in range(plan.length):
    trainable.update(plan.schedule(update))
print(f"accuracy after {trainable.evaluate()['accuracy']:.3f}")
