"""A curve as HTML: a page with an interactive figure, and what a notebook shows."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate import figures, html
from learnrate.errors import MissingExtraError
from learnrate.figures import BLUE, GREEN, GREY, ORANGE
from learnrate.finder import summary
from learnrate.finder.bounds import Bounds, NoAnswer
from learnrate.finder.figure import draw_curve, loss_range

if TYPE_CHECKING:
    from learnrate.finder.curve import Curve
    from learnrate.finder.smoothing import Floats

# Further colours of Okabe and Ito's palette, for metrics: the bounds and the loss have the others.
METRIC_COLORS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000")
ROW = 19
"""Height of a row of labels above the figure, in pixels."""

# plotly draws the second axis, with arbitrary numbers, even while all metrics are hidden.
SHOW_METRIC_AXIS = """
const picture = document.getElementById("{plot_id}");
picture.on("plotly_restyle", () => Plotly.relayout(
  picture, "yaxis2.visible", picture.data.some((trace) => trace.yaxis === "y2" && trace.visible === true)));
"""


def write_curve(curve: Curve, bounds: Bounds | NoAnswer, path: str | os.PathLike[str]) -> None:
    """Write a range test as one HTML file: the figure, the bounds with their reasons, the notes.

    Raises:
        MissingExtraError: if plotly is not installed.
        OutputError: if the file cannot be written.
    """
    picture = html.interactive(_figure(curve, bounds), "range-test", SHOW_METRIC_AXIS if curve.metrics else None)
    page = html.page(
        "LR range test",
        lead=_lead(curve, bounds),
        picture=picture,
        description="Loss against the learning rate; the numbers are in the text below",
        sections=[
            _no_answer(bounds) if isinstance(bounds, NoAnswer) else _answer(bounds),
            *(["<h2>Notes</h2>", html.bullets(curve.notes, "notes")] if curve.notes else []),
        ],
    )
    html.write(path, page)


def notebook(curve: Curve, bounds: Bounds | NoAnswer) -> str:
    """What a notebook shows for a curve: the facts, the bounds with their reasons, and the figure."""
    try:
        figure, (ax,) = figures.new_figure(7, 4)
        draw_curve(curve, bounds, ax)
        picture = figures.svg(figure)
    except MissingExtraError as error:
        picture = f"<p>{escape(str(error))}</p>"
    sentences = [bounds.reason, bounds.remedy] if isinstance(bounds, NoAnswer) else list(bounds.reasons)
    heading = "No answer" if isinstance(bounds, NoAnswer) else "Bounds"
    heading += f" (rule: {bounds.rule})"
    return html.notebook(summary.title(curve), summary.facts(curve), {heading: sentences}, picture)


def _figure(curve: Curve, bounds: Bounds | NoAnswer) -> dict[str, Any]:
    """The figure as plotly's JSON."""
    shapes, labels = ([], []) if isinstance(bounds, NoAnswer) else _marks(curve, bounds)
    above = max((label["yshift"] + ROW for label in labels), default=0)
    lr_axis = {
        **html.AXIS,
        "type": "log",
        "range": list(_decades(curve)) if len(curve.above_zero()) else None,
        "title": {"text": "learning rate", "standoff": 8},
        "exponentformat": "power",
        "tickangle": 0,
        "tickfont": {"size": 11},  # plotly enlarges powers by a quarter
        "showspikes": True,
        "spikemode": "across",
        "spikesnap": "hovered data",
        "spikethickness": 1,
        "spikedash": "dot",
        "spikecolor": GREY,
    }
    layout = {
        **html.LAYOUT,
        "margin": {"l": 56, "r": 18, "t": 34 + above, "b": 60},
        "xaxis": lr_axis,
        "yaxis": {**html.AXIS, "range": loss_range(curve), "title": {"text": "loss", "standoff": 8}},
        "shapes": shapes,
        "annotations": labels,
    }
    if curve.metrics:
        second = {"overlaying": "y", "side": "right", "visible": False, "showgrid": False}
        # By default, the ticks of an overlaying axis are aligned with those of the first, at uneven numbers.
        layout["yaxis2"] = {**html.AXIS, **second, "tickmode": "auto", "automargin": True}
    return {"data": [*_sweeps(curve), *_losses(curve), *_metrics(curve)], "layout": layout}


def _decades(curve: Curve) -> tuple[float, float]:
    """The ends of the LR axis, as powers of ten."""
    lrs = curve.above_zero().lrs
    low, high = math.log10(lrs[0]), math.log10(lrs[-1])
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _trace(name: str, lrs: Floats, values: Floats, **options: Any) -> dict[str, Any]:
    data = {"name": name, "x": html.numbers(lrs), "y": html.numbers(values)}
    return {"type": "scatter", "mode": "lines", "hoverinfo": "skip", **data, **options}


def _share(lines: int) -> int:
    """Most points of one of many lines, which together keep the page small."""
    return max(200, min(figures.POINTS, 4 * figures.POINTS // lines))


def _sweeps(curve: Curve) -> Iterator[dict[str, Any]]:
    """Of a merged curve: the band between its sweeps, and each sweep as a thin line."""
    if not curve.sweeps:
        return
    lines = [sweep.smoothed() for sweep in curve.sweeps]
    low, high = np.min(lines, axis=0), np.max(lines, axis=0)
    some = figures.thinned(curve.losses)
    some = some[np.isfinite(low[some]) & np.isfinite(high[some])]
    lrs, low, high = curve.lrs[some], low[some], high[some]
    outline = np.concatenate([lrs, lrs[::-1]]), np.concatenate([low, high[::-1]])
    yield _trace("range of the sweeps", *outline, line={"width": 0}, fill="toself", fillcolor="rgba(0, 114, 178, 0.13)")
    # One trace with gaps, because plotly would give several traces a row each in the legend.
    gap = [np.nan]
    parts = [figures.thinned(line, _share(len(lines))) for line in lines]
    lrs = np.concatenate([values for part in parts for values in (curve.lrs[part], gap)])
    losses = np.concatenate([values for part, line in zip(parts, lines, strict=True) for values in (line[part], gap)])
    yield _trace(f"{len(curve.sweeps)} sweeps", lrs, losses, line={"width": 1, "color": "rgba(0, 114, 178, 0.45)"})


def _losses(curve: Curve) -> Iterator[dict[str, Any]]:
    some = figures.thinned(curve.losses)
    lrs, losses, smoothed = curve.lrs[some], curve.losses[some], curve.smoothed()[some]
    labels = [
        f"update {update}, LR {lr:.3g},<br>loss {loss:.4g}, smoothed {mean:.4g}"  # two lines, to fit a phone
        for update, lr, loss, mean in zip(curve.updates[some], lrs, losses, smoothed, strict=True)
    ]
    # The label of the line gives both numbers wherever the pointer is, so the dots have no label.
    dots = {"size": 5, "color": GREY, "opacity": 0.65}
    yield _trace("mean loss" if curve.sweeps else "loss", lrs, losses, mode="markers", marker=dots)
    yield _trace("smoothed", lrs, smoothed, line={"width": 3, "color": BLUE}, text=labels, hoverinfo="text")


def _metrics(curve: Curve) -> Iterator[dict[str, Any]]:
    for (name, values), color in zip(curve.metrics.items(), itertools.cycle(METRIC_COLORS), strict=False):
        label = escape(str(name))
        some = figures.thinned(values, _share(len(curve.metrics)))
        labels = [f"{label} {value:.4g}" for value in values[some]]
        # A metric that is not measured at every update has gaps around each value, where a line would show nothing.
        look = {"yaxis": "y2", "visible": "legendonly", "connectgaps": True, "line": {"width": 1.8, "color": color}}
        yield _trace(label, curve.lrs[some], values[some], **look, text=labels, hoverinfo="text")


def _marks(curve: Curve, bounds: Bounds) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines, bands and labels of the bounds.

    The label of base_lr ends at its line and that of max_lr begins at its line, so the two never overlap. The label of lr is
    one row higher. A label that would leave the figure is placed on the other side of its line, in the row above those.
    """
    low, high = _decades(curve)

    def position(lr: float) -> float:
        return (math.log10(lr) - low) / (high - low)

    rows = {
        "base_lr": (0, "right") if position(bounds.base_lr) > 0.2 else (2, "left"),
        "lr": (1, "left" if position(bounds.lr) < 0.15 else "right" if position(bounds.lr) > 0.85 else "center"),
        "max_lr": (0, "left") if position(bounds.max_lr) < 0.8 else (2, "right"),
    }
    shapes = [
        _band((bounds.base_lr, bounds.max_lr), "base_lr to max_lr", GREEN, 0.09),
        _band(bounds.interval, "90 % interval of lr", ORANGE, 0.16),
    ]
    labels = []
    for name, color in (("base_lr", GREEN), ("max_lr", GREEN), ("lr", ORANGE)):
        lr = getattr(bounds, name)
        row, side = rows[name]
        shapes += _lines(lr, color, "solid" if name == "lr" else "dash", ROW * row + (2 if side == "center" else ROW))
        labels.append(_label(f"{name} {lr:.2g}", lr, color, row, side))
    return shapes, labels


def _band(ends: tuple[float, float], name: str, color: str, opacity: float) -> dict[str, Any]:
    return {
        "type": "rect",
        "x0": ends[0],
        "x1": ends[1],
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "fillcolor": color,
        "opacity": opacity,
        "line": {"width": 0},
        "layer": "below",
        "name": name,
        "showlegend": True,
    }


def _lines(lr: float, color: str, dash: str, height: int) -> list[dict[str, Any]]:
    """A line through the figure, and its extension of this height in pixels to the label above the figure."""
    line = {"type": "line", "x0": lr, "x1": lr, "yref": "paper", "layer": "above"}
    return [
        {**line, "y0": 0, "y1": 1, "line": {"color": color, "width": 1.6, "dash": dash}},
        {
            **line,
            "ysizemode": "pixel",
            "yanchor": 1,
            "y0": 0,
            "y1": height,
            "line": {"color": color, "width": 1.6, "dash": "solid"},
        },
    ]


def _label(text: str, lr: float, color: str, row: int, side: str) -> dict[str, Any]:
    return {
        "text": f"<b>{text}</b>",
        "x": math.log10(lr),
        "yref": "paper",
        "y": 1,
        "yshift": ROW * row,
        "yanchor": "bottom",
        "xanchor": side,
        "showarrow": False,
        "font": {"color": color, "size": 13},
        "bgcolor": "#fff",
        "borderpad": 1,
    }


def _lead(curve: Curve, bounds: Bounds | NoAnswer) -> str:
    if isinstance(bounds, NoAnswer):
        lead = "No answer: no bounds can be read off this curve."
    else:
        lead = (
            f'Cycle between <b class="green">{bounds.base_lr:.2g}</b> and <b class="green">{bounds.max_lr:.2g}</b>, '
            f'or train at <b class="orange">{bounds.lr:.2g}</b>.'
        )
    mean = f", mean of {len(curve.sweeps)} sweeps" if curve.sweeps else ""
    ended = "all LRs were tried" if curve.ended == "swept" else f"ended early: {curve.ended}"
    return f'<p class="lead">{lead}</p>\n<p class="facts">{summary.title(curve)}{mean}; {ended}.</p>'


def _no_answer(bounds: NoAnswer) -> str:
    return (
        '<section class="alert" id="no-answer">\n<h2>No answer</h2>\n'
        f'<p id="reason" class="sentence">{escape(bounds.reason)}</p>\n<p id="remedy">{escape(bounds.remedy)}</p>\n'
        f'<p class="quiet">Rule: <i>{escape(bounds.rule)}</i>.</p>\n</section>'
    )


def _answer(bounds: Bounds) -> str:
    low, high = bounds.interval
    rows = [
        # The columns before it already give the name and the number.
        _row(name, f"{lr:.2g}", f'data-value="{float(lr)!r}"', reason.removeprefix(f"{name} {lr:.2g}: "), color)
        for name, lr, reason, color in (
            ("base_lr", bounds.base_lr, bounds.reasons.base_lr, "green"),
            ("lr", bounds.lr, bounds.reasons.lr, "orange"),
            ("max_lr", bounds.max_lr, bounds.reasons.max_lr, "green"),
        )
    ]
    ends = f'data-low="{float(low)!r}" data-high="{float(high)!r}"'
    rows.append(_row("interval", f"{low:.2g} to {high:.2g}", ends, bounds.reasons.interval, "orange"))
    return (
        '<table id="bounds">\n'
        f"<caption>Rule: <i>{escape(bounds.rule)}</i>. The interval is the 90 % interval of lr.</caption>\n"
        '<thead><tr><th scope="col">bound</th><th scope="col">LR</th><th scope="col">reason</th></tr></thead>\n'
        "<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"
    )


def _row(name: str, value: str, data: str, reason: str, color: str) -> str:
    return (
        f'<tr><th scope="row" class="{color}">{name}</th><td class="number" id="{name}" {data}>{value}</td>'
        f'<td class="reason sentence">{escape(reason)}</td></tr>'
    )
