"""SGD on noisy quadratics, the simplest training in which the LR matters: too low is slow, too high is noisy or diverges."""

from typing import Any

import numpy as np

from learnrate.control import Controller, Observation

Floats = np.ndarray

CURVATURES = np.logspace(0, -2, 10)
"""The largest is 1, so that training diverges above an LR of 2."""


def train(
    controllers: dict[str, Controller[Any]],
    lr: Floats,
    updates: int,
    noise: float = 1.0,
    seed: int = 0,
) -> dict[str, Any]:
    """Train with controllers.

    The loss of a batch is the mean of h * (w - x) ** 2 / 2 over the directions, with a new x each time, from a normal
    distribution of standard deviation `noise`.

    Args:
        controllers: By name; their factors are multiplied.
        lr: The LR of each run; all runs are treated at once.
        updates: Length of a run.
        noise: Standard deviation of x.
        seed: Of the random numbers.

    Returns:
        "excess": the loss above its lowest value, without noise, at the end; "losses": of the batches, (updates, runs);
        "factor": at each update, the product over all controllers; "predicted": LR * |gradient| ** 2 of the batches.
    """
    rng, runs = np.random.default_rng(seed), len(lr)
    weights = 10 * rng.standard_normal((runs, len(CURVATURES)))
    states = {name: initial_state(runs, controller) for name, controller in controllers.items()}
    factor = np.ones(runs)
    factors, losses, predicted = [], [], []
    for update in range(updates):
        off = weights - noise * rng.standard_normal(weights.shape)
        loss, gradient = (CURVATURES * off**2).sum(1) / 2, CURVATURES * off
        present = factor * lr
        norm = np.sqrt((gradient**2).sum(1))
        factors.append(factor)
        losses.append(loss)
        predicted.append(present * norm**2)
        observation = Observation(update, present, loss, norm, restarts=np.False_, xp=np)
        factor = np.ones(runs)
        for name, controller in controllers.items():
            states[name], action = controller.update(states[name], observation)
            factor = factor * action.factor
        weights = weights - present[:, None] * gradient
    excess = (CURVATURES * weights**2).sum(1) / 2
    return {"excess": excess, "losses": np.array(losses), "factor": np.array(factors), "predicted": np.array(predicted)}


def initial_state(count: int, controller: Controller[Any]) -> Any:
    """The initial state of a controller, for this number of runs."""
    initial = controller.init()
    return type(initial)(*(np.full(count, float(value)) for value in initial))


def actions(factor: Floats) -> Floats:
    """How often the factor changed, in each run."""
    return (factor[1:] != factor[:-1]).sum(0)
