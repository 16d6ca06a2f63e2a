"""The LR with the lowest expected regret: how bad each LR was in trials, and what follows for the longer run.

LRs are log2 inside of this file: what matters about an LR is its ratio to another.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from learnrate.finder.bounds import two_digits
from learnrate.finder.smoothing import Floats
from learnrate.trainable import LR_DRIFT
from learnrate.tuner.evidence import below, informative, off_plateau, spike_limit, stability_edge, standard_error
from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Rung, Start, Trial

_NORMAL = np.array([-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64])
"""Ten equally likely values of a standard normal variable."""

_GRID = 1 / 16
"""Distance of the LRs among which the estimate is chosen: 4 %."""


@dataclass(frozen=True)
class Estimate:
    """The LR for the whole run.

    Attributes:
        log2_lr: log2 of the LR with the lowest expected regret.
        log2_low: log2 of the lowest LR whose expected regret is at most larger by `tolerance`.
        log2_high: log2 of the highest such LR.
        tolerance: Share of what the best trial learned that makes no difference.
        lowest: The lowest LR that may be chosen.
        highest: The highest LR that may be chosen.
    """

    log2_lr: float
    log2_low: float
    log2_high: float
    tolerance: float
    lowest: float = 0.0
    highest: float = math.inf

    @property
    def lr(self) -> float:
        """The LR, with two digits: more are not known."""
        return float(min(max(rounded_lr(self.log2_lr), self.lowest), self.highest))

    @property
    def low(self) -> float:
        """The lowest LR of the interval, with two digits."""
        return min(rounded_lr(self.log2_low), self.lr)

    @property
    def high(self) -> float:
        """The highest LR of the interval, with two digits."""
        return max(rounded_lr(self.log2_high), self.lr)


def rounded_lr(log2_lr: float) -> float:
    """An LR with two digits."""
    return two_digits(2.0**log2_lr)


@dataclass(frozen=True)
class RegretCurve:
    """The regret of LRs at one length of training: 0 for the best LR, 1 for a model that learned nothing."""

    updates: int
    log2_lrs: Floats
    regrets: Floats

    def at(self, log2_lrs: Floats) -> Floats:
        """Linear between the known LRs, constant beyond them."""
        return np.interp(log2_lrs, self.log2_lrs, self.regrets)

    def in_longer_run(self, log2_lrs: Floats, doublings: float) -> Floats:
        """The regret in a run that is longer by this number of doublings.

        LRs below the best one catch up in part. The stability edge, and with it all that is above the best LR, comes nearer.
        """
        best, shift = int(np.argmin(self.regrets)), THRESHOLDS.edge_drift * doublings
        lowest, best_lr = self.regrets[best], self.log2_lrs[best]
        remaining = 2.0 ** (-max(0.0, doublings - THRESHOLDS.catch_up_after) / THRESHOLDS.catch_up_doublings)
        caught_up = lowest + remaining * (self.at(np.minimum(log2_lrs, best_lr)) - lowest)
        regrets: Floats = np.maximum(caught_up, self.at(np.maximum(log2_lrs + shift, best_lr)))
        return regrets


def regrets(rung: Rung, start: Start) -> dict[float, float]:
    """The regret of each LR of a rung for a longer run: 0 for the best LR, 1 for one that learned nothing.

    It is the share of the best fall that the trial missed (see `missed`), less for trials that are still on a plateau.
    """
    by_lr = dict(zip((trial.log2_lr for trial in rung.trials), missed(rung.trials, start), strict=True))
    return _off_plateau_later(by_lr, rung, start) if off_plateau(rung, start) else by_lr


def _regrets_in_run(rung: Rung, start: Start) -> dict[float, float]:
    """The same; less for LRs below the best one where learning has just begun: they catch up."""
    by_lr = regrets(rung, start)
    if rung.best_fall(start) < (THRESHOLDS.late_fall if start.late else THRESHOLDS.slow_fall) * abs(start.loss):
        best = _lowest_regret(by_lr)
        by_lr |= {lr: max(0.0, by_lr[lr] - THRESHOLDS.late_catch_up) for lr in by_lr if lr < best}
    return by_lr


def missed(trials: Sequence[Trial], start: Start) -> list[float]:
    """The share of the best fall that each trial missed: 0 for the best, 1 for one that learned nothing.

    The fall is that of the loss; if the scores improved, their improvement counts as well.
    """
    sound = [trial for trial in trials if not trial.diverged]
    if not sound:
        return [1.0] * len(trials)
    best_loss = min(trial.loss for trial in sound)
    fall = start.loss - best_loss
    best_score = max((trial.score for trial in sound if trial.score is not None), default=-math.inf)
    improvement = best_score - start.score if start.score is not None else 0.0

    def share_of(trial: Trial) -> float:
        if trial.diverged:
            return 1.0
        share = (trial.loss - best_loss) / fall if fall > 0 else 0.0
        if improvement > 0:
            score = -math.inf if trial.score is None else trial.score
            of_score = min(1.0, (best_score - score) / improvement)
            share = THRESHOLDS.loss_weight * min(1.0, share) + (1 - THRESHOLDS.loss_weight) * of_score
        return min(1.0, share)

    return [share_of(trial) for trial in trials]


def _off_plateau_later(by_lr: Mapping[float, float], rung: Rung, start: Start) -> dict[float, float]:
    """Regrets where LRs below the best one that are still on a plateau will leave it in a longer run.

    No such LR has a lower regret than those between it and the best one; one that is about to leave the plateau counts in
    part. The best one is the lowest LR that has left the plateau: higher LRs only left it earlier, and a longer run has the
    time.
    """
    lowest, fall = lowest_off_plateau(rung, start), rung.best_fall(start)
    later = dict(by_lr)
    if lowest is not None:
        later |= {lr: max(by_lr[lr], min(1.0, THRESHOLDS.plateau_slope * (lr - lowest))) for lr in by_lr if lr > lowest}
        later[lowest] = 0.0
    best = _lowest_regret(later)
    most = later[best]
    for trial in sorted(rung.sound, key=lambda trial: -trial.max_lr):
        if trial.log2_lr < best:
            assumed = max(most, later[best] + THRESHOLDS.plateau_slope * (best - trial.log2_lr))
            on_plateau = min(1.0, max(0.0, 2 - (start.loss - trial.loss) / (THRESHOLDS.plateau_share * fall)))
            later[trial.log2_lr] += on_plateau * min(0.0, assumed - later[trial.log2_lr])
            most = max(most, later[trial.log2_lr])
    return later


def lowest_off_plateau(rung: Rung, start: Start) -> float | None:
    """The lowest LR, as log2, that has left a plateau on which a lower one still is; None if there is no plateau.

    A factor of up to four in LR, from a trial that learned nearly nothing to one that learned half as much as the best one,
    is a plateau: without one, a trial learns at most in proportion to its LR.
    """
    fall = rung.best_fall(start)
    trials = sorted(rung.sound, key=lambda trial: trial.max_lr)
    for trial, higher in pairwise(trials):
        is_on = start.loss - trial.loss < THRESHOLDS.plateau_share * fall
        has_left = start.loss - higher.loss >= THRESHOLDS.left_plateau * fall
        if is_on and has_left and higher.log2_lr - trial.log2_lr <= THRESHOLDS.plateau_stride:
            return higher.log2_lr
    return None


def best_log2_lr(rung: Rung, start: Start) -> float:
    """The LR with the lowest regret; the lower one of equals."""
    return _lowest_regret(regrets(rung, start))


def _lowest_regret(by_lr: Mapping[float, float]) -> float:
    return min(by_lr, key=lambda log2_lr: (by_lr[log2_lr], log2_lr))


def regret_curves(rungs: Sequence[Rung], start: Start) -> list[RegretCurve]:
    """One curve for each rung, from short to long; beyond the LRs of a longer rung the shape of the shorter one goes on."""
    curves: list[RegretCurve] = []
    for rung in sorted(rungs, key=lambda rung: rung.updates):
        log2_lrs, values = np.array(sorted(_regrets_in_run(rung, start).items()), dtype=np.float64).T
        if curves:
            curves.append(_extended_by(curves[-1], rung.updates, log2_lrs, values))
        else:
            curves.append(_extended(rung.updates, log2_lrs, values))
    return curves


def _extended(updates: int, log2_lrs: Floats, values: Floats) -> RegretCurve:
    """A curve with assumed slopes beyond its LRs."""
    # If the lowest LR is the best, the regret still falls towards it: half as low is assumed to be as good.
    level = THRESHOLDS.level_width if len(values) > 1 and int(np.argmin(values)) == 0 else 0.0
    width = THRESHOLDS.slope_width
    low, high = log2_lrs[0] - width, log2_lrs[-1] + width
    at_low, at_high = values[0] + (width - level) * THRESHOLDS.low_slope, values[-1] + width * THRESHOLDS.edge_slope
    return RegretCurve(
        updates,
        np.array([low, log2_lrs[0] - level, *log2_lrs, high]),
        np.array([at_low, values[0], *values, at_high]),
    )


def _extended_by(shorter: RegretCurve, updates: int, log2_lrs: Floats, values: Floats) -> RegretCurve:
    """A curve that goes on beyond its LRs as that of shorter trials does."""
    lower = shorter.log2_lrs[shorter.log2_lrs < log2_lrs[0]]
    higher = shorter.log2_lrs[shorter.log2_lrs > log2_lrs[-1]]
    low, high = shorter.at(log2_lrs[[0, -1]])
    # Never better than the last LR: what was faster beyond it in a short trial need not be so in a long one.
    at_lower = values[0] + np.maximum(shorter.at(lower) - low, 0.0)
    at_higher = values[-1] + np.maximum(shorter.at(higher) - high, 0.0)
    return RegretCurve(updates, np.concatenate([lower, log2_lrs, higher]), np.concatenate([at_lower, values, at_higher]))


def estimate(
    rungs: Sequence[Rung], start: Start, horizon: int, lr_drift: float = LR_DRIFT, probed: float | None = None
) -> Estimate:
    """The LR with the lowest expected regret in a run of this length.

    The best LR of the run is not that of a trial: it drifts, by an amount that is roughly known. So the regret of an LR is
    that of the LRs from which it may have drifted, weighted by how likely each is. Near the stability edge this moves the
    choice to the safe side, and the more so the longer the run is than the trials.

    Args:
        rungs: All trials so far, at least one rung.
        start: The model before any training.
        horizon: Length of the whole run in updates.
        lr_drift: See `learnrate.OptimizerTraits`.
        probed: LR of a probe, as log2; None if there was none, or the loss hardly fell in it.
    """
    edge = stability_edge(rungs, start)
    limit = min(edge, spike_limit(rungs, start))
    counted = below(rungs, edge)
    # A rung on a plateau, or whose trials all learned the same, shows chance, if there is any other.
    rungs = (
        [rung for rung in counted if off_plateau(rung, start)]
        or [rung for rung in counted if informative(rung, start)]
        or counted
    )
    curves = regret_curves(rungs, start)
    doublings_to_run = [math.log2(max(horizon / curve.updates, 1.0)) for curve in curves]
    log2_lrs = _candidates(curves, [lr_drift * doublings for doublings in doublings_to_run], limit)
    expected = np.zeros(len(log2_lrs))
    longest = curves[-1].updates
    for curve, doublings in zip(curves, doublings_to_run, strict=True):
        deviation = math.hypot(THRESHOLDS.spread, THRESHOLDS.spread_per_doubling * doublings)
        drifted_from = log2_lrs - lr_drift * doublings + deviation * _NORMAL[:, None]
        expected += curve.updates / longest * curve.in_longer_run(drifted_from, doublings).mean(axis=0)
    expected /= sum(curve.updates / longest for curve in curves)
    if probed is not None:
        expected += np.minimum(THRESHOLDS.probe_most, THRESHOLDS.probe_curvature * (log2_lrs - probed) ** 2)
    # The lowest of equals, which rounding would decide otherwise.
    best = int(np.argmax(expected < expected.min() + 1e-9))
    tolerance = max(THRESHOLDS.tolerance, _noise_share(rungs, start))
    nearly_best = log2_lrs[(expected <= expected[best] + tolerance) & (log2_lrs <= max(limit, log2_lrs[best]))]
    return Estimate(float(log2_lrs[best]), float(nearly_best[0]), float(nearly_best[-1]), tolerance)


def _candidates(curves: Sequence[RegretCurve], drifts: Sequence[float], limit: float) -> Floats:
    """The LRs to choose from: where trials were, and to where the best LR may drift, below the limit."""
    low = min(curve.log2_lrs[0] + min(0.0, drift) for curve, drift in zip(curves, drifts, strict=True)) + 0.5
    high = max(curve.log2_lrs[-1] + max(0.0, drift) for curve, drift in zip(curves, drifts, strict=True)) - 1
    return np.arange(low, max(min(high, limit), low + 1), _GRID)


def _noise_share(rungs: Sequence[Rung], start: Start) -> float:
    """Standard error of a loss of the longest rung, as a share of its best fall."""
    rung = max(rungs, key=lambda rung: rung.updates)
    fall = rung.best_fall(start)
    return min(1.0, standard_error(rung.updates, start) / fall) if fall > 0 else 1.0
