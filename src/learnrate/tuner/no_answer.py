"""When the trials give no answer, and what would give one: an error instead of a choice from noise."""

import math
from collections.abc import Sequence

import numpy as np

from learnrate import checks
from learnrate.errors import NoAnswerError
from learnrate.finder import Curve
from learnrate.finder.smoothing import Floats
from learnrate.tuner.budget import Spending, usual
from learnrate.tuner.evidence import informative, learned, safe
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Rung, Start, Trial, rungs, start_losses


def require_level(curve: Curve) -> None:
    """Refuse a range test that does not show the loss at the start.

    Raises:
        NoAnswerError: if too few of its first losses are finite.
    """
    finite = np.isfinite(start_losses(curve))
    if finite.sum() >= THRESHOLDS.finite_losses:
        return
    if finite.all():
        raise NoAnswerError(
            f"the budget ended after {len(curve)} updates of the range test, before the level of the loss was known.",
            "Give a larger budget.",
        )
    at = int(np.argmin(finite))
    raise NoAnswerError(
        f"the loss was not finite at update {at} of the range test, at LR {curve.lrs[at]:.2g}.",
        "Look for NaN or infinity in the batch of that update, or give a lower `low`.",
    )


def require_finite_start(losses: Floats) -> None:
    """Refuse updates at a very small LR that do not show the loss at the start.

    Raises:
        NoAnswerError: if too few of their losses are finite.
    """
    finite = np.isfinite(losses)
    if finite.sum() < THRESHOLDS.finite_losses:
        raise NoAnswerError(
            f"the loss was not finite at update {int(np.argmin(finite))}, at a very small LR.",
            "Look for NaN or infinity in the batch of that update.",
        )


def require_sound(trials: Sequence[Trial], start: Start, lowest: float, spending: Spending, horizon: int) -> None:
    """Refuse to continue if no trial gave a result.

    Args:
        trials: The trials.
        start: The model before any training.
        lowest: The lowest LR to try, as log2.
        spending: The budget, for the remedy.
        horizon: Length of the run, for the remedy.

    Raises:
        NoAnswerError: if there are no trials, or all diverged.
    """
    if not trials:
        raise NoAnswerError("the budget was used up before the first trial ended.", _larger_budget(spending, horizon))
    require_finite(trials)
    if not any(rung.sound for rung in safe(rungs(trials), start)):
        lrs = ", ".join(f"{trial.max_lr:g}" for trial in trials)
        reached = min(trial.log2_lr for trial in trials) <= lowest + THRESHOLDS.diverged_stride
        remedy = "Give a lower `low`, or a larger budget." if reached else "Give a larger budget."
        raise NoAnswerError(f"training diverged at every LR that was tried ({lrs}).", remedy)


def require_finite(trials: Sequence[Trial]) -> None:
    """Refuse trials whose losses became non-finite at the same update, whatever their LR: the cause is the data.

    Trials at LRs that are too high diverge before that update.

    Raises:
        NoAnswerError: if this happened in the trials of any length.
    """
    for rung in rungs(trials):
        longest = max((trial.updates_made for trial in rung.trials), default=0)
        last = [trial for trial in rung.trials if trial.updates_made == longest]
        enough = len(last) >= THRESHOLDS.same_update_trials
        if enough and all(trial.diverged for trial in rung.trials) and all(math.isinf(trial.highest_loss) for trial in last):
            others = "" if len(last) == len(rung.trials) else " at which training did not diverge before"
            raise NoAnswerError(
                f"at every LR{others}, the loss was not finite at update {longest - 1} of the trial.",
                "Look for NaN or infinity in the batch of that update.",
            )


def require_trials(name: str, trials: Sequence[Trial]) -> None:
    """Refuse to compare families if one of them has no trial.

    Raises:
        NoAnswerError: if this one has none.
    """
    if not trials:
        raise NoAnswerError(
            f"the budget leaves no trials for the family {checks.shown(name)} beside the others.",
            "Give a larger budget, a longer training, or fewer families.",
        )


def any_informative(trials: Sequence[Trial], start: Start) -> bool:
    """Whether trials of any length learned enough to choose between them."""
    return any(informative(rung, start) for rung in safe(rungs(trials), start))


def require_learned(trials: Sequence[Trial], start: Start, highest: float) -> None:
    """Refuse to choose if no trial below the stability edge learned.

    Args:
        trials: The trials.
        start: The model before any training.
        highest: The highest LR to try, as log2.

    Raises:
        NoAnswerError: if none learned.
    """
    if any_informative(trials, start):
        return
    longest = safe(rungs(trials), start)[-1]
    raise NoAnswerError(
        f"no learning rate reduced the loss significantly, in trials of up to {longest.updates} updates.",
        _remedy(trials, longest, start, highest),
    )


def _remedy(trials: Sequence[Trial], longest: Rung, start: Start, highest: float) -> str:
    if all(loss == start.loss for trial in trials for loss in (*trial.final_losses, trial.highest_loss)):
        return (
            "The loss never changed: check that it depends on the parameters that are trained, or give a larger budget if "
            "the model is on a plateau."
        )
    top = max(trial.max_lr for trial in trials)
    # Few models need an LR above 1: a lower `high` may be what is wrong.
    if top < 1 and math.log2(top) >= highest - 1 and not any(trial.diverged for trial in trials):
        return f"Give a higher `high`, because no LR up to {top:.2g} was too high, or a larger budget."
    larger = "Give a larger budget: the model may be on a plateau that lasts longer."
    if learned(longest, start) and longest.best_fall(start) < THRESHOLDS.negligible_fall * abs(start.loss):
        return (
            f"{larger} Or remove the constant part of the loss, if there is one: the loss fell from {start.loss:.6g} by "
            f"{longest.best_fall(start):.2g} at most."
        )
    return larger


def _larger_budget(spending: Spending, horizon: int) -> str:
    if not spending.budget.is_timed or not spending.pace:
        return "Give a larger budget."
    updates = usual(horizon)
    return f"Give a larger budget: the usual {updates} updates take about {spending.pace * updates:.2g} seconds."
