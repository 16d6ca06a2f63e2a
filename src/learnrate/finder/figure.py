"""Drawing a curve with matplotlib."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from learnrate import figures
from learnrate.figures import BLUE, GREEN, GREY, ORANGE
from learnrate.finder.bounds import Bounds, NoAnswer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from learnrate.finder.curve import Curve

LABELS = {"base_lr": (0.97, GREEN), "lr": (0.90, ORANGE), "max_lr": (0.97, GREEN)}
"""Height of each label as a fraction of the axes, and its colour: at two heights, because the LRs may lie close together."""

LOW_LABEL = 0.83
"""Height of a label on the other side of its line, below the labels that are there."""

CHARACTER = 6.6
"""Points per character of a label, its distance from the line included: a label that would leave the axes changes sides."""


def draw_curve(curve: Curve, bounds: Bounds | NoAnswer, ax: Axes | None = None, name: str = "loss") -> Axes:
    """Draw the raw and the smoothed losses of a range test against the LR, with its bounds.

    Args:
        curve: The record of the range test.
        bounds: What a rule read off it; the reason of a `NoAnswer` becomes the title.
        ax: The axes to draw in; a new figure by default.
        name: What the curve shows: "loss", or the name of a metric.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    ax = figures.axes_or_new(ax)
    _draw_losses(ax, curve, name)
    limits = loss_range(curve) if name == "loss" else _full_range(curve)
    if limits:
        ax.set_ylim(*limits)
    elif len(curve):
        ax.set_xlim(curve.lrs[0] / 2, curve.lrs[-1] * 2)  # without a finite value, matplotlib has no limits for a log scale
    title, size = "LR range test", 12
    if isinstance(bounds, NoAnswer):
        title, size = f"LR range test: {bounds.reason}", 10
    else:
        _draw_bounds(ax, bounds)
    ax.set_title(figures.wrap(title), loc="left", fontsize=size)
    # A loss that falls leaves the lower left free, and one that does not fall the upper left.
    ax.legend(loc="best" if name != "loss" else "lower left" if bounds else "upper left", frameon=False, fontsize=9)
    return figures.style(ax)


def loss_range(curve: Curve) -> tuple[float, float] | None:
    """The losses that a figure of the curve shows; None if no loss is finite.

    Higher losses are divergence: with them, the range in which the loss falls would be drawn flat.
    """
    losses = curve.finite().losses
    if not len(losses):
        return None
    start, lowest = float(np.median(losses[: max(3, len(losses) // 10)])), float(losses.min())
    fall = (start - lowest) or 1.0
    return lowest - 0.08 * fall, start + 0.6 * fall


def _full_range(curve: Curve) -> tuple[float, float] | None:
    """All values of a metric, and room for the labels above them."""
    if not len(curve):
        return None
    lowest, highest = float(curve.losses.min()), float(curve.losses.max())
    extent = (highest - lowest) or 1.0
    return lowest - 0.05 * extent, highest + 0.25 * extent


def _is_linear(curve: Curve) -> bool:
    """Whether most steps of the LR are equal. If a metric is not measured at every update, its last step may be shorter."""
    steps = np.diff(curve.lrs)
    if len(steps) < 2:
        return len(curve.above_zero()) < len(curve)
    return float(np.mean(np.isclose(steps, np.median(steps), rtol=0.01))) > 0.8


def _draw_losses(ax: Axes, curve: Curve, name: str) -> None:
    name = figures.literal(name)
    dots = f"mean {name} of an update" if curve.sweeps else f"{name} of an update"
    some = figures.thinned(curve.losses)
    many = len(some) < len(curve)  # as vectors, they would make an SVG of megabytes
    ax.plot(curve.lrs[some], curve.losses[some], ".", color=GREY, markersize=4, alpha=0.7, label=dots, rasterized=many)
    if curve.sweeps and len(curve):
        lines = [sweep.smoothed() for sweep in curve.sweeps]
        low, high = np.min(lines, axis=0)[some], np.max(lines, axis=0)[some]
        ax.fill_between(curve.lrs[some], low, high, color=BLUE, alpha=0.15, linewidth=0, label=f"{len(lines)} sweeps")
        for line in lines:
            ax.plot(curve.lrs[some], line[some], color=BLUE, linewidth=0.8, alpha=0.45)
    ax.plot(curve.lrs[some], curve.smoothed()[some], color=BLUE, linewidth=2.2, label="smoothed")
    ax.set(xscale="linear" if _is_linear(curve) else "log", xlabel="learning rate", ylabel=name)
    ax.margins(x=0)


def _draw_bounds(ax: Axes, bounds: Bounds) -> None:
    ax.axvspan(bounds.base_lr, bounds.max_lr, color=GREEN, alpha=0.10, zorder=0, linewidth=0)
    ax.axvspan(*bounds.interval, color=ORANGE, alpha=0.15, zorder=0, linewidth=0, label="90 % interval of lr")
    character = CHARACTER / (72 * ax.bbox.width / ax.figure.dpi)  # as a fraction of the axes
    for name, (height, color) in LABELS.items():
        value = getattr(bounds, name)
        label = f"{name} {value:.2g}"
        position, width = _position(ax, value), character * len(label)
        usual = "left" if name == "max_lr" else "right"
        side = "left" if position < width else "right" if position > 1 - width else usual
        ax.axvline(value, color=color, linewidth=1.4, linestyle="-" if name == "lr" else "--")
        ax.annotate(
            label,
            (value, height if side == usual else LOW_LABEL),
            xycoords=("data", "axes fraction"),
            xytext=(4 if side == "left" else -4, 0),
            textcoords="offset points",
            color=color,
            ha=side,
            va="top",
            fontsize=10,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1},  # a line may pass below the label
        )


def _position(ax: Axes, lr: float) -> float:
    """The place of an LR on its axis, from 0 to 1."""
    low, high = ax.get_xlim()
    if ax.get_xscale() == "log":
        low, high, lr = math.log(low), math.log(high), math.log(lr)
    return (lr - low) / (high - low)
