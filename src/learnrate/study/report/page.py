"""A comparison as one HTML page, and what a notebook shows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from typing import TYPE_CHECKING

from learnrate import figures, html
from learnrate.errors import MissingExtraError
from learnrate.study.report import summary
from learnrate.study.report.page_parts import STYLE, Picture, arms_table, pictures, provenance, ranking_table, times_section

if TYPE_CHECKING:
    from learnrate.study.comparison import Comparison

MOST_SENTENCES = 6
"""Sentences of differences that are shown at once; the rest can be opened."""

MOST_NOTES = 40
"""Notes that are shown; more are counted."""


def write_comparison(
    comparison: Comparison, path: str | os.PathLike[str], target: float | str | None = None, *, title: str = "Comparison"
) -> None:
    """Write a comparison as one HTML file. Its pictures are inside, drawn by matplotlib: it loads and runs nothing.

    Args:
        comparison: May be incomplete.
        path: The file; an existing one is replaced.
        target: The metric to reach, or the name of an arm; None for no times to a target.
        title: Plain text.

    Raises:
        ArgumentError: if the target is no target.
        MissingExtraError: if matplotlib is not installed.
        OutputError: if the file cannot be written.
    """
    goal = None if target is None else comparison.target(target)
    drawn = {picture.name: picture for picture in pictures(comparison, goal)}
    lead = f'<p class="lead answer">{escape(summary.answer(comparison))}.</p>\n{_facts(comparison)}'
    html.write(path, html.document(title, lead=lead, sections=_sections(comparison, drawn, goal), style=STYLE))


def _facts(comparison: Comparison) -> str:
    facts = "; ".join(f"{name}: {value}" for name, value in summary.facts(comparison))
    return f'<p class="facts">{escape(facts)}</p>'


def _sections(comparison: Comparison, drawn: dict[str, Picture], goal: float | None) -> Iterator[str]:
    yield from _notes(comparison)
    yield "<h2>Ranking</h2>"
    yield ranking_table(comparison, goal)
    yield '<div class="pictures">'
    yield from (_figure(picture) for picture in drawn.values())
    yield "</div>"
    yield from _differences(comparison)
    if goal is not None:
        yield from times_section(comparison, goal)
    yield "<h2>Arms</h2>"
    yield arms_table(comparison)
    yield from provenance(comparison)


def _figure(picture: Picture) -> str:
    svg = html.themed(figures.svg(picture.figure, as_text=True))
    return (
        f'<figure id="{picture.name}" role="group" aria-label="{escape(picture.title)}"><h2>{escape(picture.title)}</h2>'
        f"{svg}<figcaption>{escape(picture.caption)}</figcaption></figure>"
    )


def _notes(comparison: Comparison) -> Iterator[str]:
    notes = summary.notes(comparison)
    if notes:
        shown = [*notes[:MOST_NOTES], *([f"and {len(notes) - MOST_NOTES} more"] if len(notes) > MOST_NOTES else [])]
        yield f'<div class="alert"><h2>What you have to know</h2>{html.bullets(shown, "notes")}</div>'


def _differences(comparison: Comparison) -> Iterator[str]:
    sentences = summary.sentences(comparison)
    if not sentences:
        return
    yield "<h2>Differences in words</h2>"
    yield html.bullets(sentences[:MOST_SENTENCES], "differences-in-words")
    if len(sentences) > MOST_SENTENCES:
        rest = sentences[MOST_SENTENCES:]
        yield f"<details><summary>{len(rest)} more pairs</summary>{html.bullets(rest)}</details>"


def notebook(comparison: Comparison) -> str:
    """What a notebook shows for a comparison: the answer, the facts, the differences, the notes, and the figure."""
    try:
        from learnrate.study.report.figure import draw_comparison

        figure = draw_comparison(comparison)[0].get_figure(root=True)
        assert figure is not None
        picture = figures.svg(figure)
        figures.close(figure)
    except MissingExtraError as error:
        picture = f"<p>{escape(str(error))}</p>"
    sections = {
        "Differences": summary.sentences(comparison)[:MOST_SENTENCES],
        "Notes": summary.notes(comparison)[:MOST_NOTES],
    }
    filled = {heading: sentences for heading, sentences in sections.items() if sentences}
    return html.notebook(summary.answer(comparison), summary.facts(comparison), filled, picture)
