"""Drawing a schedule. To be replaced by `learnrate.schedules.figure`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from learnrate import checks, figures
from learnrate.figures import BLUE, POINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.schedules import Schedule


def draw_schedule(schedule: Schedule, updates: int, ax: Axes | None = None) -> Axes:
    """A schedule against the update."""
    updates = min(checks.length("updates", min(updates, checks.LONGEST)), 2**53)
    ax = figures.axes_or_new(ax)
    n = np.arange(updates + 1) if updates < POINTS else np.linspace(0, updates, POINTS).round().astype(np.int64)
    values = schedule(n)
    ax.plot(n, values, color=BLUE, linewidth=2)
    ax.set(xlabel="update", ylabel="learning rate", xlim=(0, updates))
    if values.min() < values.max() / 2:  # otherwise it may be a momentum, and an axis from 0 would flatten its changes
        ax.set_ylim(bottom=0)
    ax.set_title(figures.wrap(repr(schedule)), fontsize=10, loc="left")
    return figures.style(ax)


def schedule_svg(schedule: Schedule, updates: int) -> str:
    """`draw_schedule` as the text of an SVG picture."""
    figure, (ax,) = figures.new_figure(7, 3.2)
    draw_schedule(schedule, updates, ax)
    return figures.svg(figure)
