"""Drawing the trials of a plan with matplotlib: the loss at the end of each against its LR, and the LR that was chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from learnrate import figures
from learnrate.figures import BLUE, GREEN, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.tuner.plan import Plan
    from learnrate.tuner.trials import Rung

COLOURS = (GREY, BLUE)
"""Of the shorter trials and of the longest ones."""

ROOM = 0.12
"""Room above the highest loss, as a share of the range of losses, where trials that diverged stand."""


def draw_trials(plan: Plan, ax: Axes | None = None) -> Axes:
    """Draw the loss at the end of each trial against its LR; trials that diverged are crosses at the top.

    Args:
        plan: The plan.
        ax: The axes to draw in; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    rungs = plan.rungs
    losses = [trial.loss for rung in rungs for trial in rung.sound]
    lowest, highest = (min(losses), max(losses)) if losses else (0.0, 1.0)
    extent = (highest - lowest) or abs(highest) or 1.0
    top = highest + ROOM * extent
    for rung in rungs:
        _draw_rung(ax, rung, top, COLOURS[rung is rungs[-1]])
    _draw_choice(ax, plan)
    lrs = [trial.max_lr for rung in rungs for trial in rung.trials]
    ax.set_xlim(min(*lrs, plan.max_lr) / 1.6, max(*lrs, plan.max_lr) * 1.6)
    ax.set(
        xscale="log",
        xlabel="max_lr of the trial",
        ylabel="loss at its end",
        ylim=(lowest - ROOM * extent, top + ROOM * extent),
    )
    ax.set_title(f"{len(lrs)} trials, {100 * plan.cost:.0f} % of a training run", loc="left", fontsize=12)
    ax.legend(loc="best", frameon=False, fontsize=9)
    return figures.style(ax)


def _draw_rung(ax: Axes, rung: Rung, top: float, colour: str) -> None:
    trials = sorted(rung.sound, key=lambda trial: trial.max_lr)
    label = f"trials of {rung.updates} updates"
    ax.plot([trial.max_lr for trial in trials], [trial.loss for trial in trials], "o-", color=colour, label=label)
    diverged = [trial.max_lr for trial in rung.trials if trial.diverged]
    if diverged:
        ax.plot(diverged, np.full(len(diverged), top), "x", color=colour, markersize=8, label="diverged")


def _draw_choice(ax: Axes, plan: Plan) -> None:
    low, high = plan.interval
    lowest, highest = (edge(trial.max_lr for rung in plan.rungs for trial in rung.trials) for edge in (min, max))
    ax.axvspan(
        low or lowest / 4, min(high, 4 * highest), color=GREEN, alpha=0.12, linewidth=0, zorder=0, label="nearly as good"
    )
    ax.axvline(plan.max_lr, color=GREEN, linewidth=1.8, label=f"chosen: {plan.max_lr:.2g}")
    if plan.probe is not None:
        ax.axvline(plan.probe.lr, color=ORANGE, linewidth=1.4, linestyle="--", label=f"probe: {plan.probe.lr:.2g}")
