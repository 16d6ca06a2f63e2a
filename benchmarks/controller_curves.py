"""Simulated losses: falls of many shapes, noise of many kinds, and how well a fall can be seen in the noise."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from learnrate.control import Controller, Observation
from learnrate.control.trend import JUDGED, SCALES, block_length, shortest

Floats = np.ndarray

SEEN = 5.0
"""Standard errors of its own by which a fall has to be seen, wherever it is looked at, to be worth waiting for."""


def shapes(rng: np.random.Generator, updates: int) -> dict[str, Floats]:
    """One fall of each shape, from 1 towards 0, with random constants. Shape of each: (updates,)."""
    n = np.arange(updates)
    power, bend = rng.uniform(0.25, 1.5), updates * 10 ** rng.uniform(-2.5, -0.5)
    early = rng.uniform(0.2, 0.7)
    return {
        "linear": 1 - n / updates,
        "exponential": np.exp(-rng.uniform(0.5, 5.0) * n / updates),
        "1 / n": 1 / (1 + n / bend),
        "power law": (1 + n / bend) ** -power,
        "logarithm": 1 - np.log1p(n / bend) / np.log1p(updates / bend),
        "steep, then linear": early * np.exp(-n / (0.01 * updates)) + (1 - early) * (1 - n / updates),
    }


def correlated(by: float) -> Callable[[np.random.Generator, tuple[int, int]], Floats]:
    """Noise of which each value is correlated with the one before."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        values = rng.standard_normal(shape)
        for index in range(1, len(values)):
            values[index] = by * values[index - 1] + math.sqrt(1 - by * by) * values[index]
        return values

    return draw


NOISES: dict[str, tuple[Callable[[np.random.Generator, tuple[int, int]], Floats], float]] = {
    "normal": (lambda rng, shape: rng.standard_normal(shape), 0.0),
    "correlated by 0.5": (correlated(0.5), 0.5),
    "correlated by 0.9": (correlated(0.9), 0.9),
    "Student's t with 3 degrees": (lambda rng, shape: rng.standard_t(3, shape) / math.sqrt(3), 0.0),
    "exponential": (lambda rng, shape: rng.standard_exponential(shape) - 1, 0.0),
}
"""Noise of standard deviation 1, and the correlation of neighbours."""


def sees(curves: Floats, noise: Floats, correlation: Floats, patience: int) -> Floats:
    """The least number of its standard errors by which each fall is seen, over the run and the pairs of averages.

    Args:
        curves: Falls without noise; shape (updates, curves).
        noise: The standard deviation of each value; the same shape.
        correlation: Of neighbours; shape (curves,).
        patience: Of the controller.
    """
    block = block_length(patience)
    blocks = len(curves) // block
    means = curves[: blocks * block].reshape(blocks, block, -1).mean(1)
    squares = (noise[: blocks * block] ** 2).reshape(blocks, block, -1).mean(1) / block
    squares *= (1 + correlation) / (1 - correlation)
    average = [np.zeros(curves.shape[1]) for _ in SCALES]
    variance = {pair: np.zeros(curves.shape[1]) for pair in ((i, j) for i in range(len(SCALES)) for j in (i, i + 1))}
    least = np.full(curves.shape[1], np.inf)
    pairs = [(0, 1), *JUDGED]
    for n in range(1, blocks + 1):
        gains = [c / (n + c - 1) for c in SCALES] + [0.0]
        average = [a + g * (means[n - 1] - a) for a, g in zip(average, gains, strict=False)]
        for i, j in variance:
            kept = (1 - gains[i]) * (1 - gains[j])
            variance[i, j] = kept * variance[i, j] + gains[i] * gains[j] * squares[n - 1]
        for position, patiences in pairs:
            after = 2 if position == 1 else patiences  # before, the plain mean is looked at as well, and sees more
            if n >= after * shortest(patience) and (position > 0 or n < 2 * shortest(patience)):
                spread = variance[position, position] + variance[position + 1, position + 1]
                error = np.sqrt(spread - 2 * variance[position, position + 1])
                least = np.minimum(least, (average[position] - average[position + 1]) / error)
    return least


def falls(
    rng: np.random.Generator, count: int, updates: int, patience: int, band: tuple[float, float]
) -> tuple[Floats, list[tuple[str, str]], Floats]:
    """Random falls by 1, or somewhat less, with random noise.

    Args:
        rng: Random numbers.
        count: Number of falls.
        updates: Length of each.
        patience: Of the controller.
        band: Range of the standard errors by which they are seen, drawn evenly on a logarithmic scale.

    Returns:
        The losses, shape (updates, count); the names of shape and noise of each; and the standard deviation of its noise.
    """
    curves, spreads, names = [], [], []
    kinds = rng.integers(len(NOISES), size=count)
    for index, kind in enumerate(kinds):
        options = shapes(rng, updates)
        shape = list(options)[index % len(options)]
        shrinks = bool(rng.integers(2))
        curves.append(options[shape])
        spreads.append(options[shape] if shrinks else np.ones(updates))
        names.append((shape, f"{list(NOISES)[kind]}, {'shrinking' if shrinks else 'constant'}"))
    curve, spread = np.stack(curves, axis=1), np.stack(spreads, axis=1)
    visible = sees(curve, spread, np.array([list(NOISES.values())[kind][1] for kind in kinds]), patience)
    wanted = np.exp(rng.uniform(math.log(band[0]), math.log(band[1]), count))
    noise = visible / wanted
    losses = 1 + curve + noise * spread * drawn(rng, kinds, updates)
    return losses, names, noise


def drawn(rng: np.random.Generator, kinds: Floats, updates: int) -> Floats:
    """Noise of these kinds; shape (updates, kinds)."""
    errors = np.empty((updates, len(kinds)))
    for kind, (draw, _) in enumerate(NOISES.values()):
        errors[:, kinds == kind] = draw(rng, (updates, int((kinds == kind).sum())))
    return errors


def noise_only(rng: np.random.Generator, count: int, updates: int) -> tuple[Floats, list[str]]:
    """Losses without a trend, and the kind of noise of each."""
    kinds = np.arange(count) % len(NOISES)
    return drawn(rng, kinds, updates), [list(NOISES)[kind] for kind in kinds]


def fall_then_plateau(rng: np.random.Generator, count: int, fall: int, plateau: int, height: float, noise: str) -> Floats:
    """Losses that fall by `height` standard deviations of the noise in `fall` updates, in several shapes, and then stay."""
    n = np.arange(fall + plateau)[:, None]
    at = np.clip(n / max(fall, 1), 0, 1)
    kinds = [1 - at, (np.exp(-4 * at) - math.exp(-4)) / (1 - math.exp(-4)), (1 / (1 + 20 * at) - 1 / 21) / (1 - 1 / 21)]
    curve = np.concatenate([kinds[index % len(kinds)] for index in range(count)], axis=1)
    return height * curve + NOISES[noise][0](rng, (fall + plateau, count))


def first_actions(controller: Controller[Any], losses: Floats) -> Floats:
    """The update at which a controller first acts on each series; -1 if it does not. All series are treated at once."""
    count = losses.shape[1]
    state = type(controller.init())(*(np.full(count, float(value)) for value in controller.init()))
    acted, lr = np.full(count, -1), np.full(count, 0.1)
    for update, loss in enumerate(losses):
        state, action = controller.update(state, Observation(update, lr=lr, loss=loss, restarts=np.False_, xp=np))
        acts = (np.asarray(action.factor) != 1) | (np.asarray(action.cooldown) > 0)
        acted = np.where((acted < 0) & acts, update, acted)
        # What it does afterwards is not looked at, so the LR stays as it is.
    return acted


def torch_first_actions(losses: Floats, patience: int) -> Floats:
    """The update at which torch's ReduceLROnPlateau, else with its defaults, first lowers the LR; -1 if never."""
    best, bad = np.full(losses.shape[1], np.inf), np.zeros(losses.shape[1])
    acted = np.full(losses.shape[1], -1)
    for update, loss in enumerate(losses):
        better = loss < best * (1 - 1e-4)
        best, bad = np.where(better, loss, best), np.where(better, 0, bad + 1)
        acted = np.where((acted < 0) & (bad > patience), update, acted)
    return acted
