"""The figures of the page: each function draws one from the records."""

import io
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.choice.methods import ours
from benchmarks.choice.results import FINDERS, FORMER, FREE, NEAR, OURS, SEARCHES, USUAL, Results, TaskResult, kind
from benchmarks.choice.score import DISASTER, Summary
from benchmarks.choice.store import digest
from learnrate import records
from learnrate.figures import BLUE, GREEN, GREY, ORANGE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

INK, SKY, PINK = "#2B2F36", "#56B4E9", "#CC79A7"
"""Beside the colours of learnrate's figures; the last two are from Okabe and Ito as well."""

COLOURS = {OURS: BLUE, FORMER: SKY, USUAL: INK, FINDERS: ORANGE, SEARCHES: GREEN, FREE: PINK}
MARKERS = {OURS: "o", FORMER: "o", USUAL: "D", FINDERS: "s", SEARCHES: "^", FREE: "v"}

ROWS = {
    "learnrate": BLUE,
    "usual": INK,
    "fastai valley": ORANGE,
    "pytorch-lr-finder": SKY,
    "Lightning": PINK,
    "Optuna successive halving": GREEN,
}
"""Methods whose choices are below the curves of the tasks: ours, and the default of each other package."""

COLUMNS = 4
"""Columns of the figure with a curve for each task."""


def cost(results: Results) -> "Figure":
    """Regret against cost, a point for each method, on the tasks that all have trained on."""
    results = results.compared
    means = {summary.method: summary.mean for summary in results.finished}
    return _against_cost(results, means, "mean regret, points", "Regret and cost of a choice")


def report(results: Results) -> "Figure":
    """Curve regret against cost on the tasks for the report, of those that all methods have trained on."""
    half = results.compared.half("report")
    means = {summary.method: summary.curve for summary in half.finished}
    label = "mean regret on the mean curves, points"
    return _against_cost(half, means, label, "Curve regret and cost of a choice, tasks for the report")


def _against_cost(results: Results, values: dict[str, float], label: str, title: str) -> "Figure":
    figure, (ax,) = new_figure(8.2, 5.2)
    methods = results.finished
    left = _cost_axis(ax, [summary.cost for summary in methods])
    points = {summary.method: (max(summary.cost, left), values[summary.method]) for summary in methods}
    own = sorted(points[name] for name in ours.BUDGETS if name in points)
    ax.plot([x for x, _ in own], [y for _, y in own], color=BLUE, linewidth=2, zorder=2)
    for name, (x, y) in points.items():
        ax.plot(x, y, MARKERS[kind(name)], color=COLOURS[kind(name)], markersize=8.5, markeredgecolor="white", zorder=3)
    _mean_axis(ax, list(values.values()))
    ax.set_xlabel("cost: updates made to choose, as a share of one training run")
    ax.set_ylabel(label)
    ax.set_title(title, loc="left", fontsize=12)
    _styled(ax)
    figure.draw_without_rendering()
    _label(ax, points, own)
    return figure


def _cost_axis(ax: "Axes", costs: list[float]) -> float:
    """A logarithmic axis whose left edge represents 0; returns the position of this edge."""
    least = min((cost for cost in costs if cost > 0), default=0.1)
    left = least / 4
    most = max([*costs, 1.0])
    ax.set_xscale("log")
    ax.set_xlim(left / 1.12, most * 2.6)
    marks = [mark for mark in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0) if least / 1.3 < mark < most * 1.5]
    ax.set_xticks([left, *marks], ["0", *(f"{mark:.0%}" for mark in marks)])
    ax.xaxis.set_minor_locator(_none())
    ax.axvline(least / 1.3, color=GREY, linewidth=0.8, linestyle=(0, (2, 3)))
    return left


def _mean_axis(ax: "Axes", means: list[float]) -> None:
    """A logarithmic axis if every mean is above 0."""
    if min(means) <= 0:
        ax.set_yscale("symlog", linthresh=1)
        return
    ax.set_yscale("log")
    low, high = min(means) / 1.35, max(means) * 1.35
    ax.set_ylim(low, high)
    marks = [mark for mark in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if low <= mark <= high]
    ax.set_yticks(marks, [f"{mark:g}" for mark in marks])
    ax.yaxis.set_minor_locator(_none())


def _label(ax: "Axes", points: dict[str, tuple[float, float]], line: list[tuple[float, float]]) -> None:
    """Names to the right of the points, ours first; moved up or down until they cover no name, no point and not the line."""
    taken: list[tuple[float, float, float, float]] = []
    scale = ax.figure.dpi / 72
    size = 5 * scale
    places = {name: ax.transData.transform(point) for name, point in points.items()}
    corners = [ax.transData.transform(point) for point in line]
    along = [start + (end - start) * share for start, end in pairwise(corners) for share in np.linspace(0.0, 1.0, 60)]
    dots = [(x - size, y - size, x + size, y + size) for x, y in places.values()]
    dots += [(x - scale, y - scale, x + scale, y + scale) for x, y in along]
    bottom, top = ax.get_window_extent().y0, ax.get_window_extent().y1
    for name, (x, y) in sorted(places.items(), key=lambda item: (kind(item[0]) != OURS, item[1][0], -item[1][1])):
        width, height = 5.3 * len(name) * scale, 10.5 * scale
        begin = x + 9 * scale
        for shift in sorted(range(-90, 91), key=abs):
            middle = y + shift * scale
            box = (begin, middle - height / 2, begin + width, middle + height / 2)
            inside = bottom < box[1] and box[3] < top
            if inside and not any(_overlap(box, other) for other in (*taken, *dots)):
                break
        taken.append(box)
        ax.annotate(
            name,
            points[name],
            xytext=(9, (middle - y) / scale),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=COLOURS[kind(name)],
            fontweight="bold" if kind(name) == OURS else "normal",
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.5} if abs(middle - y) > 8 * scale else None,
        )


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def strips(results: Results) -> "Figure":
    """All regrets of each finished method, a dot for each task and seed."""
    results = results.compared
    rows = results.finished
    figure, (ax,) = new_figure(8.2, 1.3 + 0.36 * len(rows))
    order = {task.name: place for place, task in enumerate(results.tasks)}
    for row, summary in enumerate(rows):
        _strip(ax, row, summary, order)
    worst = max(max(summary.regrets) for summary in rows)
    least = min(min(summary.regrets) for summary in rows)
    ax.set_xscale("symlog", linthresh=1, linscale=0.8)
    ax.set_xlim(min(-1.0, least * 1.2), max(worst * 1.25, 12))
    low, high = ax.get_xlim()
    marks = [mark for mark in (-10, -5, -2, -1, 0, 1, 2, 5, 10, 20, 50, 100) if low <= mark <= high]
    ax.set_xticks(marks, [f"{mark:g}" for mark in marks])
    ax.xaxis.set_minor_locator(_none())
    ax.axvspan(DISASTER, high, color=ORANGE, alpha=0.09, linewidth=0, zorder=0)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_yticks(range(len(rows)), [summary.method for summary in rows])
    for text, summary in zip(ax.get_yticklabels(), rows, strict=True):
        text.set(color=COLOURS[kind(summary.method)], fontweight="bold" if kind(summary.method) == OURS else "normal")
    ax.set_ylim(len(rows) - 0.4, -0.6)
    side = ax.secondary_yaxis("right")
    side.set_yticks(range(len(rows)), [f"{summary.mean:.2f}" for summary in rows])
    side.tick_params(length=0, labelsize=9)
    side.spines["right"].set_visible(False)
    ax.text(1.01, 1.0, "mean", transform=ax.transAxes, fontsize=9, va="bottom")
    ax.set_xlabel("regret in points: a dot for each task and seed, a bar for the mean; disasters are shaded")
    ax.set_title("Regrets of all choices", loc="left", fontsize=12)
    _styled(ax)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    return figure


def _strip(ax: "Axes", row: int, summary: Summary, order: dict[str, int]) -> None:
    """A row of dots; those of a task have the same height."""
    heights = [row + 0.5 * ((order[outcome.task] + 0.5) / len(order) - 0.5) for outcome in summary.outcomes]
    colour = COLOURS[kind(summary.method)]
    ax.scatter(summary.regrets, heights, s=13, color=colour, alpha=0.55, linewidth=0, zorder=2)
    ax.plot([summary.mean] * 2, [row - 0.36, row + 0.36], color=INK, linewidth=2.2, zorder=3, solid_capstyle="butt")


def curves(results: Results) -> "Figure":
    """The oracle of each task, and the choices with each seed."""
    from matplotlib.figure import Figure

    drawn = [task for task in results.tasks if task.oracle.lrs]
    cells = len(drawn) + 1
    rows = math.ceil(cells / COLUMNS)
    figure = Figure(figsize=(11, 2.15 * rows), layout="constrained", dpi=144)
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for ax, task in zip(grid, drawn, strict=False):
        _curve(ax, task)
    for ax in grid[len(drawn) :]:
        ax.axis("off")
    _legend(grid[len(drawn)])
    figure.supxlabel("learning rate", fontsize=10)
    figure.supylabel("points on test data", fontsize=10)
    return figure


def _curve(ax: "Axes", task: TaskResult) -> None:
    """One task: the curve in the upper part of the axes, the rows of choices in the lower part."""
    from matplotlib.patches import Rectangle
    from matplotlib.ticker import MaxNLocator

    oracle = task.oracle
    lows, highs = [min(scores) for scores in oracle.scores], [max(scores) for scores in oracle.scores]
    depth = min(max(6.0, oracle.best - min(oracle.means)), 30.0)
    floor = oracle.best - 1.15 * depth
    step = 0.085 * depth
    bottom = floor - step * (len(ROWS) + 0.6)
    ax.set_xscale("log")
    left, right = oracle.lrs[0] / 2.5, oracle.lrs[-1] * 2.5
    ax.set_xlim(left / 2.5, right * 2.5)  # room for choices outside the grid
    top = max(oracle.best, *highs) + 0.12 * depth
    ax.set_ylim(bottom, top)
    if task.near:
        ax.axvspan(min(task.near) / 2**0.5, max(task.near) * 2**0.5, color=GREY, alpha=0.16, linewidth=0, zorder=0)
    upper = Rectangle((left, floor), right - left, top - floor, transform=ax.transData)
    ax.fill_between(oracle.lrs, lows, highs, color=GREY, alpha=0.4, linewidth=0, zorder=1).set_clip_path(upper)
    ax.plot(oracle.lrs, oracle.means, color=INK, linewidth=1.5, zorder=2)[0].set_clip_path(upper)
    ax.plot(oracle.best_lr, oracle.best, "o", color=INK, markersize=4, zorder=3)
    ax.axhline(floor - 0.3 * step, color=GREY, linewidth=0.6)
    for row, (method, colour) in enumerate(ROWS.items()):
        height = floor - step * (row + 0.9)
        _choices(ax, [outcome.lr for outcome in task.outcomes.get(method, ())], height, colour, (left, right))
    ticks = [tick for tick in MaxNLocator(4).tick_values(floor, oracle.best) if floor <= tick <= top]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_title(f"{task.name}, {task.about.updates:,} updates", loc="left", fontsize=8.5)
    ax.tick_params(labelsize=7.5)
    ax.xaxis.set_minor_locator(_none())
    ax.spines[["top", "right"]].set_visible(False)


def _choices(ax: "Axes", lrs: Sequence[float | None], height: float, colour: str, ends: tuple[float, float]) -> None:
    """A tick for each; at the edges the number of choices outside of them, and of missing answers."""
    inside = [lr for lr in lrs if lr is not None and ends[0] <= lr <= ends[1]]
    ax.plot(inside, [height] * len(inside), "|", color=colour, markersize=5.5, markeredgewidth=1.3, zorder=4)
    beyond = {
        ("<", 0.02, 0.045, "left"): sum(lr is not None and lr < ends[0] for lr in lrs),
        ("x", 0.08, 0.105, "left"): sum(lr is None for lr in lrs),
        (">", 0.98, 0.955, "right"): sum(lr is not None and lr > ends[1] for lr in lrs),
    }
    across = ax.get_yaxis_transform()
    for (marker, x, beside, side), count in beyond.items():
        if count:
            ax.plot(x, height, marker, color=colour, markersize=4, markeredgewidth=1.2, transform=across, zorder=4)
        if count > 1:
            ax.text(beside, height, f"{count}", color=colour, fontsize=6.5, ha=side, va="center_baseline", transform=across)


def _legend(ax: "Axes") -> None:
    """The legend of all axes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    signs = [
        Line2D([], [], color=INK, linewidth=1.5, marker="o", markersize=4, label="oracle: mean over seeds, best"),
        Patch(color=GREY, alpha=0.4, linewidth=0, label="range over seeds"),
        Patch(color=GREY, alpha=0.16, linewidth=0, label=f"within {NEAR:g} point of the best"),
        *(
            Line2D([], [], color=colour, linewidth=0, marker="|", markersize=8, markeredgewidth=1.8, label=name)
            for name, colour in ROWS.items()
        ),
        Line2D([], [], color=INK, linewidth=0, marker=">", markersize=4, label="choices outside the axis"),
        Line2D([], [], color=INK, linewidth=0, marker="x", markersize=4, label="no answer"),
    ]
    ax.legend(handles=signs, loc="upper left", frameon=False, fontsize=7.8, borderaxespad=0, labelspacing=0.28)


def _styled(ax: "Axes") -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)


def _none() -> "NullLocator":
    """No minor ticks."""
    from matplotlib.ticker import NullLocator

    return NullLocator()


PICTURES: dict[str, Callable[[Results], "Figure"]] = {"report": report, "cost": cost, "strips": strips, "curves": curves}


def named(results: Results) -> list[str]:
    """Names of the figures for which there are records."""
    compared = results.compared
    shown = ["report"] if compared.half("report").finished else []
    shown += ["cost", "strips"] if compared.finished else []
    return [*shown, "curves"] if any(task.oracle.lrs for task in results.tasks) else shown


def draw(results: Results, folder: Path) -> list[Path]:
    """Write the figures, each with its origin; remove those without records."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, make in PICTURES.items():
        path = folder / f"{name}.png"
        if name not in named(results):
            path.unlink(missing_ok=True)
        elif drawn_from(path) != origin(results):
            buffer = io.BytesIO()
            make(results).savefig(buffer, format="png", metadata={"Source": origin(results), "Software": None})
            records.write_atomically(path, buffer.getvalue())
            written.append(path)
    return written


def origin(results: Results) -> str:
    """A hash of the data and of the code of the figures."""
    return f"{results.digest}+{digest([Path(__file__)])}"


def drawn_from(path: Path) -> str | None:
    """The origin stored in a figure; None if there is no figure."""
    from PIL import Image

    if not path.is_file():
        return None
    with Image.open(path) as image:
        return str(image.info.get("Source"))
