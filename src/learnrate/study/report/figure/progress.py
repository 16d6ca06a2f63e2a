"""Loss and metric along the trainings of a comparison: a line for each seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learnrate import figures
from learnrate.study.report.figure import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.study.comparison import Comparison
    from learnrate.study.outcome import Outcome
    from learnrate.study.running.training import Training

SEED: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.45}
"""Style of the line of one seed."""
MEAN: dict[str, Any] = {"linewidth": 2.2}
"""Style of the line of the mean over the seeds."""


def draw_losses(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the training losses of a comparison, smoothed: a thin line for each seed, a thick one for their mean.

    Args:
        comparison: May be incomplete: arms without a training run are left out.
        ax: The axes to draw in; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    width = max(1, look.longest(comparison) // 30)
    for number, arm in enumerate(comparison.arms):
        line = look.line(number)
        drawn = [_loss_series(training, width) for training in arm.trainings]
        for counts, losses in drawn:
            ax.plot(counts, losses, **line, **SEED)
        shortest = min((counts for counts, _ in drawn), key=len, default=np.zeros(0))
        if len(shortest):
            mean = np.mean([losses[: len(shortest)] for _, losses in drawn], axis=0)
            ax.plot(shortest, mean, **line, label=figures.literal(arm.name), **MEAN)
    negative = any(loss < 0 for arm in comparison.arms for training in arm.trainings for loss in training.losses)
    scale = "linear" if negative else "log"
    ax.set(xlabel="update", ylabel="training loss", yscale=scale, xlim=(0, look.longest(comparison)))
    if ax.lines:
        ax.legend(frameon=False, fontsize=9)
    return figures.style(ax)


def draw_scores(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the metric during the training runs of a comparison: a thin line for each seed, a thick one for their mean.

    Args:
        comparison: May be incomplete: arms without a training run are left out.
        ax: The axes to draw in; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    means = []
    for number, arm in enumerate(comparison.arms):
        line = look.line(number)
        measured = [dict(zip(training.checkpoints, training.scores, strict=True)) for training in arm.trainings]
        for scores in measured:
            ax.plot(list(scores), list(scores.values()), **line, **SEED)
        # A training run that diverged has fewer checkpoints, and its last one may be between those of the others.
        common = sorted(set.intersection(*map(set, measured))) if measured else []
        if common:
            mean = np.mean([[scores[checkpoint] for checkpoint in common] for scores in measured], axis=0)
            ax.plot(common, mean, **line, label=_final_score(arm), **MEAN)
            means.append(mean)
    means = [mean for mean in means if np.isfinite(mean).all()]
    if means:
        # Every training run starts near chance. The arms differ above the level that all of them pass in their first half.
        low = min(float(mean[len(mean) // 2 :].min()) for mean in means)
        high = float(
            np.nanmax([score for arm in comparison.arms for training in arm.trainings for score in training.scores])
        )
        ax.set_ylim(low - (high - low) - 1e-9, high + 0.1 * (high - low) + 1e-9)
        ax.legend(loc="lower right", frameon=False, fontsize=9)
    ax.set(xlabel="update", ylabel=figures.literal(comparison.score_title), xlim=(0, look.longest(comparison)))
    return figures.style(ax)


def _loss_series(training: Training, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Number of updates before each loss of the record, and the losses, smoothed over `width` updates."""
    losses = np.array(training.losses)
    counts = np.minimum(np.arange(1, len(losses) + 1) * training.losses_every, max(training.updates, len(losses)))
    return counts, _trailing_mean(losses, max(1, width // training.losses_every))


def _final_score(arm: Outcome) -> str:
    spread = f" ± {arm.std:.4f}" if len(arm.trainings) > 1 else ""
    return figures.literal(f"{arm.name}: {arm.mean:.4f}{spread}")


def _trailing_mean(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    sums = np.cumsum(np.insert(values, 0, 0.0))
    stops = np.arange(1, len(values) + 1)
    starts = np.maximum(stops - width, 0)
    means: NDArray[np.float64] = (sums[stops] - sums[starts]) / (stops - starts)
    return means
