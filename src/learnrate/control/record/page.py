"""A record as HTML: a page with an interactive figure, and what a notebook shows."""

import itertools
import os
import textwrap
from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from learnrate import checks, figures, html
from learnrate.amounts import duration, plural
from learnrate.control.events import Event
from learnrate.control.record import summary, view
from learnrate.errors import MissingExtraError
from learnrate.figures import BLUE, GREEN, GREY, ORANGE

if TYPE_CHECKING:
    from learnrate.control.record.record import Record

METRIC_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Further colours of Okabe and Ito's palette."""

MOST_MARKS, MOST_LINES, MOST_ROWS = 1000, 60, 300
"""Events that are marked, that have a line through the figure, and that the table lists: those that change most."""

HOVER = 48
"""Characters of a line of a hover label, to fit a phone."""

# plotly draws the axis of the metrics, with arbitrary numbers, even while all of them are hidden.
SHOW_METRIC_AXIS = """
const picture = document.getElementById("{plot_id}");
picture.on("plotly_restyle", () => Plotly.relayout(
  picture, "yaxis3.visible", picture.data.some((trace) => trace.yaxis === "y3" && trace.visible === true)));
"""


def write_record(record: "Record", path: str | os.PathLike[str]) -> None:
    """Write a record as one HTML file: the figure, the facts, the events with their reasons.

    Raises:
        MissingExtraError: if plotly is not installed.
        OutputError: if the file cannot be written.
    """
    picture = html.interactive(_figure(record), "run", SHOW_METRIC_AXIS if record.metrics else None)
    notes = ["<h2>Notes</h2>", html.bullets(record.notes, "notes")] if record.notes else []
    page = html.page(
        f"Training run {Path(record.path).stem}",
        lead=_lead(record),
        picture=picture,
        description="Learning rate and loss against the update; the events are in the table below",
        sections=[*_events(record), *notes, *_facts(record)],
    )
    html.write(path, page)


def notebook(record: "Record") -> str:
    """What a notebook shows for a record: the facts, the events, the notes, and the figure."""
    try:
        from learnrate.control.record.figure import draw_record

        axes = draw_record(record)
        figure: Any = axes[0].figure
        picture = figures.svg(figure)
        figures.close(figure)
    except MissingExtraError as error:
        picture = f"<p>{escape(str(error))}</p>"
    shown = record.marks[-summary.MOST_EVENTS :]
    sections = {
        "Events" if len(shown) == len(record.marks) else f"The last {len(shown)} of {len(record.marks)} events": [
            summary.sentence(event) for event in shown
        ],
        "Notes": list(record.notes),
    }
    filled = {heading: sentences for heading, sentences in sections.items() if sentences}
    return html.notebook(summary.title(record), summary.facts(record), filled, picture)


def _figure(record: "Record") -> dict[str, Any]:
    end = float(record.updates[-1]) if len(record) else 1.0
    start = float(min(record.updates[0], end - 1)) if len(record) else 0.0
    lrs = {"type": "log"} if view.spans_decades(record.lrs) else {"rangemode": "tozero", "tickformat": "~g"}
    losses = {"type": "log", "dtick": 1} if view.is_wide(record.losses) else {"range": view.limits(record.losses) or [0, 1]}
    layout = {
        **html.LAYOUT,
        "hoverdistance": 20,  # the label of an event only near it
        "margin": {"l": 64, "r": 60 if record.metrics else 16, "t": 16, "b": 48},
        "xaxis": {
            **html.AXIS,
            "anchor": "y2",
            "range": [start, end],
            "title": {"text": "update", "standoff": 6},
            "tickformat": ",",
        },
        "yaxis": {
            **html.AXIS,
            "domain": [0.54, 1],
            **lrs,
            "automargin": True,
            "title": {"text": "learning rate", "standoff": 8},
        },
        "yaxis2": {**html.AXIS, "domain": [0, 0.47], **losses, "automargin": True, "title": {"text": "loss", "standoff": 8}},
        "shapes": [_line(event) for event in view.important(record.marks, MOST_LINES)],
    }
    if record.metrics:
        third = {"overlaying": "y2", "side": "right", "visible": False, "showgrid": False, "tickmode": "auto"}
        layout["yaxis3"] = {**html.AXIS, **third, "automargin": True}
    return {"data": [*_lrs(record), *_losses(record), *_metrics(record), *_marks(record)], "layout": layout}


def _trace(name: str, updates: Any, values: Any, axis: str, **options: Any) -> dict[str, Any]:
    data = {"name": name, "x": [int(update) for update in updates], "y": html.numbers(values), "yaxis": axis}
    return {"type": "scatter", "mode": "lines", "hoverinfo": "skip", **data, **options}


def _lrs(record: "Record") -> Iterator[dict[str, Any]]:
    updates, values = view.planned(record)
    if len(updates):
        yield _trace("LR planned", updates, values, "y", line={"width": 1.6, "color": GREY, "dash": "dash"})
    some = figures.thinned(record.lrs)
    labels = [f"update {n:,}, LR {lr:.4g}" for n, lr in zip(record.updates[some], record.lrs[some], strict=True)]
    mode = "lines" if len(record) > 1 else "markers"
    look = {"mode": mode, "line": {"width": 2.6, "color": BLUE}, "marker": {"color": BLUE}}
    yield _trace("LR used", record.updates[some], record.lrs[some], "y", **look, text=labels, hoverinfo="text")


def _losses(record: "Record") -> Iterator[dict[str, Any]]:
    some = figures.thinned(record.losses)
    updates, losses, norms = record.updates[some], record.losses[some], record.gradient_norms[some]
    labels = [
        f"loss {loss:.4g}" + (f",<br>gradient norm {norm:.4g}" if norm == norm else "")
        for loss, norm in zip(losses, norms, strict=True)
    ]
    middle = view.medians(record.updates, record.losses)
    raw = {"width": 1, "color": "rgba(138, 143, 152, 0.6)"} if len(middle[0]) else {"width": 2.4, "color": BLUE}
    mode = {} if len(record) > 1 else {"mode": "markers", "marker": {"color": BLUE}}
    yield _trace("loss", updates, losses, "y2", line=raw, text=labels, hoverinfo="text", legendgroup="loss", **mode)
    if len(middle[0]):
        yield _trace("loss, median", *middle, "y2", line={"width": 2.6, "color": BLUE}, legendgroup="loss", showlegend=False)
    lost = list(view.lost(record))
    if lost:
        # plotly has no mark at a share of an axis; the highest finite loss is the nearest to one.
        top = np.full(len(lost), view.top(record.losses))
        look = {"mode": "markers", "marker": {"symbol": "triangle-down", "size": 10, "color": ORANGE}}
        yield _trace("not finite", lost, top, "y2", **look, text=["loss not finite"] * len(lost), hoverinfo="text")


def _metrics(record: "Record") -> Iterator[dict[str, Any]]:
    for (name, metric), colour in zip(record.metrics.items(), itertools.cycle(METRIC_COLOURS), strict=False):
        label = escape(name)
        some = figures.thinned(metric.values)
        labels = [f"{label} {value:.4g}" for value in metric.values[some]]
        look = {"mode": "lines+markers", "visible": "legendonly", "line": {"width": 1.8, "color": colour}}
        yield _trace(label, metric.updates[some], metric.values[some], "y3", **look, text=labels, hoverinfo="text")


def _marks(record: "Record") -> Iterator[dict[str, Any]]:
    """The events as dots on the LR, whose labels say who did what, and why."""
    events = view.important(record.marks, MOST_MARKS)
    for name, colour in (("by hand", GREEN), ("by a controller", ORANGE)):
        own = [event for event in events if view.colour(event) == colour]
        if own:
            look = {"mode": "markers", "marker": {"size": 11, "color": colour, "line": {"width": 2, "color": "#fff"}}}
            heights = [view.lr_at(record, event.update) for event in own]
            labels = [_hover(event) for event in own]
            yield _trace(name, [event.update for event in own], heights, "y", **look, text=labels, hoverinfo="text")


def _hover(event: Event) -> str:
    lines = textwrap.wrap(f"{summary.what(event)} by {summary.actor(event)}: {checks.short(event.reason)}", HOVER)
    first, *rest = [escape(line) for line in lines]
    return "<br>".join([f"<b>update {event.update:,}</b>", first, *rest])


def _line(event: Event) -> dict[str, Any]:
    ends = {"x0": event.update, "x1": event.update, "yref": "paper", "y0": 0, "y1": 1, "layer": "above", "opacity": 0.6}
    return {"type": "line", **ends, "line": {"color": view.colour(event), "width": 1.2}}


def _lead(record: "Record") -> str:
    texts = "".join(f"<br>\n<code>{escape(checks.short(text, 300))}</code>" for text in record.original)
    counts = f"{plural(len(record), 'update')}, {plural(len(record.marks), 'event')}"
    if len(record) and record.times[-1] > record.times[0]:
        begin = datetime.fromtimestamp(record.times[0]).isoformat(" ", "minutes")
        counts += f", {begin}, {duration(record.times[-1] - record.times[0])}"
    return f'<p class="facts" style="overflow-wrap: anywhere">{counts}; planned: {texts}</p>'


def _events(record: "Record") -> Iterator[str]:
    if not record.marks:
        yield '<p class="quiet">Nothing was done to the schedule.</p>'
        return
    shown = view.important(record.marks, MOST_ROWS)
    rows = [_row(event) for event in shown]
    caption = "" if len(shown) == len(record.marks) else f"Those {len(shown)} of {len(record.marks):,} that change most."
    yield "<h2>What was done</h2>"
    yield (
        f'<table id="events">\n<caption>{caption}</caption>\n'
        '<thead><tr><th scope="col">update</th><th scope="col">what</th><th scope="col">why, and who</th></tr></thead>\n'
        "<tbody>\n" + "\n".join(rows) + "\n</tbody>\n</table>"
    )


def _row(event: Event) -> str:
    colour = "green" if view.colour(event) == GREEN else "orange"
    return (
        f'<tr><th scope="row">{event.update:,}</th><td class="number {colour}">{escape(summary.what(event))}</td>'
        f'<td class="reason"><span class="sentence">{escape(event.reason)}</span> ({escape(event.who)})</td></tr>'
    )


def _facts(record: "Record") -> Iterator[str]:
    facts = [f"{name}: {value}" for name, value in summary.facts(record)]
    try:
        used = record._schedules(record._functions)
    except ValueError:  # the notes say why
        used = ()
    facts += [f"the LR that was really used: {checks.short(repr(schedule), 2000)}" for schedule in used]
    if facts:
        yield "<h2>In numbers</h2>"
        yield html.bullets(facts)
