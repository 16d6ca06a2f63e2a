"""Comparisons that were not trained: of every kind that a page has to show."""

import math

import numpy as np

import learnrate as lr
from learnrate.study import Comparison, Outcome, Training
from learnrate.study.running.run import Chosen, Failure

NASTY = "<b>x</b> & $\\frac{1}$"
UPDATES = 200

ENVIRONMENT = {"Python": "3.11.2", "learnrate": "0.1", "host": "box", "processor": "CPU <1>", "cores": "2"}


def training(seed, level, *, ends_at=UPDATES, metric="accuracy", schedule="constant(0.1)"):
    """The metric rises to a level; one that ends early has diverged."""
    checkpoints = [n for n in range(20, UPDATES + 1, 20) if n <= ends_at]
    shift = np.random.default_rng([seed, round(1000 * level)]).normal(size=len(checkpoints)) * 0.002 + seed * 0.01
    scores = [level - 0.5 * math.exp(-n / 40) + float(noise) for n, noise in zip(checkpoints, shift, strict=True)]
    losses = [2 * math.exp(-n / 60) + 0.1 for n in range(ends_at)]
    if ends_at < UPDATES:
        losses[-1], scores[-1] = math.nan, math.nan
    measured = metric != "loss"
    return Training(
        seed=seed,
        score=scores[-1] if measured else losses[-1] + level,
        losses=tuple(losses),
        checkpoints=tuple(checkpoints) if measured else (),
        scores=tuple(scores) if measured else (),
        metric=metric,
        seconds=ends_at * 0.01,
        times=tuple(n * 0.01 for n in checkpoints) if measured else (),
        more={"error": tuple(1 - score for score in scores)} if measured else {},
        updates=ends_at,
        first_loss=2.1,
        start="ab",
        end=f"cd{seed}",
        schedule=schedule,
    )


def arm(name, level, seeds=3, text="constant(0.1)", **changes):
    trainings = tuple(training(seed, level, schedule=text, **changes) for seed in range(seeds))
    return Outcome(name, text, UPDATES, trainings, None, {}, "net", "0123456789abcdef")


def usual(seeds=4, arms=("one cycle", "cosine", "wsd")):
    texts = [repr(lr.one_cycle(0.4, UPDATES)), "cosine(0.2, 0, 200)", repr(lr.wsd(0.15, UPDATES))]
    outcomes = [arm(name, 0.95 - 0.02 * n, seeds, texts[n % 3]) for n, name in enumerate(arms)]
    return Comparison(UPDATES, tuple(outcomes), (), (ENVIRONMENT,))


def broken():
    """A name of HTML and TeX, a training that diverged, one that failed, an arm without trainings."""
    good = arm(NASTY, 0.9)
    diverged = Outcome(
        "diverges",
        "constant(3.0)",
        UPDATES,
        (training(0, 0.9), training(1, 0.9, ends_at=70), training(2, 0.9)),
        recipe="net",
    )
    failed = Outcome(
        "fails",
        "constant(0.2)",
        UPDATES,
        arm("fails", 0.8, 2).trainings,
        Chosen("constant(0.2)", 0.2, 90, 1.0, ("why",)),
        {2: Failure("ValueError: no <data>", "Traceback")},
    )
    never = Outcome("never", "function(mine)", UPDATES, (), None, {0: Failure("x")})
    return Comparison(UPDATES, (good, diverged, failed, never), ("never, seed 0 failed: x",), (ENVIRONMENT, {"Python": "3"}))


KINDS = {
    "usual": usual(),
    "broken": broken(),
    "one arm": usual(arms=("alone",)),
    "one seed": usual(seeds=1),
    "twelve arms": usual(seeds=2, arms=[f"a schedule with a long name that goes on, number {n}" for n in range(12)]),
    "losses": Comparison(UPDATES, (arm("a", 0.1, metric="loss"), arm("b", 0.3, metric="loss"))),
    "nothing yet": Comparison(UPDATES, (Outcome("a", "cosine(0.1, 0)", UPDATES), Outcome("b", "constant(0.1)", UPDATES))),
    "all diverged": Comparison(UPDATES, (arm("a", 0.9, 2, ends_at=30), arm("b", 0.9, 2, ends_at=30))),
}
