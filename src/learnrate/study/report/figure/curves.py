"""Learning curves: the mean of the metric over the seeds, in a band of one standard deviation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learnrate import figures
from learnrate.study.report.figure import look
from learnrate.study.statistics.sequential import LARGEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.study.comparison import Comparison
    from learnrate.study.outcome import Outcome

Floats = NDArray[np.float64]

MOST_BANDS = 6
"""Arms whose bands are drawn: with more of them, one hides the other."""

CAPTION = "Lines are means over the seeds, bands one sample standard deviation to each side."


def draw_curves(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the metric along the trainings: a line for the mean over the seeds, a band of one standard deviation around it.

    Without evaluations it is the training loss. Each arm is drawn up to the end of its shortest training.

    Args:
        comparison: Arms without a training are left out.
        ax: The axes to draw in; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    drawn: list[tuple[Floats, Floats]] = []
    trained = sum(bool(arm.trainings) for arm in comparison.arms)
    for number, arm in enumerate(comparison.arms):
        counts, values = series(comparison, arm)
        if not len(counts):
            continue
        mean, look_of, spread = values.mean(axis=0), look.line(number), np.zeros(len(counts))
        mark: dict[str, Any] = {"marker": "o", "markersize": 4} if len(counts) == 1 else {}
        ax.plot(counts, mean, **look_of, **mark, linewidth=2, label=look.label(arm.name))
        if len(values) > 1 and trained <= MOST_BANDS:
            spread = values.std(axis=0, ddof=1)
            ax.fill_between(counts, mean - spread, mean + spread, color=look_of["color"], alpha=0.15, linewidth=0)
        drawn.append((mean, mean + spread))
    _limit(ax, drawn, comparison)
    ax.set(xlabel="update", ylabel=figures.literal(comparison.score_title), xlim=(0, look.longest(comparison)))
    return look.style(ax)


def series(comparison: Comparison, arm: Outcome) -> tuple[Floats, Floats]:
    """Number of updates before each measurement that all trainings of an arm have, and the values (seed, measurement)."""
    if comparison.metric == "loss":
        length = min((len(training.losses) for training in arm.trainings), default=0)
        every = arm.trainings[0].losses_every if arm.trainings else 1
        losses = np.array([training.losses[:length] for training in arm.trainings])
        losses = np.where(np.abs(losses) <= LARGEST, losses, np.nan)
        return _smoothed(np.arange(1, length + 1, dtype=np.float64) * every, losses)
    measured = [dict(zip(training.checkpoints, training.scores, strict=True)) for training in arm.trainings]
    common = sorted(set.intersection(*map(set, measured))) if measured else []
    values = np.array([[scores[checkpoint] for checkpoint in common] for scores in measured])
    # A diverged training hides its arm otherwise: NaN in the mean of every later measurement.
    usable = (np.abs(values) <= LARGEST).all(axis=0) if len(common) else np.zeros(0, np.bool_)
    return np.array(common, np.float64)[usable], values[:, usable] if len(common) else values


def _smoothed(counts: Floats, losses: Floats) -> tuple[Floats, Floats]:
    """Means of up to 60 equal parts: the losses of single updates are noise."""
    if not len(counts):
        return counts, losses
    parts = np.array_split(np.arange(len(counts)), min(len(counts), 60))
    return (
        np.array([counts[part[-1]] for part in parts]),
        np.array([[row[part].mean() for part in parts] for row in losses]),
    )


def _limit(ax: Axes, drawn: list[tuple[Floats, Floats]], comparison: Comparison) -> None:
    """Show what arms differ in: not the first measurements, in which all are bad. `drawn` has means and tops of bands."""
    if not drawn:
        return
    if comparison.higher_is_better:
        low = min(look.near(float(mean[len(mean) // 3 :].min()) for mean, _ in drawn))
        high = max(look.near(float(top.max()) for _, top in drawn))
        room = (high - low) or abs(high) or 1.0
        ax.set_ylim(low - 0.25 * room, high + 0.05 * room)
    elif all(((mean > 0) | np.isnan(mean)).all() for mean, _ in drawn):
        ax.set_yscale("log")
