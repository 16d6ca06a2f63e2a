"""How often a guard fires in healthy runs: 1,000 simulated runs of each kind, all of a kind at once.

python -m benchmarks.guard_alarms

Every kind of course (falls, plateaus, rises in a warm-up, LR restarts, cycles) is combined with every kind of noise, whose
size is drawn for each run: 0.3, 3 or 20 % of the loss at the start, or of the present loss. The record is
benchmarks/results/guard_alarms.json.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import keep
from learnrate.control import Observation, guard

RUNS, UPDATES, CYCLE = 1000, 2000, 400

Array = NDArray[np.float64]


def noises(rng: np.random.Generator) -> dict[str, Array]:
    """Noise of deviation 1: (updates, runs)."""
    shape = (UPDATES, RUNS)
    normal = rng.normal(size=shape)
    correlated = normal.copy()
    for n in range(1, UPDATES):
        correlated[n] = 0.9 * correlated[n - 1] + np.sqrt(1 - 0.81) * normal[n]
    logarithmic = np.exp(0.5 * normal)
    return {
        "none": np.zeros(shape),
        "normal": normal,
        "correlated (0.9)": correlated,
        "log-normal": (logarithmic - logarithmic.mean()) / logarithmic.std(),
        "exponential": rng.exponential(size=shape) - 1,
        "Student, 5 degrees": rng.standard_t(5, size=shape) / np.sqrt(5 / 3),
        "Student, 3 degrees": rng.standard_t(3, size=shape) / np.sqrt(3),
    }


def courses(rng: np.random.Generator) -> dict[str, tuple[Array, int]]:
    """Mean losses, and the period of the restarts, 0 for none."""
    n = np.arange(UPDATES, dtype=float)[:, None]
    times = rng.choice([5.0, 30.0, 200.0, 1000.0], RUNS)
    fall = 0.3 + 2 * np.exp(-n / times)
    since = n % CYCLE
    return {
        "exponential fall": (fall, 0),
        "slow fall (power law)": (0.05 + 3 * (1 + n / times) ** -0.5, 0),
        "plateau": (1 + 0 * fall, 0),
        "fall below 0": (fall - 5, 0),
        "rise by 15 % in a warm-up": (np.where(n < 100, 2.3 * (1 + 0.0015 * n), 0.3 + 2.345 * np.exp(-(n - 100) / 200)), 0),
        "restarts that cost 25 % of the fall": (
            0.3 + 2 * np.exp(-n / 150) + np.where(n < CYCLE, 0, 0.5 * np.exp(-since / 60)),
            CYCLE,
        ),
        "cycles that cost 15 % of the fall": (0.4 + 2 * np.exp(-n / 100) + 0.3 * (1 - np.abs(n % 200 / 100 - 1)), 0),
    }


def alarms(losses: Array, period: int) -> tuple[Array, Array]:
    """How often each run has a batch left out, and is rolled back."""
    controller = guard()
    state: Any = controller.init()
    skips, rollbacks = np.zeros(RUNS), np.zeros(RUNS)
    for n, loss in enumerate(losses):
        restarts = bool(period) and n > 0 and n % period == 0
        state, action = controller.update(state, Observation(n, 0.1, loss, restarts=restarts, xp=np))  # type: ignore[arg-type]
        skips += action.skip
        rollbacks += action.rollback
    return skips, rollbacks


def measured(seed: int = 0) -> list[dict[str, Any]]:
    """Rows: noise, course, and how many of the runs had a false alarm."""
    rng = np.random.default_rng(seed)
    rows = []
    for course, (means, period) in courses(rng).items():
        for noise, deviations in noises(rng).items():
            size = rng.choice([0.003, 0.03, 0.2], RUNS) * np.where(rng.random(RUNS) < 0.5, np.abs(means[0]), np.abs(means))
            skips, rollbacks = alarms(means + size * deviations, period)
            rows.append(
                {
                    "course": course,
                    "noise": noise,
                    "skips": int(skips.sum()),
                    "runs with a skip": int((skips > 0).sum()),
                    "runs with a rollback": int((rollbacks > 0).sum()),
                }
            )
            print(rows[-1], flush=True)
    return rows


if __name__ == "__main__":
    print(keep("guard_alarms", ("numpy",), runs=RUNS, updates=UPDATES, guard=repr(guard()), rows=measured()))
