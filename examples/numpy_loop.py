"""A range test of a training loop that knows no framework: linear regression in NumPy."""

import numpy as np

import learnrate as lr

random = np.random.default_rng(0)
inputs = random.standard_normal((500, 8))
targets = inputs @ np.arange(8) + 0.5 * random.standard_normal(500)
weights = np.zeros(8)


def step(rate: float) -> float:
    """One update at this LR; the loss that it saw."""
    rows = random.integers(0, 500, 50)
    errors = inputs[rows] @ weights - targets[rows]
    weights[:] -= rate * inputs[rows].T @ errors / len(rows)
    return float(np.mean(errors**2))


curve = lr.range_test(step)
bounds = curve.bounds()
print(bounds.reason)
print(lr.triangular2(bounds.base_lr, bounds.max_lr, step_size=40))
