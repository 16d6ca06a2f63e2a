"""What trials show: whether anything was learned, whether trials differ, and which LRs are too high.

Differences are judged against the noise of the loss: see `Thresholds` for how many standard errors count, and why.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from learnrate.tuner.thresholds import THRESHOLDS
from learnrate.tuner.trials import Rung, Start, Trial


def stability_edge(rungs: Sequence[Rung], start: Start) -> float:
    """The lowest unsafe LR, as log2; infinite if there is none.

    At an unsafe LR a trial diverged, or stopped learning although lower LRs learned; and an LR is unsafe if a lower one of
    its rung had a large spike.
    """

    def unsafe(trial: Trial, rung: Rung) -> bool:
        lower = Rung(rung.updates, tuple(other for other in rung.trials if other.max_lr < trial.max_lr))
        above_spike = any(large_spike(other, start) for other in lower.trials)
        return trial.diverged or above_spike or (stopped_learning(trial, start) and informative(lower, start))

    return _lowest(rungs, unsafe)


def spike_limit(rungs: Sequence[Rung], start: Start) -> float:
    """The lowest LR with a large spike, as log2: the highest one that may be chosen; infinite if there was none."""
    return _lowest(rungs, lambda trial, rung: large_spike(trial, start))


def _lowest(rungs: Sequence[Rung], condition: Callable[[Trial, Rung], bool]) -> float:
    return min((trial.log2_lr for rung in rungs for trial in rung.trials if condition(trial, rung)), default=math.inf)


def safe(rungs: Sequence[Rung], start: Start) -> list[Rung]:
    """The rungs, with all trials from the stability edge on counted as diverged: above it, a good trial had good luck."""
    return below(rungs, stability_edge(rungs, start))


def below(rungs: Sequence[Rung], edge: float) -> list[Rung]:
    """The rungs, with all trials from this LR on, as log2, counted as diverged."""
    return [rung.diverged_where(lambda trial: trial.log2_lr >= edge) for rung in rungs]


def standard_error(updates: int, start: Start) -> float:
    """Standard error of the loss of a trial, which is a mean over its last losses."""
    return start.noise / math.sqrt(max(1, updates // THRESHOLDS.final_part))


def noise_limit(updates: int, start: Start) -> float:
    """How far the loss of a trial may be off by chance."""
    return THRESHOLDS.standard_errors * standard_error(updates, start)


def learned(rung: Rung, start: Start) -> bool:
    """Whether the loss of any trial fell by more than chance.

    Half of that is enough if every score agrees: a model that is fine-tuned on small batches learns less in a short trial
    than its batches differ by. And what is chance from batch to batch may be significant between trials on the same batches
    (see `paired_improvement`). Several scores are evidence of their own (see `scores_show_learning`).
    """
    fall, idle = rung.best_fall(start), THRESHOLDS.idle_mean * start.noise
    error = math.hypot(THRESHOLDS.idle_deviation * standard_error(rung.updates, start), start.error)
    chance = THRESHOLDS.learned_standard_errors * error
    half = fall > idle + chance / 2 and fall >= THRESHOLDS.plateau_fall * abs(start.loss)
    return (
        fall > idle + chance
        or 0 < THRESHOLDS.whole_fall * start.loss <= fall
        or paired_improvement(rung, start)
        or (half and _scores_improved(rung, start))
        or (fall > idle and scores_show_learning(rung, start))
    )


def informative(rung: Rung, start: Start) -> bool:
    """Whether the trials learned enough to choose between them.

    They learned more than chance, and one of these: more than class frequencies, or far beyond the noise; a part of that,
    beyond twice the limit of the noise; a little, if some trials learned more than others or their scores show it.
    """
    fall, scale = rung.best_fall(start), abs(start.loss)
    far = fall >= min(THRESHOLDS.plateau_fall * scale, THRESHOLDS.certain_fall * start.noise)
    partial = fall >= THRESHOLDS.partial_fall * scale and fall > 2 * noise_limit(rung.updates, start)
    enough = fall >= THRESHOLDS.negligible_fall * scale
    return (
        learned(rung, start)
        and enough
        and (
            far
            or partial
            or distinguishable(rung, start)
            or paired_improvement(rung, start)
            or scores_show_learning(rung, start)
        )
    )


def scores_show_learning(rung: Rung, start: Start) -> bool:
    """Whether three trials or more have a better score than the start, or four have scores in the order of their losses.

    No two scores may be the same: a network that has learned class frequencies alone predicts one class always. By chance,
    four numbers have a given order once in 24 times.
    """
    scores = [trial.score for trial in rung.sound if trial.score is not None]
    if start.score is None or len(scores) < len(rung.sound) or len(set(scores)) < max(3, len(scores)):
        return False
    by_loss = [trial.score for trial in sorted(rung.sound, key=lambda trial: -trial.loss)]
    in_order = len(scores) > 3 and by_loss == sorted(scores)
    return min(scores) > start.score or (in_order and max(scores) > start.score)


def paired_improvement(rung: Rung, start: Start) -> bool:
    """Whether the best trial is better, batch by batch, than one at a lower LR by more than chance.

    The lower LR cannot have had a spike where the higher one had none: if one of them learned, it is the best. The limit is
    widened for few batches as Student's t is (Peiser 1943: by (z ** 3 + z) / 4 (n - 1)).
    """
    best = min(rung.sound, key=lambda trial: trial.loss, default=None)
    if best is None or len(best.final_losses) < THRESHOLDS.paired_batches:
        return False
    count = len(best.final_losses)
    z = THRESHOLDS.scored_standard_errors if _scores_improved(rung, start) else THRESHOLDS.standard_errors
    limit = z + (z**3 + z) / (4 * (count - 1))
    lower = (other for other in rung.sound if other.max_lr < best.max_lr and len(other.final_losses) == count)
    return any(other.loss - best.loss > limit * _paired_error(best, other) for other in lower)


def _paired_error(trial: Trial, other: Trial) -> float:
    """Standard error of the difference of two losses, batch by batch: both trials saw the same batches."""
    differences = np.subtract(other.final_losses, trial.final_losses)
    return float(np.std(differences, ddof=1)) / math.sqrt(len(trial.final_losses))


def _scores_improved(rung: Rung, start: Start) -> bool:
    """Whether several trials learned, and each of them has a higher score than the start."""
    half_way = start.loss - rung.best_fall(start) / 2  # an LR that is too high to learn shows nothing about the others
    scores = [trial.score for trial in rung.sound if trial.loss <= half_way]
    at_start = start.score
    return len(scores) > 1 and at_start is not None and all(score is not None and score > at_start for score in scores)


def off_plateau(rung: Rung, start: Start) -> bool:
    """Whether the trials left the plateau at the start: the best loss fell by more than chance and class frequencies.

    Trials that all learned the same do not count either: they are still on a plateau, or every LR is good enough. In both
    cases the next LRs should be further apart.
    """
    return beyond_plateau(rung, start) and (len(rung.sound) < 2 or distinguishable(rung, start))


def beyond_plateau(rung: Rung, start: Start) -> bool:
    """Whether the best loss fell by more than chance and class frequencies, whether or not the trials differ."""
    return learned(rung, start) and rung.best_fall(start) >= THRESHOLDS.plateau_fall * abs(start.loss)


def stopped_learning(trial: Trial, start: Start) -> bool:
    """Whether the loss had a spike far beyond its noise, and nothing was learned after it.

    The loss of a network on a plateau moves little at the LRs that leave it. A network whose loss came back from a spike to
    where it started looks the same at the end, but its LR is too high: its units are saturated or no longer active.
    """
    scale = abs(start.loss)
    spike = trial.highest_loss > start.loss + max(THRESHOLDS.spike * start.noise, 2 * THRESHOLDS.negligible_fall * scale)
    return spike and start.loss - trial.loss < THRESHOLDS.negligible_fall * scale


def large_spike(trial: Trial, start: Start) -> bool:
    """Whether the loss rose to many times the loss at the start, and steps are not bounded.

    Then a trial that recovered had good luck, and a longer run meets more such batches. Optimizers that divide by the size
    of the gradients, or clip them, recover from higher spikes.
    """
    limit = start.loss + max(THRESHOLDS.large_spike * abs(start.loss), THRESHOLDS.spike * start.noise)
    return start.unbounded_steps and trial.highest_loss > limit


def distinguishable(rung: Rung, start: Start) -> bool:
    """Whether the best and the worst trial differ by more than chance, and by more than a small share of the best fall.

    Batch by batch, if both saw the same batches. Trials that diverged do not count.
    """
    if len(rung.sound) < 2:
        return False
    best, worst = min(rung.sound, key=lambda trial: trial.loss), max(rung.sound, key=lambda trial: trial.loss)
    difference = worst.loss - best.loss
    paired = len(best.final_losses) == len(worst.final_losses) >= 3
    chance = THRESHOLDS.standard_errors * _paired_error(best, worst) if paired else noise_limit(rung.updates, start)
    return difference > chance and difference > THRESHOLDS.plateau_fall * rung.best_fall(start)
