"""A forest plot: the difference of each arm to the best one, with its interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from learnrate import figures
from learnrate.figures import GREY
from learnrate.study.report.figure import look
from learnrate.study.report.ranking import Row, ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.study.comparison import Comparison


LONGEST_LEADER = 20
"""Characters of the name of the best arm in the title of the axis, which is to fit below a narrow figure."""


def draw_differences(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw how much each arm differs from the one with the best mean, as a point with its 95 % interval.

    A filled point is a difference that is sure, with all pairs of arms together; an open one is not. An arrow is an interval
    without an end: too few seeds, or trainings that have diverged.

    Args:
        comparison: Needs two arms with trainings; otherwise the axes stay empty.
        ax: The axes to draw in; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    rows = [row for row in ranked(comparison) if row.difference is not None]
    ax.axvline(0, color=GREY, linewidth=1.2, linestyle=(0, (4, 2)))
    shown = look.near([0.0, *(row.mean for row in rows)])
    ends = [end for row in rows if row.mean in shown for end in (*row.interval, row.mean) if math.isfinite(end)]
    ax.set_xlim(*(look.limits([*ends, 0.0], 0.1) or (-1, 1)))
    for height, row in enumerate(rows):
        _draw_row(ax, comparison, height, row)
    ax.set_yticks(range(len(rows)), [look.label(row.arm.name) for row in rows])
    ax.set_ylim(len(rows) - 0.5 if rows else 0.5, -0.5)
    if rows:
        better = "" if comparison.higher_is_better else ", lower is better"
        leader = ranked(comparison)[0].arm.name
        whose = look.label(leader) if len(leader) <= LONGEST_LEADER else "the best arm"
        # It ends with the axes, because a long one has room on its left, below the names, and none on its right.
        ax.set_xlabel(f"{figures.literal(comparison.score_title)} minus that of {whose}{better}", loc="right")
    ax.tick_params(axis="y", length=0)
    figures.style(ax)
    ax.spines["left"].set_visible(False)
    ax.grid(visible=False, axis="y")
    return ax


def _draw_row(ax: Axes, comparison: Comparison, height: int, row: Row) -> None:
    color = look.line(look.number_of(comparison, row.arm.name))["color"]
    if not math.isfinite(row.mean):
        middle = sum(ax.get_xlim()) / 2
        ax.text(middle, height, "a training has diverged", ha="center", va="center", fontsize=9, color=GREY, bbox=_PAPER)
        return
    if not ax.get_xlim()[0] <= row.mean <= ax.get_xlim()[1]:
        is_left = row.mean < 0
        side, place, mark = ("left", 0.03, "<") if is_left else ("right", 0.97, ">")
        text, where = f"{row.mean:+.3g}, far outside", ax.get_yaxis_transform()
        ax.text(place, height, text, ha=side, va="center", fontsize=9, color=GREY, bbox=_PAPER, transform=where)
        look.marks(ax, [ax.get_xlim()[0 if is_left else 1]], [height], mark, color=color, markersize=7)
        return
    if math.isfinite(row.interval[0]):
        ax.plot(row.interval, [height, height], color=color, linewidth=2.4, solid_capstyle="butt")
        ax.plot(row.interval, [height, height], "|", color=color, markersize=9, markeredgewidth=2)
    else:
        ax.plot(ax.get_xlim(), [height, height], color=color, linewidth=1.2, linestyle=":")
        look.marks(ax, ax.get_xlim()[:1], [height], "<", color=color, markersize=5)
        look.marks(ax, ax.get_xlim()[1:], [height], ">", color=color, markersize=5)
    sure = row.difference is not None and row.difference.sure
    ax.plot(
        [row.mean], [height], "o", color=color, markersize=8, markeredgewidth=2, markerfacecolor=color if sure else "white"
    )


_PAPER = {"facecolor": "white", "edgecolor": "none", "pad": 2}
