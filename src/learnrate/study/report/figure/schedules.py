"""The schedules of the arms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from learnrate import figures
from learnrate.errors import LearnrateError
from learnrate.schedules import parse
from learnrate.study.report.figure import look

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.study.comparison import Comparison
    from learnrate.study.outcome import Outcome

SPREAD = 30.0
"""Largest peak over smallest peak from which on the axis is logarithmic: otherwise the low schedules lie on its line."""


def draw_schedules(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the LR of each arm over its updates.

    Args:
        comparison: Arms whose schedule is not known are left out: without a training, it may have lengths in epochs; a
            schedule with a function of your own cannot be read from its text.
        ax: The axes to draw in; a new figure by default.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    peaks = []
    for number, arm in enumerate(comparison.arms):
        values = lrs(arm)
        if values is None:
            continue
        counts = np.linspace(0, arm.updates, len(values))
        ax.plot(counts, values, **look.line(number), linewidth=2, label=look.label(arm.name))
        peaks.append(float(np.max(values)))
    if peaks and min(peaks) > 0 and max(peaks) / min(peaks) > SPREAD:
        ax.set_yscale("log")
        ax.set_ylim(bottom=min(peaks) / SPREAD)
    else:
        ax.set_ylim(bottom=0)
    ax.set(xlabel="update", ylabel="learning rate", xlim=(0, look.longest(comparison)))
    return look.style(ax)


def lrs(arm: Outcome) -> np.ndarray | None:
    """The LR along the trainings of an arm; None if it cannot be known from the texts in the study."""
    text = arm.trainings[0].schedule if arm.trainings else arm.schedule
    try:
        schedule = parse(text)
        if not schedule.is_resolved:
            schedule = schedule.resolve(arm.updates)
        counts = np.linspace(0, arm.updates, min(arm.updates, figures.POINTS) + 1).round().astype(np.int64)
        return np.broadcast_to(np.asarray(schedule(counts), np.float64), counts.shape)
    except LearnrateError:
        return None
