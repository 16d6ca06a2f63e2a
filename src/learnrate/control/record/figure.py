"""Drawing a record with matplotlib."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate import figures
from learnrate.amounts import plural
from learnrate.control.record import summary, view
from learnrate.figures import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.control.events import Event
    from learnrate.control.record.record import Record

WIDTH, PANELS, LINE = 9.0, 5.4, 0.2
"""The figure, in inches: its width, the height of its panels, and of a line of text below them."""

LABELLED = 9
"""Events that have a number and their reason."""

CHARACTERS = 108
"""Of a line below the panels."""

ROW = 15
"""Height of a row of numbers, in points."""

CLOSE = 0.022
"""Share of the width within which two numbers would overlap."""


def draw_record(record: Record) -> tuple[Axes, ...]:
    """Draw the LR that was used above the loss, and the events as lines through both, with their reasons below.

    Returns:
        The axes of the LR and of the loss.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    labelled = view.important(record.marks, LABELLED)
    lines = _reasons(record.marks, labelled)
    top, bottom, text = figures.stacked(WIDTH, (PANELS * 0.52, PANELS * 0.48, LINE * (len(lines) + 1)))
    _draw_lrs(top, record)
    _draw_losses(bottom, record)
    # Within the axis, whose limits are set before the marks: these stand at their updates, and do not widen it.
    end = max(1, int(record.updates[-1])) if len(record) else 1
    for ax in (top, bottom):
        ax.set_xlim(min(int(record.updates[0]), end - 1) if len(record) else 0, end)
    rows = _draw_marks(top, bottom, record.marks, labelled)
    top.tick_params(labelbottom=False)
    bottom.set_xlabel("update")
    title = f"{Path(record.path).name}: {plural(len(record), 'update')}"
    top.set_title(figures.wrap(title), loc="left", fontsize=12, pad=8 + ROW * rows)
    text.axis("off")
    label = figures.literal("\n".join(lines))
    # Outside of the layout, which would make the panels narrower for a long line.
    text.text(0, 1, label, transform=text.transAxes, va="top", fontsize=9, linespacing=1.35).set_in_layout(False)
    return figures.style(top), figures.style(bottom)


def _draw_lrs(ax: Axes, record: Record) -> None:
    some = figures.thinned(record.lrs)
    planned = view.planned(record)
    if len(planned[0]):
        ax.plot(*planned, color=GREY, linewidth=1.3, linestyle=(0, (4, 2)), label="planned")
    point: dict[str, Any] = {"marker": "o"} if len(record) == 1 else {}
    ax.plot(record.updates[some], record.lrs[some], color=BLUE, linewidth=2, label="used", **point)
    ax.set_ylabel("learning rate")
    if view.spans_decades(record.lrs):
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    if len(planned[0]):
        ax.legend(loc="upper right", framealpha=0.85, edgecolor="none", fontsize=9)


def _draw_losses(ax: Axes, record: Record) -> None:
    losses = record.losses
    some = figures.thinned(losses)
    middle = view.medians(record.updates, losses)
    many = len(middle[0]) > 0
    look: dict[str, Any] = {"color": GREY, "alpha": 0.55, "linewidth": 0.7} if many else {"color": BLUE, "linewidth": 1.8}
    point: dict[str, Any] = {"marker": "o"} if len(record) == 1 else {}
    ax.plot(record.updates[some], losses[some], label="loss of an update", rasterized=many, **look, **point)
    if many:
        ax.plot(*middle, color=BLUE, linewidth=2, label="median")
    if view.is_wide(losses):
        ax.set_yscale("log")
    elif limits := view.limits(losses):
        ax.set_ylim(*limits)
    lost = list(view.lost(record))
    if lost:
        heights = np.full(len(lost), 0.97)
        across = ax.get_xaxis_transform()
        ax.plot(lost, heights, "v", color=ORANGE, markersize=6, transform=across, label="not finite", clip_on=False)
    ax.set_ylabel("loss")
    ax.legend(loc="upper right", framealpha=0.85, edgecolor="none", fontsize=9)


def _draw_marks(top: Axes, bottom: Axes, events: tuple[Event, ...], labelled: list[Event]) -> int:
    """Draw lines through both panels, and the numbers of those that have one above them; return the rows of numbers."""
    low, high = top.get_xlim()
    ends: list[float] = []
    for event in events if len(events) <= figures.POINTS // 10 else labelled:
        shown = event in labelled
        for ax in (top, bottom):
            ax.axvline(event.update, color=view.colour(event), linewidth=1.2 if shown else 0.5, alpha=0.8 if shown else 0.3)
    for number, event in enumerate(labelled, 1):
        place = (event.update - low) / (high - low)
        row = next((row for row, end in enumerate(ends) if place - end > CLOSE), len(ends))
        ends[row : row + 1] = [place]
        top.annotate(
            str(number),
            (event.update, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 9 + ROW * row),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=8.5,
            fontweight="bold",
            color="white",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": view.colour(event), "edgecolor": "none"},
            annotation_clip=False,
        )
    return len(ends)


def _reasons(events: tuple[Event, ...], labelled: list[Event]) -> list[str]:
    lines = []
    for number, event in enumerate(labelled, 1):
        lines += textwrap.wrap(f"{number}  {summary.sentence(event)}", CHARACTERS, subsequent_indent="    ")[:2]
    if len(events) > len(labelled):
        lines.append(f"and {len(events) - len(labelled):,} more events")
    return lines
