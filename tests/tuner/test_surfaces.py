"""Many synthetic trainings: where the search ends, and what a plan says about it.

The same surfaces in thousands, with their regret before and after a change, are how a change of the search is judged.
"""

import math

import numpy as np
import pytest

import learnrate as lr
from learnrate.errors import NoAnswerError
from surfaces import OnSurface, random_surface
from trainables import check_reasons


def surface_of(seed):
    return random_surface(np.random.default_rng(seed))


def tuned(surface, seed, **arguments):
    return lr.tune(OnSurface(surface, seed, batched=seed % 2 == 1), high=1e4 * surface.unit, **arguments)


def longest(plan):
    """The trials of the greatest length."""
    length = max(trial.updates for trial in plan.trials)
    return [trial for trial in plan.trials if trial.updates == length]


@pytest.mark.parametrize(("updates", "budget"), [(60, 1.0), (100, 0.5)])
def test_a_plan_at_the_edge_of_what_was_tried_says_so(updates, budget):
    at_edge = 0
    for seed in range(15):
        try:
            plan = tuned(surface_of(seed), seed, updates=updates, budget=budget)
        except NoAnswerError:
            continue
        tried = [trial.max_lr for trial in plan.trials]
        best = min(longest(plan), key=lambda trial: (trial.loss, trial.max_lr)).max_lr
        sides = {
            "below": (plan.interval[0] == 0, best <= min(tried)),
            "above": (plan.interval[1] == math.inf, best >= max(tried)),
        }
        for side, (is_open, ends_there) in sides.items():
            assert is_open == ends_there == any(f"No LR {side}" in reason for reason in plan.reasons.choice)
        at_edge += sides["below"][1]
        check_reasons(plan)
    assert at_edge > 2  # a small budget ends many searches early


@pytest.mark.parametrize("seed", [9, 10, 22, 25, 42, 57])
def test_the_search_finds_lrs_far_below_those_that_learn_the_same_in_short_trials(seed):
    # In each of them, the loss of the range test falls up to LRs at which a run learns far less than at the best one.
    surface = surface_of(seed)
    plan = tuned(surface, seed, updates=300, budget=1.0)
    best = min(longest(plan), key=lambda trial: trial.loss).max_lr
    assert best > min(trial.max_lr for trial in plan.trials)
    assert 0 < plan.interval[0] <= plan.max_lr
