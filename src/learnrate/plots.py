"""Pictures, drawn with matplotlib: each function draws into one set of axes and returns it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from learnrate import checks, records
from learnrate.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from learnrate.finder import Bounds, Curve, NoAnswer
    from learnrate.schedules import Schedule
    from learnrate.study import Comparison

# Okabe and Ito's colours, which stay apart for colour-blind readers.
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#8A8F98"
POINTS = 4000
"""A curve is drawn through at most so many points: more than a screen has, few enough for a fast picture."""


def require() -> None:
    """Find out whether pictures can be drawn before there is something to lose.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    new_figure(1, 1)


def new_figure(width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure outside pyplot's list, so that a program that draws many leaks none."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise _missing() from error
    figure = Figure(figsize=(width, height), layout="constrained", dpi=144)
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, list(axes)


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all.

    Raises:
        OutputError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    records.write_atomically(path, buffer.getvalue())


def draw_schedule(schedule: Schedule, updates: int, ax: Axes | None = None) -> Axes:
    """A schedule against the update."""
    updates = min(checks.length("updates", min(updates, checks.LONGEST)), 2**53)
    ax = _axes(ax)
    n = np.arange(updates + 1) if updates < POINTS else np.linspace(0, updates, POINTS).round().astype(np.int64)
    values = schedule(n)
    ax.plot(n, values, color=BLUE, linewidth=2)
    ax.set(xlabel="update", ylabel="learning rate", xlim=(0, updates))
    if values.min() < values.max() / 2:  # else it is something such as momentum, whose changes 0 would flatten
        ax.set_ylim(bottom=0)
    ax.set_title(_wrapped(repr(schedule)), fontsize=10, loc="left")
    return _styled(ax)


def schedule_svg(schedule: Schedule, updates: int) -> str:
    """`draw_schedule` as the text of an SVG picture, without a word to pyplot, which would keep the figure."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise _missing() from error
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    draw_schedule(schedule, updates, figure.subplots())
    text = io.StringIO()
    figure.savefig(text, format="svg")
    return text.getvalue()


def draw_curve(curve: Curve, bounds: Bounds | NoAnswer, ax: Axes | None = None, what: str = "loss") -> Axes:
    """A range test: raw and smoothed loss (or what stands in its place) against the LR, with the bounds drawn in."""
    ax = _axes(ax)
    smoothed = curve.smoothed()
    dots = f"mean {what} of an update" if curve.sweeps else f"{what} of an update"
    ax.plot(curve.lrs, curve.losses, ".", color=GREY, markersize=4, alpha=0.7, label=dots)
    if curve.sweeps and len(curve):
        ax.fill_between(curve.lrs, *curve.band(), color=BLUE, alpha=0.15, linewidth=0, label=f"{len(curve.sweeps)} sweeps")
        for sweep in curve.sweeps:
            ax.plot(sweep.lrs, sweep.smoothed(), color=BLUE, linewidth=0.8, alpha=0.45)
    ax.plot(curve.lrs, smoothed, color=BLUE, linewidth=2.2, label="smoothed")
    steps = np.diff(curve.lrs)
    # Most of them: where a metric was measured now and then, the last step may be shorter.
    linear = len(steps) > 1 and np.mean(np.isclose(steps, np.median(steps), rtol=0.01)) > 0.8
    ax.set(xscale="linear" if linear else "log", xlabel="learning rate", ylabel=what)
    ax.margins(x=0)
    heights = loss_range(curve)
    if what != "loss" and len(curve):
        room = float(np.ptp(curve.losses)) or 1.0
        ax.set_ylim(float(curve.losses.min()) - 0.05 * room, float(curve.losses.max()) + 0.25 * room)  # above: the labels
    elif heights:
        ax.set_ylim(*heights)
    if bounds:
        ax.axvspan(bounds.base_lr, bounds.max_lr, color=GREEN, alpha=0.10, zorder=0, linewidth=0)
        ax.axvspan(*bounds.interval, color=ORANGE, alpha=0.15, zorder=0, linewidth=0, label="90 % interval of lr")
        for name, value, color in (
            ("base_lr", bounds.base_lr, GREEN),
            ("lr", bounds.lr, ORANGE),
            ("max_lr", bounds.max_lr, GREEN),
        ):
            ax.axvline(value, color=color, linewidth=1.4, linestyle="--" if name != "lr" else "-")
            # The three labels stand at three heights, for they may lie close together.
            height = {"base_lr": 0.97, "lr": 0.90, "max_lr": 0.97}[name]
            side = "left" if name == "max_lr" else "right"
            gap = 4 if side == "left" else -4
            ax.annotate(
                f"{name} {value:.2g}",
                (value, height),
                xycoords=("data", "axes fraction"),
                xytext=(gap, 0),
                textcoords="offset points",
                color=color,
                ha=side,
                va="top",
                fontsize=10,
                fontweight="bold",
            )
        ax.set_title("LR range test", loc="left", fontsize=12)
    else:
        ax.set_title(f"LR range test: {_wrapped(bounds.reason)}", loc="left", fontsize=10)
    ax.legend(loc="lower left" if what == "loss" else "best", frameon=False, fontsize=9)
    return _styled(ax)


def loss_range(curve: Curve) -> tuple[float, float] | None:
    """The losses that a picture of a curve shows, or None where no loss is finite.

    What lies above is divergence, which would press the part that matters flat.
    """
    known = curve.finite().losses
    if not len(known):
        return None
    start, low = float(np.median(known[: max(3, len(known) // 10)])), float(known.min())
    room = (start - low) or 1.0
    return low - 0.08 * room, start + 0.6 * room


def draw_losses(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Training losses of a comparison, smoothed: a thin line a seed, a thick one for the mean."""
    ax = _axes(ax)
    for arm, color in zip(comparison.arms, (BLUE, ORANGE, GREEN, GREY), strict=False):
        width = max(1, comparison.updates // 30)
        curves = [_trailing_mean(np.array(training.losses), width) for training in arm.trainings]
        for curve in curves:
            ax.plot(np.arange(1, len(curve) + 1), curve, color=color, linewidth=0.8, alpha=0.45)
        shortest = min(map(len, curves), default=0)
        if shortest:
            mean = np.mean([curve[:shortest] for curve in curves], axis=0)
            ax.plot(np.arange(1, shortest + 1), mean, color=color, linewidth=2.2, label=arm.name)
    below = any(min(training.losses, default=1.0) < 0 for arm in comparison.arms for training in arm.trainings)
    scale = "linear" if below else "log"
    ax.set(xlabel="update", ylabel="training loss", yscale=scale, xlim=(0, comparison.updates))
    ax.legend(frameon=False, fontsize=9)
    return _styled(ax)


def draw_scores(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """The metric along the trainings of a comparison: a thin line a seed, a thick one for the mean."""
    ax = _axes(ax)
    finals = []
    for arm, color in zip(comparison.arms, (BLUE, ORANGE, GREEN, GREY), strict=False):
        for training in arm.trainings:
            ax.plot(training.checkpoints, training.scores, color=color, linewidth=0.8, alpha=0.45)
        shortest = min((len(training.scores) for training in arm.trainings), default=0)
        if shortest:
            mean = np.mean([training.scores[:shortest] for training in arm.trainings], axis=0)
            label = f"{arm.name}: {arm.mean:.4f}" + (f" ± {arm.std:.4f}" if len(arm.trainings) > 1 else "")
            ax.plot(arm.trainings[0].checkpoints[:shortest], mean, color=color, linewidth=2.2, label=label)
            finals.append(mean)
    finals = [mean for mean in finals if np.isfinite(mean).all()]
    if finals:
        # The start of every training is near chance; what is compared lies above the level that all soon pass.
        floor = min(mean[len(mean) // 2 :].min() for mean in finals)
        top = np.nanmax([score for arm in comparison.arms for training in arm.trainings for score in training.scores])
        ax.set_ylim(floor - (top - floor) - 1e-9, top + 0.1 * (top - floor) + 1e-9)
        ax.legend(loc="lower right", frameon=False, fontsize=9)
    ax.set(xlabel="update", ylabel=comparison.scores_are, xlim=(0, comparison.updates))
    return _styled(ax)


def _axes(ax: Axes | None) -> Axes:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ModuleNotFoundError as error:
        raise _missing() from error
    return pyplot.subplots(figsize=(7, 4), layout="constrained")[1]


def _missing() -> MissingExtraError:
    return MissingExtraError(
        "pictures need matplotlib, which is not installed: pip install 'learnrate[plots]'", name="matplotlib"
    )


def _styled(ax: Axes) -> Axes:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    return ax


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 76, break_long_words=False))


def _trailing_mean(values: np.ndarray, width: int) -> np.ndarray:
    sums = np.cumsum(np.insert(values, 0, 0.0))
    stops = np.arange(1, len(values) + 1)
    starts = np.maximum(stops - width, 0)
    means: np.ndarray = (sums[stops] - sums[starts]) / (stops - starts)
    return means
