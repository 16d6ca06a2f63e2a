"""A curve as text, for a terminal.

Written here, because it is fifty lines for the one kind of curve that is needed. A library for plots in terminals would be
one more dependency, with a style and a global state of its own.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.floating]

BRAILLE = 0x2800
"""The first character of the block of Braille patterns, an empty one; the bits of its number are the dots."""

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot of a Braille pattern, by row and column."""

LABEL = 9
"""Width of the labels of the vertical axis."""


@dataclass(frozen=True)
class Canvas:
    """The size of a plot.

    Attributes:
        width: Characters of the plot, without the labels.
        height: Its lines.
        braille: Whether a character shows 2 x 4 dots; otherwise it shows one, as "*".
    """

    width: int
    height: int
    braille: bool

    @property
    def columns(self) -> int:
        """Number of dots in a row."""
        return self.width * (2 if self.braille else 1)

    @property
    def rows(self) -> int:
        """Number of dots in a column."""
        return self.height * (4 if self.braille else 1)

    def lines(self, dots: NDArray[np.bool_]) -> list[str]:
        """The lines of text of dots (rows, columns), the first row on top."""
        if not self.braille:
            return ["".join("*" if dot else " " for dot in row) for row in dots]
        bits = dots.reshape(self.height, 4, self.width, 2).transpose(0, 2, 1, 3)
        codes = (bits * np.array(DOTS)).sum(axis=(2, 3))
        return ["".join(chr(BRAILLE + int(code)) if code else " " for code in row) for row in codes]


def plotted(values: Values, end: str, canvas: Canvas, limits: tuple[float, float] | None = None) -> list[str]:
    """The lines of a plot of a series, with its axes.

    Args:
        values: The series, of at least as many values as the canvas has columns; equally spaced, finite.
        end: Label of the right end of the horizontal axis; the left end is 0.
        canvas: The size.
        limits: The lowest and the highest value of the curve, if the series does not contain them.
    """
    low, high = _axis(*(limits or (float(values.min()), float(values.max()))))
    dots = _dots(values, low, high, canvas)
    labels = {0: f"{high:.4g}", canvas.height - 1: f"{low:.4g}"}
    rows = [f"{labels.get(row, ''):>{LABEL}} |{line}".rstrip() for row, line in enumerate(canvas.lines(dots))]
    axis = f"{'':>{LABEL}} +{'-' * canvas.width}"
    return [*rows, axis, f"{'':>{LABEL}}  0 {end:>{canvas.width - 2}}"]


def _axis(low: float, high: float) -> tuple[float, float]:
    """The lowest and the highest value of the axis. From 0, unless that would flatten the changes."""
    if low < high / 2 or low == high:
        low = min(low, 0.0)
    return low, high if high > low else low + 1.0


def _dots(values: Values, low: float, high: float, canvas: Canvas) -> NDArray[np.bool_]:
    """Which dots are set: in each column all between its lowest and its highest value, and up to the column before."""
    heights = np.rint((values - low) / (high - low) * (canvas.rows - 1)).astype(int)
    parts = np.array_split(heights, canvas.columns)
    dots = np.zeros((canvas.rows, canvas.columns), dtype=bool)
    before = parts[0][0]
    for column, part in enumerate(parts):
        bottom, top = min(part.min(), before), max(part.max(), before)
        # The line to the column before is drawn in one of the two columns only, so that a slope stays thin.
        if top - bottom > part.max() - part.min():
            bottom, top = (bottom + 1, top) if bottom == before else (bottom, top - 1)
        dots[canvas.rows - 1 - top : canvas.rows - bottom, column] = True
        before = part[-1]
    return dots
