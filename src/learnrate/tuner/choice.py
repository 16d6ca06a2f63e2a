"""The result of all trials, computed once: what is chosen, and everything that the reasons say about it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from learnrate.schedules import Schedule
from learnrate.tuner.cycling import Cycling
from learnrate.tuner.estimate import Estimate, best_log2_lr, estimate, missed, regrets, rounded_lr
from learnrate.tuner.evidence import safe, spike_limit, stability_edge
from learnrate.tuner.families import NAMED, Family, Run
from learnrate.tuner.no_answer import any_informative
from learnrate.tuner.runner import Runner
from learnrate.tuner.survey import Survey
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Rung, Start, Trial, rungs


@dataclass(frozen=True)
class Candidate:
    """A family and its trials.

    Attributes:
        name: The name of the family.
        family: The schedules.
        trials: The trials, in their order.
        stopped: Why there are no more: a part of a sentence.
    """

    name: str
    family: Family
    trials: tuple[Trial, ...]
    stopped: str

    def best(self, start: Start) -> Trial:
        """The best of the longest trials."""
        rung = _rung(self.trials, self.trials[-1].updates, start)
        by_lr = regrets(rung, start)
        return min(rung.trials, key=lambda trial: (by_lr[trial.log2_lr], trial.max_lr))


@dataclass(frozen=True)
class Cost:
    """What tuning cost.

    Attributes:
        spent: Updates.
        longest: Length of the longest trials.
        longer: The length that they could usefully have; the same if a larger budget would gain nothing.
        more: Updates that this would cost.
    """

    spent: int
    longest: int
    longer: int
    more: int


@dataclass(frozen=True)
class Choice:
    """The chosen schedule and the evidence for it.

    Attributes:
        family: The name of the chosen family.
        schedule: The schedule at the chosen LR.
        cycling: The cycles, if the schedule is the family "triangular2".
        estimate: The chosen LR and its interval.
        rungs: The trials of the chosen family.
        stopped: Why the search of this family made no more of them.
        edge: The lowest unsafe LR, if a trial at or above it did not diverge; otherwise None.
        spike: The lowest LR with a large spike of the loss, where steps are not bounded: no higher LR is chosen; None if
            there was none.
        open_below: Whether no LR below the best trial was tried: a lower one may be better.
        open_above: Whether no LR above the best trial was tried: a higher one may be better.
        by_probe: Whether the trials show nothing, and the LR is that of the probe.
        drift: Relative change of the best LR from the longest trials to the run; None if they are equally long.
        compared: The best trial of each family, by name; empty if there is only one family.
        metric: What the score is called.
        cost: What tuning cost.
        batches: How many times several trials were trained as one batch.
        not_batchable: Why trials were trained one by one; empty if they were not.
        cut_trials: Number of trials that ended without a result because the time was over.
        unscored: Number of evaluations that gave no finite number.
        trials: All trials, in their order.
        by_executor: How an executor trained the trials, in a sentence; empty if they were trained here.
    """

    family: str
    schedule: Schedule
    cycling: Cycling | None
    estimate: Estimate
    rungs: tuple[Rung, ...]
    stopped: str
    edge: float | None
    spike: float | None
    open_below: bool
    open_above: bool
    by_probe: bool
    drift: float | None
    compared: tuple[tuple[str, Trial], ...]
    metric: str
    cost: Cost
    batches: int
    not_batchable: str
    cut_trials: int
    unscored: int
    trials: tuple[Trial, ...]
    by_executor: str = ""

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of the estimate; 0 or infinity on the side where no trial shows that LRs are worse."""
        low, high = self.estimate.low, self.estimate.high
        return (0.0 if self.open_below else low), (math.inf if self.open_above else high)


def choose(
    candidates: Sequence[Candidate],
    runner: Runner,
    run: Run,
    lr_drift: float,
    survey: Survey,
    allowed: tuple[float, float],
    metric: str,
) -> Choice:
    """Choose the family whose best trial is the best, and its LR with the lowest expected regret.

    Args:
        candidates: The families, at least one.
        runner: The runner of all trials.
        run: The training run.
        lr_drift: See `learnrate.OptimizerTraits`.
        survey: What was measured before the trials.
        allowed: The lowest and the highest LR that may be chosen.
        metric: What the score is called.
    """
    start = runner.start
    finals = [candidate.best(start) for candidate in candidates] if len(candidates) > 1 else []
    chosen = candidates[_best(finals, start)] if finals else candidates[0]
    evidence = rungs(chosen.trials)
    lowest, highest = allowed
    by_probe = survey.late_probe is not None and not any_informative(chosen.trials, start)
    chosen_lr = _of_probe(survey) if by_probe else estimate(evidence, start, run.updates, lr_drift, survey.probed)
    chosen_lr = replace(chosen_lr, lowest=lowest, highest=highest)
    schedule = chosen.family(chosen_lr.lr)
    # A function of the user may have this name as well.
    is_cycling = chosen.name == "triangular2" and schedule == NAMED[chosen.name](chosen_lr.lr, run)
    edge, spike, longest = stability_edge(evidence, start), spike_limit(evidence, start), evidence[-1].updates
    best_lr = rounded_lr(best_log2_lr(_rung(chosen.trials, longest, start), start))
    tried = [trial.max_lr for trial in chosen.trials]
    return Choice(
        family=chosen.name,
        schedule=schedule,
        cycling=run.cycling if is_cycling else None,
        estimate=chosen_lr,
        rungs=tuple(evidence),
        stopped=chosen.stopped,
        edge=rounded_lr(edge) if any(not trial.diverged and trial.log2_lr >= edge for trial in chosen.trials) else None,
        spike=rounded_lr(spike) if math.isfinite(spike) else None,
        open_below=not by_probe and best_lr <= min(tried),
        open_above=not by_probe and best_lr >= max(tried) and math.isinf(spike),
        by_probe=by_probe,
        drift=2.0 ** (lr_drift * math.log2(run.updates / longest)) - 1 if longest < run.updates else None,
        compared=tuple((candidate.name, trial) for candidate, trial in zip(candidates, finals, strict=bool(finals))),
        metric=metric,
        cost=_cost(runner.spending.spent, longest, run.updates, len(candidates)),
        batches=runner.batches,
        not_batchable=runner.not_batchable,
        cut_trials=runner.cut_trials,
        unscored=runner.unscored,
        trials=tuple(runner.trials),
        by_executor="" if runner.side_by_side is None else runner.side_by_side.reason(),
    )


def _of_probe(survey: Survey) -> Estimate:
    """The LR of the first trial and the interval of the probe, where no trial shows more."""
    assert survey.late_probe is not None
    low, high = map(math.log2, survey.late_probe.interval)
    return Estimate(survey.beginning.first, low, high, tolerance=1.0)


def _rung(trials: Sequence[Trial], updates: int, start: Start) -> Rung:
    return next(rung for rung in safe(rungs(trials), start) if rung.updates == updates)


def _best(trials: Sequence[Trial], start: Start) -> int:
    """The place of the best trial, all of the same length; the first of equals."""
    shares = missed(trials, start)
    return next(place for place, share in enumerate(shares) if share <= min(shares) + THRESHOLDS.equal_share)


def _cost(spent: int, longest: int, horizon: int, families: int) -> Cost:
    longer = max(longest, min(2 * longest, math.floor(THRESHOLDS.longest_trial * horizon)))
    trials = math.ceil(THRESHOLDS.trials_in_budget) + (families - 1) * THRESHOLDS.trials_of_family
    return Cost(spent, longest, longer, trials * (longer - longest))
