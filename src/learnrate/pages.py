"""Pages: a range test as one HTML file with hover and zoom, drawn with plotly, that asks the network for nothing."""

from __future__ import annotations

import itertools
import math
import os
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate import records
from learnrate.errors import MissingExtraError
from learnrate.figures import BLUE, GREEN, GREY, ORANGE
from learnrate.finder.figure import loss_range

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import TypeIs

    from learnrate.finder import Bounds, Curve, NoAnswer

INK, QUIET, RULE = "#1f2328", "#656d76", "#e6e8eb"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
# Okabe and Ito's further colours, for metrics: none of them says base_lr, lr or loss already.
METRIC_COLORS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000")
ROW = 19
"""Height in pixels of a row of labels above the picture."""

# The policy lets the browser itself hold what the page promises; what plotly saves as PNG passes through data: and blob:.
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light">
<link rel="icon" href="data:,">
<title>LR range test</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1>LR range test</h1>
{lead}
</header>
<figure aria-label="Loss against the learning rate; its numbers stand in the text below">
<div class="picture">{picture}</div>
<figcaption>{caption}</figcaption>
</figure>
{answer}
{notes}
</main>
</body>
</html>
"""

STYLE = f"""
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: #fff; color: {INK}; font: 16px/1.5 {FONT}; -webkit-text-size-adjust: 100%; }}
main {{ max-width: 1120px; margin: 0 auto; padding: 36px 32px 48px; }}
h1 {{ margin: 0; font-size: 28px; line-height: 1.25; font-weight: 650; letter-spacing: -0.015em; }}
h2 {{ margin: 32px 0 8px; font-size: 17px; font-weight: 650; }}
p {{ margin: 0; }}
.lead {{ margin-top: 6px; font-size: 18px; }}
.lead b {{ font-weight: 650; white-space: nowrap; }}
.facts, figcaption, .rule {{ color: {QUIET}; font-size: 14px; }}
.green {{ color: {GREEN}; }}
.orange {{ color: {ORANGE}; }}
figure {{ margin: 12px 0 28px; }}
.picture {{ height: clamp(400px, 62vh, 620px); }}
figcaption {{ margin-top: 2px; }}
table {{ width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ caption-side: bottom; text-align: left; padding-top: 8px; }}
th, td {{ padding: 9px 24px 9px 0; text-align: left; vertical-align: baseline; border-top: 1px solid {RULE}; }}
thead th {{ border: 0; padding-bottom: 5px; color: {QUIET}; font-size: 13px; font-weight: 400; }}
tbody th {{ font-weight: 650; white-space: nowrap; }}
td.number {{ font-weight: 650; white-space: nowrap; }}
td.reason {{ width: 100%; padding-right: 0; color: {QUIET}; }}
.no-answer {{ padding: 14px 18px; border-left: 4px solid {ORANGE}; background: #fdf5f0; overflow-wrap: anywhere; }}
.no-answer h2 {{ margin-top: 0; }}
#reason::first-letter {{ text-transform: uppercase; }}
ul {{ margin: 0; padding-left: 20px; color: {QUIET}; overflow-wrap: anywhere; }}
li {{ white-space: pre-line; }}
@media (max-width: 640px) {{
  main {{ padding: 24px 16px 36px; }}
  h1 {{ font-size: 24px; }}
  .lead {{ font-size: 16px; }}
  .picture {{ height: 500px; }}
  thead {{ display: none; }}
  tbody tr {{ display: grid; grid-template-columns: 1fr auto; border-top: 1px solid {RULE}; padding: 9px 0; }}
  tbody th, td {{ border: 0; padding: 0; }}
  td.reason {{ grid-column: 1 / 3; font-size: 15px; }}
}}
@media print {{ main {{ max-width: none; padding: 0; }} .hint {{ display: none; }} }}
"""

CAPTION = (
    '<span class="hint">Drag to zoom, double-click to go back; once more shows what the picture cuts off. '
    "Click the legend to show or hide.</span>"
)

CONFIG = {
    "displaylogo": False,
    "showTips": False,
    "responsive": True,
    # Named one by one, for plotly adds buttons of its own, one of which offers to upload the picture.
    "modeBarButtons": [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
    "toImageButtonOptions": {"filename": "range-test", "scale": 3},
}


# plotly draws a second axis for hidden metrics too, with numbers out of nowhere.
SHOW_METRIC_AXIS = """
const picture = document.getElementById("{plot_id}");
picture.on("plotly_restyle", () => Plotly.relayout(
  picture, "yaxis2.visible", picture.data.some((trace) => trace.yaxis === "y2" && trace.visible === true)));
"""


def write_curve(curve: Curve, bounds: Bounds | NoAnswer, path: str | os.PathLike[str]) -> None:
    """Write a range test as one HTML file: the picture, the bounds with their reasons, the notes.

    Raises:
        MissingExtraError: if plotly is not installed.
        OutputError: if the file cannot be written.
    """
    try:
        from plotly import io
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pages need plotly, which is not installed: pip install 'learnrate[pages]'", name="plotly"
        ) from error
    picture = io.to_html(
        _figure(curve, bounds),
        config=CONFIG,
        full_html=False,
        include_plotlyjs=True,
        post_script=SHOW_METRIC_AXIS if curve.metrics else None,
        div_id="picture",
    )
    page = PAGE.format(
        style=STYLE, lead=_lead(curve, bounds), picture=picture, caption=CAPTION, answer=_answer(bounds), notes=_notes(curve)
    )
    # A note may hold half of a surrogate pair, from a file name say, which UTF-8 does not.
    records.write_atomically(Path(path), page.encode("utf-8", "xmlcharrefreplace"))


def _found(bounds: Bounds | NoAnswer) -> TypeIs[Bounds]:
    """Whether there are bounds. `bool` says so as well, but not to a type checker; the classes stand above this floor."""
    return bool(bounds)


def _figure(curve: Curve, bounds: Bounds | NoAnswer) -> dict[str, Any]:
    """The picture as plotly's JSON, which plotly checks: its classes would say the same in more words and have no types."""
    traces = [*_sweeps(curve), *_losses(curve), *_metrics(curve)]
    shapes, labels = _marks(curve, bounds) if _found(bounds) else ([], [])
    above = max((label["yshift"] + ROW for label in labels), default=0)
    grid = {"gridcolor": RULE, "zeroline": False, "linecolor": "#b6bcc3", "ticks": "outside", "tickcolor": "#b6bcc3"}
    layout = {
        "template": "none",
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "#fff",
        "plot_bgcolor": "#fff",
        "margin": {"l": 56, "r": 18, "t": 34 + above, "b": 60},
        "hovermode": "x",
        "hoverdistance": -1,  # from anywhere in the picture
        "hoverlabel": {"bgcolor": "#fff", "bordercolor": "#b6bcc3", "font": {"family": FONT, "color": INK, "size": 13}},
        "dragmode": "zoom",
        # Hung from the axis, a legend makes the room for its rows itself, one on a screen and three on a telephone.
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.18, "yanchor": "top", "font": {"size": 12}},
        "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#b6bcc3", "activecolor": QUIET},
        "xaxis": {
            **grid,
            "type": "log",
            "range": list(_decades(curve)) if len(curve) else None,
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
        },
        "yaxis": {**grid, "range": loss_range(curve), "title": {"text": "loss", "standoff": 8}},
        "shapes": shapes,
        "annotations": labels,
    }
    if curve.metrics:
        second = {"overlaying": "y", "side": "right", "visible": False, "showgrid": False}
        # By default, ticks of an overlaying axis stand beside those of the first, at odd numbers.
        layout["yaxis2"] = {**grid, **second, "tickmode": "auto", "automargin": True}
    return {"data": traces, "layout": layout}


def _decades(curve: Curve) -> tuple[float, float]:
    """The ends of the LR axis, as powers of ten."""
    low, high = math.log10(curve.lrs[0]), math.log10(curve.lrs[-1])
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _trace(name: str, lrs: np.ndarray, values: np.ndarray, **look: Any) -> dict[str, Any]:
    shown = {"name": name, "x": _numbers(lrs), "y": _numbers(values)}
    return {"type": "scatter", "mode": "lines", "hoverinfo": "skip", **shown, **look}


def _sweeps(curve: Curve) -> Iterable[dict[str, Any]]:
    """What a merged curve is made of: the band between its sweeps, and each sweep as a thin line."""
    if not curve.sweeps:
        return
    low, high = curve.band()
    known = np.isfinite(low) & np.isfinite(high)
    lrs, low, high = curve.lrs[known], low[known], high[known]
    around = np.concatenate([lrs, lrs[::-1]]), np.concatenate([low, high[::-1]])
    yield _trace("range of the sweeps", *around, line={"width": 0}, fill="toself", fillcolor="rgba(0, 114, 178, 0.13)")
    # One trace with gaps: plotly gives a group of traces a row of its own in the legend.
    gap = [np.nan]
    sweeps = curve.sweeps
    joined = (
        np.concatenate([part for sweep in sweeps for part in (sweep.lrs, gap)]),
        np.concatenate([part for sweep in sweeps for part in (sweep.smoothed(), gap)]),
    )
    yield _trace(f"{len(sweeps)} sweeps", *joined, line={"width": 1, "color": "rgba(0, 114, 178, 0.45)"})


def _losses(curve: Curve) -> Iterable[dict[str, Any]]:
    smoothed = curve.smoothed() if len(curve) else curve.losses
    words = [
        f"update {update}, LR {lr:.3g},<br>loss {loss:.4g}, smoothed {line:.4g}"  # in two lines, for a telephone
        for update, lr, loss, line in zip(curve.updates, curve.lrs, curve.losses, smoothed, strict=True)
    ]
    # The line's label says both, wherever the pointer is, so that the dots keep silent.
    name = "mean loss" if curve.sweeps else "loss"
    dots = {"size": 5, "color": GREY, "opacity": 0.65}
    yield _trace(name, curve.lrs, curve.losses, mode="markers", marker=dots)
    yield _trace("smoothed", curve.lrs, smoothed, line={"width": 3, "color": BLUE}, text=words, hoverinfo="text")


def _metrics(curve: Curve) -> Iterable[dict[str, Any]]:
    for (name, values), color in zip(curve.metrics.items(), itertools.cycle(METRIC_COLORS), strict=False):
        shown = escape(str(name))
        words = [f"{shown} {value:.4g}" for value in values]
        # A metric that is not measured at every update would be single points between gaps, which a line does not show.
        look = {"yaxis": "y2", "visible": "legendonly", "connectgaps": True, "line": {"width": 1.8, "color": color}}
        yield _trace(shown, curve.lrs, values, **look, text=words, hoverinfo="text")


def _marks(curve: Curve, bounds: Bounds) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Lines, bands and labels of the bounds.

    base_lr's label ends at its line and max_lr's begins there, so that the two never meet; lr's stands a row above, and its
    line runs up between them. Only where a label would leave the picture does it stand on the other side, a row higher.
    """
    low, high = _decades(curve)

    def place(lr: float) -> float:
        return (math.log10(lr) - low) / (high - low)

    rows = {
        "base_lr": (0, "right") if place(bounds.base_lr) > 0.2 else (2, "left"),
        "lr": (1, "left" if place(bounds.lr) < 0.15 else "right" if place(bounds.lr) > 0.85 else "center"),
        "max_lr": (0, "left") if place(bounds.max_lr) < 0.8 else (2, "right"),
    }
    shapes: list[dict[str, Any]] = [
        _band((bounds.base_lr, bounds.max_lr), "base_lr to max_lr", GREEN, 0.09),
        _band(bounds.interval, "90 % interval of lr", ORANGE, 0.16),
    ]
    labels = []
    for name, color in (("base_lr", GREEN), ("max_lr", GREEN), ("lr", ORANGE)):
        lr = getattr(bounds, name)
        row, side = rows[name]
        line = {"color": color, "width": 1.6, "dash": "solid" if name == "lr" else "dash"}
        on_paper = {"type": "line", "x0": lr, "x1": lr, "yref": "paper", "layer": "above"}
        shapes.append({**on_paper, "y0": 0, "y1": 1, "line": line})
        # Pixels above the upper edge, however high the picture is.
        up = {"ysizemode": "pixel", "yanchor": 1, "y0": 0, "y1": ROW * row + (2 if side == "center" else ROW)}
        shapes.append({**on_paper, **up, "line": {**line, "dash": "solid"}})
        labels.append(
            {
                "text": f"<b>{name} {lr:.2g}</b>",
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
        )
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


def _numbers(values: Iterable[float]) -> list[float | None]:
    """Numbers as JSON has them: what is not finite is a gap."""
    return [float(value) if math.isfinite(value) else None for value in values]


def _lead(curve: Curve, bounds: Bounds | NoAnswer) -> str:
    if _found(bounds):
        lead = (
            f'Cycle between <b class="green">{bounds.base_lr:.2g}</b> and <b class="green">{bounds.max_lr:.2g}</b>, '
            f'or train at <b class="orange">{bounds.lr:.2g}</b>.'
        )
    else:
        lead = "No answer: the curve does not carry bounds."
    sweeps = len(curve.sweeps)
    span = f", LR {curve.lrs[0]:.2g} to {curve.lrs[-1]:.2g}" if len(curve) else ""
    facts = f"{len(curve)} updates{span}; " + (f"the mean of {sweeps} sweeps; " if sweeps else "")
    facts += "all LRs were tried" if curve.ended == "swept" else f"ended early: {curve.ended}"
    return f'<p class="lead">{lead}</p>\n<p class="facts">{facts}.</p>'


def _answer(bounds: Bounds | NoAnswer) -> str:
    rule = f"Read by the rule <i>{escape(bounds.rule)}</i>"
    if not _found(bounds):
        return (
            '<section class="no-answer" id="no-answer">\n<h2>No answer</h2>\n'
            f'<p id="reason">{escape(bounds.reason)}</p>\n<p id="remedy">{escape(bounds.remedy)}</p>\n'
            f'<p class="rule">{rule}.</p>\n</section>'
        )
    low, high = bounds.interval
    rows = [
        _row(name, f"{value:.2g}", f'data-value="{value!r}"', reason, color)
        for name, value, reason, color in (
            ("base_lr", float(bounds.base_lr), bounds.reasons.base_lr, "green"),
            ("lr", float(bounds.lr), bounds.reasons.lr, "orange"),
            ("max_lr", float(bounds.max_lr), bounds.reasons.max_lr, "green"),
        )
    ]
    ends = f'data-low="{float(low)!r}" data-high="{float(high)!r}"'
    rows.append(_row("interval", f"{low:.2g} to {high:.2g}", ends, bounds.reasons.interval, "orange"))
    return (
        f'<table id="bounds">\n<caption class="rule">{rule}; the interval is that of lr.</caption>\n'
        '<thead><tr><th scope="col">bound</th><th scope="col">LR</th><th scope="col">why</th></tr></thead>\n'
        "<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"
    )


def _row(name: str, shown: str, data: str, reason: str, color: str) -> str:
    return (
        f'<tr><th scope="row" class="{color}">{name}</th><td class="number" id="{name}" {data}>{shown}</td>'
        f'<td class="reason">{escape(reason)}</td></tr>'
    )


def _notes(curve: Curve) -> str:
    if not curve.notes:
        return ""
    return '<h2>Notes</h2>\n<ul id="notes">\n' + "\n".join(f"<li>{escape(note)}</li>" for note in curve.notes) + "\n</ul>"
