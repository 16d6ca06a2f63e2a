"""Searches of Optuna: trials of a short training, whose updates together stay within a budget."""

import functools
import math
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from typing import Any

import numpy as np

from benchmarks.choice.methods.method import Answer, Method, version_of
from benchmarks.choice.task import Task
from benchmarks.choice.training import built, endless, schedule, step

RANGE = (1e-5, 10.0)
"""From the lower end in Optuna's own PyTorch example to the upper end of the sweeps of fastai and pytorch-lr-finder. The
upper end in the example, 0.1, is below the best LR of most SGD tasks."""

TRIALS = 8
"""Trials of the random search: fewer would leave a decade without a trial, more would be too short to rank LRs."""

REDUCTION = 4
"""Optuna's default: one trial in four continues after a rung."""

LONGEST = 4
"""Number of full-length trials in the budget of successive halving. It prunes most of them after a quarter, so that it makes
nearly as many trials as the random search, of twice the length."""


class BudgetError(Exception):
    """A budget of less than one update for each trial."""


def random_search(budget: int) -> Method:
    """Trials of equal length; the best validation metric at their end decides."""

    def answers(task: Task, seed: int) -> tuple[Answer]:
        length = least(budget, TRIALS) // TRIALS

        def objective(trial: Any) -> float:
            *_, score = scores(task, seed, suggested(trial), length, (length,))
            return score

        return (searched(seed, objective, TRIALS),)

    return Method(("Optuna random",), answers, functools.partial(version_of, "optuna", __file__))


def successive_halving(budget: int) -> Method:
    """A quarter of a trial, then the rest of it if the pruner does not stop it, until the budget is spent."""

    def answers(task: Task, seed: int) -> tuple[Answer]:
        import optuna

        rung = least(budget, LONGEST * REDUCTION) // (LONGEST * REDUCTION)
        length, left = rung * REDUCTION, budget

        def objective(trial: Any) -> float:
            nonlocal left
            # An incomplete trial has no result that can be compared.
            if left < length:
                trial.study.stop()
                raise optuna.TrialPruned
            left -= rung
            course = scores(task, seed, suggested(trial), length, (rung, length))
            trial.report(next(course), rung)
            if trial.should_prune():
                raise optuna.TrialPruned
            left -= length - rung
            return next(course)

        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=rung, reduction_factor=REDUCTION)
        return (searched(seed, objective, None, pruner),)

    return Method(("Optuna successive halving",), answers, functools.partial(version_of, "optuna", __file__))


def least(budget: int, updates: int) -> int:
    """The budget, if it is large enough.

    Raises:
        BudgetError: if it is less than `updates`.
    """
    if budget < updates:
        raise BudgetError(f"a budget of {budget} updates does not pay for {updates}")
    return budget


def suggested(trial: Any) -> float:
    """The LR to try."""
    return float(trial.suggest_float("lr", *RANGE, log=True))


def scores(task: Task, seed: int, max_lr: float, length: int, marks: tuple[int, ...]) -> Iterator[float]:
    """The validation metric of a training run of this length after each number of updates in `marks`.

    Raises:
        optuna.TrialPruned: if the loss is not finite.
    """
    import optuna

    model, optimizer = built(task, seed)
    values = schedule(max_lr, length)(np.arange(length)).tolist()
    batches = endless(task.batches())
    for begin, end in pairwise((0, *marks)):
        model.train()
        for value, batch in zip(values[begin:end], islice(batches, end - begin), strict=True):
            for group in optimizer.param_groups:
                group["lr"] = value
            if not math.isfinite(step(task, model, optimizer, batch)):
                raise optuna.TrialPruned
        yield task.validate(model)


def searched(seed: int, objective: Callable[[Any], float], trials: int | None, pruner: Any = None) -> Answer:
    """The best of the complete trials."""
    import optuna

    sampler = optuna.samplers.RandomSampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner or optuna.pruners.NopPruner())
    study.optimize(objective, n_trials=trials)
    ended = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    tried = sum(bool(trial.params) for trial in study.get_trials(deepcopy=False))
    if not ended:
        return Answer(None, f"all of {tried} trials diverged")
    best = study.best_trial
    return Answer(best.params["lr"], f"{best.value:.1f} points, best of {tried} trials, {len(ended)} of them whole")
