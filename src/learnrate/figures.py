"""The canvas of every matplotlib figure, whatever it shows: colours, axes, saving."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learnrate import checks, records
from learnrate.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, which colour-blind readers can tell apart.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8F98"

POINTS = 4000
"""Largest number of points in one line: a screen shows no more, and more are slow to draw."""

TITLE_WIDTH = 76
"""Characters of a title line, in the font size 10 and a figure of the usual width of 7 inches."""


def thinned(values: NDArray[np.floating[Any]], most: int = POINTS) -> NDArray[np.intp]:
    """The positions of a series that are drawn: all of them, or the lowest and the highest value of each of equal parts.

    Every extreme that a screen can show stays, as do the first and the last position.

    Args:
        values: The series. What is not finite is no extreme.
        most: Number of positions above which some are left out.
    """
    if len(values) <= most:
        return np.arange(len(values))
    finite = np.isfinite(values)
    lowest, highest = np.where(finite, values, np.inf), np.where(finite, values, -np.inf)
    ends = np.linspace(0, len(values), max(1, (most - 2) // 2) + 1).round().astype(np.intp).tolist()
    picked = {0, len(values) - 1}
    for start, stop in pairwise(ends):
        picked |= {start + int(lowest[start:stop].argmin()), start + int(highest[start:stop].argmax())}
    return np.array(sorted(picked), dtype=np.intp)


def require() -> None:
    """Check that figures can be drawn, before any work is done that a later error would lose.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    new_figure(1, 1)


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure with its axes side by side. pyplot does not keep it, so a program that draws many figures leaks none.

    Args:
        width: Of the figure, in inches.
        height: Of the figure, in inches.
        columns: Number of axes.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise _missing() from error
    figure = Figure(figsize=(width, height), layout="constrained", dpi=144)
    return figure, list(figure.subplots(1, columns, squeeze=False)[0])


def axes_or_new(ax: Axes | None) -> Axes:
    """The given axes, or those of a new pyplot figure, which a notebook or `plt.show()` displays.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    if ax is not None:
        if not hasattr(ax, "set_xscale"):
            checks.refuse_type("ax", "the axes of matplotlib", ax)
        return ax
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise _missing() from error
    return pyplot.subplots(figsize=(7, 4), layout="constrained")[1]


def stacked(width: float, heights: Sequence[float]) -> list[Axes]:
    """Axes below each other in a new pyplot figure, which a notebook or `plt.show()` displays.

    Args:
        width: Of the figure, in inches.
        heights: Of each of the axes, in inches.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise _missing() from error
    figure = pyplot.figure(figsize=(width, sum(heights)), layout="constrained")
    return list(figure.subplots(len(heights), 1, squeeze=False, gridspec_kw={"height_ratios": list(heights)})[:, 0])


def close(figure: Figure) -> None:
    """Let pyplot forget a figure, which then is not displayed."""
    from matplotlib import pyplot

    pyplot.close(figure)


def style(ax: Axes) -> Axes:
    """Give the axes the common style, and return them."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def wrap(text: str) -> str:
    """The text in lines that fit the width of a title, shown as it is."""
    return literal("\n".join(textwrap.wrap(text, TITLE_WIDTH, break_long_words=False)))


def literal(text: str) -> str:
    """A text of the user's, such as a name, in the form that matplotlib shows as it is.

    matplotlib reads what stands between two dollar signs as a formula, and fails at one that is none. It cannot draw the
    characters by which Python represents the bytes of a file name that is not UTF-8.
    """
    return text.encode("utf-8", "replace").decode().replace("$", r"\$")


def save(figure: Figure, path: Path) -> None:
    """Write the figure as PNG. A failed write leaves no partial file.

    Raises:
        OutputError: if the file cannot be written.
    """
    png = io.BytesIO()
    figure.savefig(png, format="png")
    records.write_atomically(path, png.getvalue())


def svg(figure: Figure, *, as_text: bool = False) -> str:
    """The figure as an `<svg>` element, to be shown alone or inside an HTML page.

    Args:
        figure: The figure.
        as_text: Whether texts stay texts, in a font of the reader's; otherwise they are drawn, and look the same everywhere.
    """
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none" if as_text else "path"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None}, transparent=as_text)
    document = text.getvalue()
    return document[document.index("<svg") :]  # an XML declaration is not allowed inside an HTML page


def _missing() -> MissingExtraError:
    return MissingExtraError(
        "pictures need matplotlib, which is not installed: pip install 'learnrate[plots]'", name="matplotlib"
    )
