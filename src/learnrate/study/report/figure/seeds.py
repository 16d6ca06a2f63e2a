"""The score of every training: a point for each, those of one seed joined."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from learnrate import figures
from learnrate.figures import GREY, ORANGE
from learnrate.study.report.figure import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.study.comparison import Comparison

MOST_JOINED = 40
"""Seeds that are joined by lines: more of them are a grey area."""


def draw_seeds(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the score of every training, arm by arm from the best mean on, with the means as bars where all are finite.

    A thin line joins the trainings of one seed, which began alike: where these lines are parallel, the differences of the
    arms are sure although the seeds spread. A triangle is a training that has diverged, or whose score lies far outside.

    Args:
        comparison: Arms without a training are left out.
        ax: The axes to draw in; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    arms = comparison.ranking()
    seeds = sorted({seed for arm in arms for seed in arm.by_seed()})
    limits = look.limits([training.score for arm in arms for training in arm.trainings], 0.1)
    # Trainings of equal scores lie beside each other; the place of a seed is the same in every arm.
    places = {seed: 0.16 * (index / max(1, len(seeds) - 1) - 0.5) for index, seed in enumerate(seeds)}
    if len(seeds) <= MOST_JOINED:
        for seed in seeds:
            scores = [arm.by_seed()[seed].score if seed in arm.by_seed() else math.nan for arm in arms]
            heights = np.where([_is_within(score, limits) for score in scores], scores, math.nan)
            ax.plot(heights, np.arange(len(arms)) + places[seed], color=GREY, linewidth=0.7, alpha=0.6, zorder=1)
    for row, arm in enumerate(arms):
        color = look.line(look.number_of(comparison, arm.name))["color"]
        shown = {seed: run.score for seed, run in arm.by_seed().items() if _is_within(run.score, limits)}
        ax.plot(list(shown.values()), [row + places[seed] for seed in shown], "o", color=color, markersize=5, alpha=0.85)
        outside = [run.score for seed, run in arm.by_seed().items() if seed not in shown]
        if not outside:
            ax.plot([arm.mean, arm.mean], [row - 0.26, row + 0.26], color=color, linewidth=2.4, zorder=3)
        elif limits:
            for edge, mark, number in (
                (limits[0], "<", sum(not score > limits[1] for score in outside)),
                (limits[1], ">", sum(score > limits[1] for score in outside)),
            ):
                look.marks(ax, [edge] * number, [row] * number, mark, color=ORANGE, markersize=7)
    if limits:
        ax.set_xlim(*limits)
    ax.set_yticks(range(len(arms)), [look.label(arm.name) for arm in arms])
    ax.set_ylim(max(len(arms), 1) - 0.5, -0.5)
    ax.set_xlabel(figures.literal(comparison.score_title) + ("" if comparison.higher_is_better else ", lower is better"))
    ax.tick_params(axis="y", length=0, pad=10)
    figures.style(ax)
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False, axis="y")
    return ax


def _is_within(score: float, limits: tuple[float, float] | None) -> bool:
    return limits is not None and limits[0] <= score <= limits[1]
