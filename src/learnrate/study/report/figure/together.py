"""The figure of a whole comparison: curves, differences, times to a target."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from learnrate import figures
from learnrate.study.report.figure import look
from learnrate.study.report.figure.curves import draw_curves
from learnrate.study.report.figure.differences import draw_differences
from learnrate.study.report.figure.times import draw_times
from learnrate.study.report.ranking import ranked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.legend import Legend

    from learnrate.study.comparison import Comparison

WIDTH, CURVES, ROW, TIMES, LINE = 8.0, 3.8, 0.34, 2.8, 0.2
"""In inches: width of the figure, heights of the curves, of an arm among the differences, of the times, and of a line of the
legend."""

CHARACTERS = 88
"""Of a row of the legend; each name takes six more, for its line."""


def draw_comparison(comparison: Comparison, target: float | str | None = None) -> tuple[Axes, ...]:
    """Draw learning curves, the differences to the best arm, and if there is a target, when it was reached.

    Args:
        comparison: What is drawn.
        target: The metric to reach, or the name of an arm.

    Returns:
        The axes, from top to bottom.

    Raises:
        ArgumentError: if the target is no target.
        MissingExtraError: if matplotlib is not installed.
    """
    goal = None if target is None else comparison.target(target)
    compared = len(ranked(comparison)) - 1
    heights = [
        CURVES + LINE * legend_rows(comparison),
        *([1.0 + ROW * compared] if compared > 0 else []),
        *([] if goal is None else [TIMES]),
    ]
    axes = figures.stacked(WIDTH, heights)
    legend(draw_curves(comparison, axes[0]))
    if compared > 0:
        draw_differences(comparison, axes[1])
    if goal is not None:
        draw_times(comparison, goal, axes[-1]).set_title(f"{comparison.score_title} of {goal:.4g}", fontsize=10, loc="left")
    return tuple(axes)


def legend(ax: Axes, characters: int = CHARACTERS) -> Legend | None:
    """A legend above the axes, where it hides no data; none without lines."""
    handles, labels = ax.get_legend_handles_labels()
    if not handles:
        return None
    columns = _columns([str(label) for label in labels], characters)
    return ax.legend(
        handles, labels, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2
    )


def legend_rows(comparison: Comparison, characters: int = CHARACTERS) -> int:
    """The rows of the legend of a comparison."""
    labels = [look.label(arm.name) for arm in comparison.arms if arm.trainings]
    return math.ceil(len(labels) / _columns(labels, characters)) if labels else 0


def _columns(labels: Sequence[str], characters: int) -> int:
    return max(1, min(len(labels), characters // (max(map(len, labels)) + 6)))
