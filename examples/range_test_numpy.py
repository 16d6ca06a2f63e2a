"""A range test of a training loop without a framework: linear regression in NumPy."""

import numpy as np
from reporting import report

import learnrate as lr

random = np.random.default_rng(0)
inputs = random.standard_normal((500, 8))
targets = inputs @ np.arange(8) + 0.5 * random.standard_normal(500)
weights = np.zeros(8)


def step(lr: float) -> float:
    """One update (optimizer step) at this LR; returns the loss before it."""
    rows = random.integers(0, 500, 50)
    errors = inputs[rows] @ weights - targets[rows]
    weights[:] -= lr * inputs[rows].T @ errors / len(rows)
    return float(np.mean(errors**2))


curve = lr.range_test(step)
report(regression=curve)

weights[:] = 0  # learnrate does not know what `step` changes, so the script restores it itself
bounds = curve.bounds()
schedule = lr.triangular2(bounds.base_lr, bounds.max_lr, step_size=50, cycles=2)
losses = [step(schedule(update)) for update in range(200)]
print(schedule)
print(f"loss before {losses[0]:.3f}")
print(f"loss after {np.mean(losses[-20:]):.3f}")
