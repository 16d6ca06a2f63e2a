"""How often adding seeds until a difference is sure ends in a false claim, and how many seeds it takes: simulations.

    python benchmarks/until_sure.py [--studies 2000]

Writes benchmarks/results/until_sure.json; `python docs/make.py` writes its section of docs/benchmarks.md from it.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.measure import keep
from learnrate.study.statistics import student
from learnrate.study.statistics.paired import difference
from learnrate.study.statistics.sequential import EFFECT_VARIANCE, fewest_pairs, log_evidence, sure_after

Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, tuple[int, ...]], Array]

MOST_SEEDS = 30
LEVEL = 0.95
ARMS = (2, 4)
EFFECTS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0)
TUNED_FOR = (0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
VARIANCES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0, 16.0)


def skewed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Log-normal noise with mean 0: its skewness is 3.7."""
    return np.exp(0.8 * rng.standard_normal(shape)) - math.exp(0.32)


def accuracies(error: float, spread: float) -> Noise:
    """Accuracies of a test set of 1,000 images, of models that differ from seed to seed."""
    return lambda rng, shape: rng.binomial(1000, np.clip(1 - error + spread * rng.standard_normal(shape), 0, 1)) / 1000


def unequal(factors: tuple[float, ...], noise: Noise) -> Noise:
    """Noise that differs in size from arm to arm."""
    return lambda rng, shape: noise(rng, shape) * np.array(factors)[: shape[-1]]


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal noise."""
    return rng.standard_normal(shape)


def failing(share: float) -> Noise:
    """A share of the trainings fails, and the others are nearly equal."""
    return lambda rng, shape: -1.0 * (rng.random(shape) < share) + 0.02 * rng.standard_normal(shape)


def opposed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Each seed suits one half of the arms and not the other, always by nearly the same amount."""
    suited = rng.choice([-1.0, 1.0], (*shape[:-1], 1)) * np.where(np.arange(shape[-1]) % 2, 1.0, -1.0)
    return suited + 0.02 * rng.standard_normal(shape)


NOISES: dict[str, Noise] = {
    "normal": normal,
    "heavy tails (Student, 3 degrees)": lambda rng, shape: rng.standard_t(3, shape),
    "skewed (log-normal)": skewed,
    "accuracies near 95 % of 1,000 images": accuracies(0.05, 0.003),
    "accuracies near 99.9 % of 1,000 images": accuracies(0.001, 0.0),
    "normal, 1 to 10 times as large in other arms": unequal((1.0, 3.0, 1.0, 10.0), normal),
    "3 of 10 trainings fail": failing(0.3),
    "half of the trainings fail": failing(0.5),
    "each seed suits one half of the arms": opposed,
}

OUTSIDE: dict[str, Noise] = {"skewed, 3 times as large in other arms": unequal((1.0, 3.0, 1.0, 3.0), skewed)}
"""What breaks the assumption: differences that are skewed themselves. Their mean is 0, but most have the same sign."""


def naive(differences: Array) -> NDArray[np.bool_]:
    """Whether the 95 % t interval excludes 0, after each seed."""
    n = np.arange(1, len(differences) + 1).reshape(-1, *[1] * (differences.ndim - 1))
    means = differences.cumsum(0) / n
    variances = np.maximum((differences**2).cumsum(0) - n * means**2, 0) / np.maximum(n - 1, 1)
    quantiles = np.array([math.inf] + [student.quantile((1 + LEVEL) / 2, count - 1) for count in n.ravel()[1:]])
    with np.errstate(invalid="ignore"):
        widths = quantiles.reshape(n.shape) * np.sqrt(variances / n)
    return (np.abs(means) > widths) & (n > 1)


def enough(differences: Array, comparisons: int) -> NDArray[np.bool_]:
    """Where the evidence alone is enough, without the limit of the number of seeds."""
    return log_evidence(differences) >= math.log(comparisons / (1 - LEVEL))


def false_claims(rng: np.random.Generator, studies: int, noises: dict[str, Noise]) -> list[dict[str, Any]]:
    """In how many studies without a difference of means any pair of arms is claimed to differ, in 30 looks."""
    rows = []
    for name, noise in noises.items():
        for arms in ARMS:
            scores = noise(rng, (MOST_SEEDS, studies, arms))
            pairs = list(combinations(range(arms), 2))
            differences = np.stack([scores[..., i] - scores[..., j] for i, j in pairs], axis=-1)
            sure = sure_after(differences, LEVEL, len(pairs))
            rows.append(
                {
                    "noise": name,
                    "arms": arms,
                    "studies": studies,
                    "claims": int(sure.any(axis=(0, 2)).sum()),
                    "without the limit": int(enough(differences, len(pairs)).any(axis=(0, 2)).sum()),
                    "naive": int(naive(differences).any(axis=(0, 2)).sum()),
                    "t interval, 3 seeds": int(naive(differences[:3])[2].any(axis=-1).sum()),
                }
            )
    return rows


def diverging(rng: np.random.Generator, studies: int) -> list[dict[str, Any]]:
    """The same where a share of the trainings diverges, so that only signs count from then on."""
    rows = []
    for share in (0.02, 0.1, 0.5):
        scores = rng.standard_normal((studies, 2, MOST_SEEDS))
        scores[rng.random(scores.shape) < share] = math.nan
        # The p-value is that of the strongest evidence so far: at the end it tells whether there ever was a claim.
        last = [difference(first, second, anytime=True) for first, second in scores.tolist()]
        rows.append({"share": share, "studies": studies, "claims": sum(result.p_value <= 1 - LEVEL for result in last)})
    return rows


def seeds_needed(sure: NDArray[np.bool_]) -> Array:
    """After how many seeds each study is sure; the length of the series where it is not."""
    return np.where(sure.any(axis=0), sure.argmax(axis=0) + 1, len(sure)).astype(float)


def first_at(shares: Array, share: float) -> int | None:
    """The first number of seeds at which a share of the studies is reached."""
    reached = np.flatnonzero(shares >= share)
    return int(reached[0]) + 1 if len(reached) else None


def power(rng: np.random.Generator, studies: int) -> list[dict[str, Any]]:
    """How many seeds a difference takes, beside a t-test with a number of seeds that was fixed beforehand."""
    noise = rng.standard_normal((300, studies))
    rows = []
    for effect in EFFECTS:
        row: dict[str, Any] = {"effect": effect, "t-test, 80 %": first_at(naive(noise + effect).mean(axis=1), 0.8)}
        for arms in ARMS:
            sure = sure_after(noise + effect, LEVEL, arms * (arms - 1) // 2)
            by = np.logical_or.accumulate(sure, axis=0).mean(axis=1)
            row[f"{arms} arms"] = {
                "mean": float(seeds_needed(sure).mean()),
                "without the limit": float(seeds_needed(enough(noise + effect, arms * (arms - 1) // 2)).mean()),
                "80 %": first_at(by, 0.8),
                "sure by 30": float(by[MOST_SEEDS - 1]),
            }
        rows.append(row)
    return rows


def priors(rng: np.random.Generator, studies: int) -> list[dict[str, Any]]:
    """The geometric mean, over effects, of the expected number of seeds: what the variance of the prior is chosen by."""
    noise = rng.standard_normal((300, studies))
    rows = []
    for variance in VARIANCES:
        evidence = [log_evidence(noise + effect, effect_variance=variance) for effect in TUNED_FOR]
        row: dict[str, Any] = {"variance": variance}
        for arms in ARMS:
            comparisons = arms * (arms - 1) // 2
            fewest, bar = fewest_pairs(LEVEL, comparisons), math.log(comparisons / (1 - LEVEL))
            for limit in (MOST_SEEDS, len(noise)):
                means = []
                for series in evidence:
                    sure = series[:limit] >= bar
                    sure[: fewest - 1] = False
                    means.append(seeds_needed(sure).mean())
                row[f"{arms} arms, {limit} seeds"] = round(float(np.exp(np.mean(np.log(means)))), 2)
        rows.append(row)
    return rows


def main() -> int:
    """Simulate, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=2000, help="number of simulated studies of each kind")
    studies = parser.parse_args().studies
    rng, start = np.random.default_rng(0), time.perf_counter()
    content: dict[str, Any] = {"most seeds": MOST_SEEDS, "level": LEVEL, "variance": EFFECT_VARIANCE}
    for name, part in {
        "false claims": lambda: false_claims(rng, studies, NOISES),
        "outside": lambda: false_claims(rng, studies, OUTSIDE),
        "diverging": lambda: diverging(rng, studies),
        "power": lambda: power(rng, studies),
        "priors": lambda: priors(rng, studies),
    }.items():
        content[name] = part()
        print(f"{time.perf_counter() - start:6.1f} s: {name}", flush=True)
    print(f"written: {keep('until_sure', ('learnrate', 'numpy'), **content)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
