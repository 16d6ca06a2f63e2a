"""What the figures of a comparison have in common: the look of an arm, its name, limits of scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate import figures
from learnrate.figures import BLUE, GREEN, GREY, ORANGE
from learnrate.study.statistics.sequential import LARGEST

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.study.comparison import Comparison

COLORS = (BLUE, ORANGE, GREEN, "#CC79A7", "#E69F00", "#56B4E9", GREY)
"""Of Okabe and Ito's palette, which colour-blind readers can tell apart, without its black: that is the text."""

DASHES = ("-", "--", ":", "-.")
"""Used after all colours, so that 28 arms can be told apart."""

LONGEST_LABEL = 32
"""Characters of the name of an arm in a figure, in which a longer one would leave no room for the data."""

FAR = 1000.0
"""Median absolute deviations from the median beyond which a value is left out of an axis. With such a value, which only a
training that has diverged gives, most of the others would lie within a pixel of each other."""


def line(number: int) -> dict[str, Any]:
    """Colour and dashes of an arm, by its position in the comparison."""
    return {"color": COLORS[number % len(COLORS)], "linestyle": DASHES[number // len(COLORS) % len(DASHES)]}


def label(name: str) -> str:
    """The name of an arm, as matplotlib shows it."""
    return figures.literal(name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 3]}...")


def number_of(comparison: Comparison, name: str) -> int:
    """The position of an arm."""
    return [arm.name for arm in comparison.arms].index(name)


def longest(comparison: Comparison) -> int:
    """Length of the longest trainings in updates."""
    return max((arm.updates for arm in comparison.arms), default=comparison.updates)


def limits(values: Iterable[float], margin: float = 0.08) -> tuple[float, float] | None:
    """Limits of an axis that shows all values that are finite, without those that lie far outside; None if there is none."""
    shown = near(values)
    if not shown:
        return None
    low, high = min(shown), max(shown)
    room = (high - low) * margin or max(abs(high) * margin, 1e-9)
    return low - room, high + room


def near(values: Iterable[float]) -> list[float]:
    """The values that an axis shows: finite, and not so far from the others that these could not be told apart."""
    finite = [value for value in values if abs(value) <= LARGEST]
    if len(finite) < 3:
        return finite
    middle = float(np.median(finite))
    deviation = float(np.median(np.abs(np.subtract(finite, middle))))
    # Without a deviation more than half of the values are equal, and nothing says how far is far.
    return [value for value in finite if abs(value - middle) <= FAR * deviation] if deviation > 0 else finite


def marks(ax: Axes, xs: Sequence[float], ys: Sequence[float], marker: str, **options: Any) -> None:
    """Draw marks that may stand on the edge of the axes. They take no part in the layout, which they would spoil."""
    if len(xs):
        for drawn in ax.plot(xs, ys, marker, clip_on=False, **options):
            drawn.set_in_layout(False)


def style(ax: Axes) -> Axes:
    """The style of the axes of this room: thousands have a comma on the axis of updates."""
    ax.xaxis.set_major_locator(_ticks())
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    return figures.style(ax)


def _ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(6, integer=True)
