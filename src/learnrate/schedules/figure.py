"""The figure of a schedule: its value against the update."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

from learnrate import checks, figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.schedules.base import Schedule

MOST_UPDATES = 2**53
"""Floats, in which matplotlib computes, hold all integers up to this one."""


def draw_schedule(schedule: Schedule, updates: int, ax: Axes | None = None) -> Axes:
    """Draw the value of a schedule against the update.

    Args:
        schedule: What is drawn.
        updates: Number of updates, at least 1; the figure shows at most `MOST_UPDATES`.
        ax: The axes to draw in; a new figure by default.

    Returns:
        The axes.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    updates = min(checks.whole("updates", updates, at_least=1), MOST_UPDATES)
    few = updates < figures.POINTS
    n = np.arange(updates + 1) if few else np.linspace(0, updates, figures.POINTS).round().astype(np.int64)
    values = schedule(n)
    ax = figures.axes_or_new(ax)
    ax.plot(n, values, color=figures.BLUE, linewidth=2)
    ax.set(xlabel="update", ylabel="learning rate", xlim=(0, updates))
    # An axis from 0 would flatten the changes of a schedule with a narrow range, such as a momentum.
    if values.min() < values.max() / 2:
        ax.set_ylim(bottom=0)
    ax.set_title(figures.wrap(repr(schedule)), fontsize=10, loc="left")
    return figures.style(ax)


def schedule_svg(schedule: Schedule, updates: int) -> str:
    """`draw_schedule` as an `<svg>` element, without a title.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    figure, (ax,) = figures.new_figure(7, 3)
    draw_schedule(schedule, updates, ax).set_title("", loc="left")
    return figures.svg(figure)


def schedule_html(schedule: Schedule, updates: int) -> str:
    """The expression of a schedule and its picture, for a notebook.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    return f"<code>{escape(repr(schedule))}</code><br>\n{schedule_svg(schedule, updates)}"
