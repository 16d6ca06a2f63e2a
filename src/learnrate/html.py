"""The frame of every HTML output: pages with an interactive figure, and notebook forms, whatever they show."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from learnrate import records
from learnrate.errors import MissingExtraError
from learnrate.figures import BLUE, GREEN, GREY, ORANGE

INK, QUIET, RULE, EDGE = "#1f2328", "#656d76", "#e6e8eb", "#b6bcc3"
"""Colours of the text, of secondary text, of rules between rows, and of axes and buttons."""

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"

# The content security policy makes the browser enforce that nothing is loaded. plotly saves PNGs through data: and blob:.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="{schemes}">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<header>
<h1>{title}</h1>
{lead}
</header>
{content}
</main>
</body>
</html>
"""

_FIGURE = """<figure aria-label="{description}">
<div class="picture">{picture}</div>
<figcaption>{caption}</figcaption>
</figure>
"""

STYLE = f"""
:root {{
  --ink: {INK}; --quiet: {QUIET}; --rule: {RULE}; --edge: {EDGE}; --paper: #fff; --alert: #fdf5f0; --blue: {BLUE};
  --orange: {ORANGE}; --green: {GREEN}; --grey: {GREY}; --pink: #CC79A7; --amber: #E69F00; --sky: #56B4E9;
}}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 {FONT}; -webkit-text-size-adjust: 100%; }}
main {{ max-width: 1120px; margin: 0 auto; padding: 36px 32px 48px; }}
h1 {{ margin: 0; font-size: 28px; line-height: 1.25; font-weight: 650; letter-spacing: -0.015em; }}
h2 {{ margin: 32px 0 8px; font-size: 17px; font-weight: 650; }}
p {{ margin: 0; }}
.lead {{ margin-top: 6px; font-size: 18px; }}
.lead b {{ font-weight: 650; white-space: nowrap; }}
.facts, figcaption, caption, .quiet {{ color: var(--quiet); font-size: 14px; }}
.green {{ color: var(--green); }}
.orange {{ color: var(--orange); }}
.sentence::first-letter {{ text-transform: uppercase; }}
figure {{ margin: 12px 0 28px; }}
.picture {{ height: clamp(400px, 62vh, 620px); }}
figcaption {{ margin-top: 2px; }}
table {{ width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }}
caption {{ caption-side: bottom; text-align: left; padding-top: 8px; }}
th, td {{ padding: 9px 24px 9px 0; text-align: left; vertical-align: baseline; border-top: 1px solid var(--rule); }}
thead th {{ border: 0; padding-bottom: 5px; color: var(--quiet); font-size: 13px; font-weight: 400; }}
tbody th {{ font-weight: 650; white-space: nowrap; }}
td.number {{ font-weight: 650; white-space: nowrap; }}
td.reason {{ width: 100%; padding-right: 0; color: var(--quiet); }}
.alert {{ padding: 14px 18px; border-left: 4px solid var(--orange); background: var(--alert); overflow-wrap: anywhere; }}
.alert h2 {{ margin-top: 0; }}
ul {{ margin: 0; padding-left: 20px; color: var(--quiet); overflow-wrap: anywhere; }}
li {{ white-space: pre-line; }}
@media (max-width: 640px) {{
  main {{ padding: 24px 16px 36px; }}
  h1 {{ font-size: 24px; }}
  .lead {{ font-size: 16px; }}
  .picture {{ height: 500px; }}
  thead {{ display: none; }}
  tbody tr {{ display: grid; grid-template-columns: 1fr auto; border-top: 1px solid var(--rule); padding: 9px 0; }}
  tbody th, td {{ border: 0; padding: 0; }}
  td.reason {{ grid-column: 1 / 3; font-size: 15px; }}
}}
@media print {{ main {{ max-width: none; padding: 0; }} .hint {{ display: none; }} }}
"""

DARK = """
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e6e8eb; --quiet: #a0a7b0; --rule: #30363d; --edge: #57606a; --paper: #15181c; --alert: #2a1d15; --blue: #4da9e4;
    --orange: #ff8e4d; --green: #35c497; --grey: #9aa0a9; --pink: #e09cc4; --amber: #f0b83d; --sky: #8ccdf2;
  }
}
"""
"""Colours of `document` in the dark. A page is printed in the light ones."""

THEME = {
    "#000000": "ink",
    "#ffffff": "paper",
    "#b0b0b0": "edge",
    BLUE: "blue",
    ORANGE: "orange",
    GREEN: "green",
    GREY: "grey",
    "#CC79A7": "pink",
    "#E69F00": "amber",
    "#56B4E9": "sky",
}
"""The colours of figures, and the variables of the style that take their place in a page. The third is that of grids."""

_CAPTION = (
    '<span class="hint">Drag to zoom. Double-click to reset the zoom, and again to show all values. '
    "Click a name in the legend to show or hide it.</span>"
)

AXIS = {"gridcolor": RULE, "zeroline": False, "linecolor": EDGE, "ticks": "outside", "tickcolor": EDGE}
"""Options of a plotly axis."""

LAYOUT = {
    "template": "none",
    "font": {"family": FONT, "size": 13, "color": INK},
    "paper_bgcolor": "#fff",
    "plot_bgcolor": "#fff",
    "hovermode": "x",
    "hoverdistance": -1,  # from anywhere in the figure
    "hoverlabel": {"bgcolor": "#fff", "bordercolor": EDGE, "font": {"family": FONT, "color": INK, "size": 13}},
    "dragmode": "zoom",
    # Anchored at its top, the legend takes the height that its rows need: one row on a screen, three on a phone.
    "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": -0.18, "yanchor": "top", "font": {"size": 12}},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": EDGE, "activecolor": QUIET},
}
"""Options of a plotly figure."""


def page(title: str, *, lead: str, picture: str, description: str, sections: Iterable[str]) -> str:
    """A whole HTML page.

    Args:
        title: Plain text.
        lead: HTML below the title.
        picture: HTML, from `interactive`.
        description: Plain text that screen readers read instead of the picture.
        sections: HTML below the picture.
    """
    figure = _FIGURE.format(picture=picture, description=escape(description), caption=_CAPTION)
    content = figure + "\n".join(sections)
    scripts = "script-src 'unsafe-inline'; "
    return _PAGE.format(title=escape(title), style=STYLE, lead=lead, content=content, schemes="light", scripts=scripts)


def document(title: str, *, lead: str, sections: Iterable[str], style: str = "") -> str:
    """A whole HTML page without scripts, in the light or dark colours of the reader's system.

    Args:
        title: Plain text.
        lead: HTML below the title.
        sections: HTML of the content; pictures from `themed`.
        style: CSS after that of every page.
    """
    content = "\n".join(sections)
    style = STYLE + DARK + style
    return _PAGE.format(title=escape(title), style=style, lead=lead, content=content, schemes="light dark", scripts="")


def themed(svg: str) -> str:
    """A picture of `figures.svg(figure, as_text=True)` with the colours and the font of a page of `document`."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r' (width|height)="[0-9.]+pt"', "", svg)
    # Several pictures of one page would have the same ids; those that are referred to are random.
    svg = re.sub(r' id="([^"]*)"', lambda match: match[0] if f"#{match[1]}" in svg else "", svg)
    for colour, variable in THEME.items():
        svg = re.sub(f"{colour}(?![0-9a-f])", f"var(--{variable})", svg, flags=re.IGNORECASE)
    return svg


def write(path: str | os.PathLike[str], text: str) -> None:
    """Write a page. A failed write leaves no partial file.

    Raises:
        OutputError: if the file cannot be written.
    """
    # A text may hold half of a surrogate pair, from a file name for example, which UTF-8 cannot encode.
    records.write_atomically(path, text.encode("utf-8", "xmlcharrefreplace"))


def interactive(figure: Mapping[str, Any], file_name: str, script: str | None = None) -> str:
    """A plotly figure as HTML, together with plotly itself: nothing is loaded when the page is opened.

    Args:
        figure: Traces and layout as plotly's JSON. plotly validates them, and its classes would add no types.
        file_name: Name of the PNG that a reader saves, without its suffix.
        script: JavaScript to run after the figure is drawn; "{plot_id}" in it is replaced by the id of the figure.

    Raises:
        MissingExtraError: if plotly is not installed.
    """
    try:
        from plotly import io
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "pages need plotly, which is not installed: pip install 'learnrate[pages]'", name="plotly"
        ) from error
    config = {
        "displaylogo": False,
        "showTips": False,
        "responsive": True,
        # Listed one by one, because plotly's default buttons include one that offers to upload the figure.
        "modeBarButtons": [["toImage"], ["zoom2d", "pan2d"], ["zoomIn2d", "zoomOut2d", "resetScale2d"]],
        "toImageButtonOptions": {"filename": file_name, "scale": 3},
    }
    text: str = io.to_html(
        figure, config=config, full_html=False, include_plotlyjs=True, post_script=script, div_id="picture"
    )
    return text


def numbers(values: Iterable[float]) -> list[float | None]:
    """Numbers for plotly's JSON. Values that are not finite become gaps."""
    return [float(value) if math.isfinite(value) else None for value in values]


def bullets(items: Iterable[str], identity: str = "") -> str:
    """A list of plain texts as HTML."""
    start = f'<ul id="{identity}">' if identity else "<ul>"
    return start + "\n" + "\n".join(f"<li>{escape(item)}</li>" for item in items) + "\n</ul>"


def notebook(
    title: str,
    facts: Iterable[tuple[str, str]] = (),
    sections: Mapping[str, Sequence[str]] | None = None,
    picture: str = "",
) -> str:
    """What a notebook shows for an object. It takes fonts and colours from the notebook, whose theme may be dark.

    Args:
        title: Plain text.
        facts: Names and values, in plain text.
        sections: Sentences by heading, in plain text; an empty heading is left out.
        picture: HTML, from `figures.svg` for example.
    """
    left = 'style="text-align: left; padding-right: 1em"'
    rows = [f"<tr><th {left}>{escape(name)}</th><td {left}>{escape(value)}</td></tr>" for name, value in facts]
    parts = [f"<p><strong>{escape(title)}</strong></p>"]
    parts += ["<table>", *rows, "</table>"] if rows else []
    for heading, sentences in (sections or {}).items():
        parts += [f"<p><strong>{escape(heading)}</strong></p>"] if heading else []
        parts.append(bullets(sentences))
    return "\n".join(["<div>", *parts, *([picture] if picture else []), "</div>"])
