"""When the trainings reached a target: the share that has, over the updates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from learnrate import figures
from learnrate.study.report.figure import look
from learnrate.study.statistics.survival import shares_reached

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.study.comparison import Comparison
    from learnrate.study.statistics.times import Unit


def draw_times(comparison: Comparison, target: float | str, ax: Axes | None = None, unit: Unit = "updates") -> Axes:
    """Draw the share of the trainings of each arm that has reached a target, over the updates or seconds.

    The share is 1 minus the estimate of Kaplan and Meier. A vertical mark is a training that ended without having reached
    the target: it might have, if it had been longer. One that has diverged never will, and has no mark.

    Args:
        comparison: Arms without a training are left out.
        target: The metric to reach, or the name of an arm for the mean of its final scores.
        ax: The axes to draw in; a new figure by default.
        unit: "updates" or "seconds".

    Raises:
        ArgumentError: if the target is neither, or there were no evaluations.
        MissingExtraError: if matplotlib is not installed.
    """
    goal = comparison.target(target)
    ax = figures.axes_or_new(ax)
    times = comparison.times(goal)
    ends = [end for of_arm in times.values() for time in of_arm for end in time.bounds(unit) if math.isfinite(end)]
    end = max([*ends, look.longest(comparison) if unit == "updates" else 0.0])
    for number, arm in enumerate(comparison.arms):
        bounds = [time.bounds(unit) for time in times[arm.name]]
        if not bounds:
            continue
        steps = shares_reached(bounds)
        xs, ys = [0.0, *(at for at, _ in steps)], [0.0, *(share for _, share in steps)]
        # A share of 100 % cannot change any more. A smaller one is not known after the end of the last training.
        last = end if ys[-1] == 1 else max((time for pair in bounds for time in pair if math.isfinite(time)), default=0.0)
        # Lines of several arms that lie on each other would hide all but one.
        shift = 0.004 * (number - (len(comparison.arms) - 1) / 2)
        line = look.line(number)
        ys = [share + shift for share in ys]
        ax.step([*xs, max(last, xs[-1])], [*ys, ys[-1]], where="post", **line, linewidth=2, label=look.label(arm.name))
        censored = [low for low, high in bounds if math.isinf(high) and math.isfinite(low)]
        heights = [_height(steps, low) + shift for low in censored]
        look.marks(ax, censored, heights, "|", color=line["color"], markersize=13, markeredgewidth=2, zorder=3)
    ax.set(xlabel=unit.removesuffix("s"), ylabel="share that has reached it", ylim=(-0.03, 1.05), xlim=(0, end or 1))
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    return look.style(ax)


def _height(steps: list[tuple[float, float]], time: float) -> float:
    return max((share for at, share in steps if at <= time), default=0.0)
