"""Tables and pictures of the page of a comparison."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from learnrate import checks, figures, html
from learnrate.errors import ArgumentError
from learnrate.study.report import figure, summary
from learnrate.study.report.figure import curves, look
from learnrate.study.report.figure.schedules import lrs
from learnrate.study.report.figure.together import LINE, legend, legend_rows
from learnrate.study.report.ranking import ranked

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from learnrate.study.comparison import Comparison

WIDTH, HEIGHT = 5.6, 3.5
"""Of a picture in inches: readable both in half of a window and on a phone, which scales it down by a tenth."""

ROW = 0.36
"""Height of an arm in a picture with a row for each, in inches."""

LEGEND = 60
"""Characters of a row of a legend."""

KEPT, NO_BREAK = r"(?<=[±<>]) | (?=to )| (?=of )|(?<=of) ", "\u00a0"
"""The spaces of a cell at which a narrow window starts no line: "-0.01 to +0.02" is broken before its second number."""

LONGEST_SCHEDULE = 600
"""Characters of a schedule that are shown."""

STYLE = """
.answer::first-letter { text-transform: none; }
.pictures { display: grid; grid-template-columns: 1fr 1fr; gap: 4px 40px; margin-top: 8px; }
.pictures figure { margin: 12px 0; min-width: 0; break-inside: avoid; }
.pictures h2 { margin: 12px 0 10px; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { fill: var(--ink); }
figcaption { margin-top: 8px; }
.wide { overflow-x: auto; }
.wide th, .wide td { white-space: nowrap; padding-right: 20px; }
.wide thead th { white-space: normal; vertical-align: bottom; }
.wide th:last-child, .wide td:last-child { padding-right: 0; }
.wide td.text { white-space: normal; min-width: 16em; overflow-wrap: anywhere; }
.wide th.name { white-space: normal; min-width: 15em; overflow-wrap: anywhere; }
.alert { margin-top: 20px; }
.arm { display: flex; align-items: baseline; }
td.figures, th.figures { text-align: right; }
.swatch { flex: none; width: 22px; height: 10px; margin-right: 8px; }
.facts, .wide + p { margin-top: 8px; }
code { font-size: 13px; overflow-wrap: anywhere; }
details { margin-top: 8px; color: var(--quiet); }
summary { cursor: pointer; margin-bottom: 6px; }
@media (max-width: 1200px) {
  .wide th, .wide td { padding-right: 14px; font-size: 14px; }
  .wide thead th { font-size: 12px; }
  .wide td.figures { white-space: normal; }
  .wide th.name { min-width: 14em; }
}
@media (max-width: 820px) { .pictures { grid-template-columns: 1fr; } }
@media (max-width: 640px) {
  .wide th.name { min-width: 11em; }
  thead { display: table-header-group; }
  tbody tr { display: table-row; }
  tbody th, td { border-top: 1px solid var(--rule); padding: 7px 16px 7px 0; }
}
@media print {
  .pictures { gap: 0 24px; } .wide { overflow: visible; } body { font-size: 12px; }
  th, td { padding: 5px 12px 5px 0; }
}
"""


@dataclass(frozen=True)
class Picture:
    """A picture of the page, and of a folder of pictures.

    Attributes:
        name: What its file is called, without suffix.
        title: Its heading.
        caption: What lines and marks mean.
        figure: The figure.
    """

    name: str
    title: str
    caption: str
    figure: Figure


def pictures(comparison: Comparison, goal: float | None) -> Iterator[Picture]:
    """The pictures that a comparison has.

    Args:
        comparison: The comparison.
        goal: The target as a number; None for no times to a target.

    Raises:
        MissingExtraError: if matplotlib is not installed.
    """
    rows = ranked(comparison)
    if not rows:
        return
    tall = 1.1 + ROW * len(rows)
    canvas, (ax,) = figures.new_figure(WIDTH, HEIGHT - LINE + LINE * legend_rows(comparison, LEGEND))
    legend(figure.draw_curves(comparison, ax), LEGEND)
    bands = curves.CAPTION if len(rows) <= curves.MOST_BANDS else "Lines are means over the seeds."
    yield Picture("curves", "Learning curves", bands, canvas)
    if len(rows) > 1:
        canvas, (ax,) = figures.new_figure(WIDTH, max(HEIGHT if len(rows) < 7 else 0, tall))
        figure.draw_differences(comparison, ax)
        caption = "Differences with the same seeds, with their 95 % intervals. Filled points are sure, open ones are not."
        yield Picture("differences", f"Difference to {rows[0].arm.name}", caption, canvas)
    canvas, (ax,) = figures.new_figure(WIDTH, max(HEIGHT if len(rows) < 7 else 0, tall))
    figure.draw_seeds(comparison, ax)
    caption = "A point for each training; bars are means, and thin lines join the trainings of one seed."
    scores = [score for row in rows for score in row.arm.scores]
    if len(look.near(scores)) < len(scores):
        caption += " A triangle is a training that has diverged, or whose score lies far outside."
    yield Picture("seeds", "Score of each seed", caption, canvas)
    if goal is not None and _has_times(comparison, goal):
        canvas, (ax,) = figures.new_figure(WIDTH, HEIGHT)
        figure.draw_times(comparison, goal, ax)
        caption = "A vertical mark is a training that ended without having reached the target."
        yield Picture("times", f"Time to a {comparison.score_title} of {goal:.4g}", caption, canvas)
    if any(lrs(arm) is not None for arm in comparison.arms):
        canvas, (ax,) = figures.new_figure(WIDTH, HEIGHT)
        figure.draw_schedules(comparison, ax)
        yield Picture("schedules", "Schedules", "The learning rate that each arm was trained with.", canvas)


def _has_times(comparison: Comparison, goal: float) -> bool:
    try:
        return bool(comparison.times(goal))
    except ArgumentError:  # the section of times says why
        return False


def title(comparison: Comparison, name: str) -> str:
    """The name of an arm beside its line, as the pictures have it."""
    line = look.line(look.number_of(comparison, name))
    dashes = {"-": "", "--": "7 4", ":": "2 3", "-.": "7 3 2 3"}[line["linestyle"]]
    swatch = html.themed(
        '<svg class="swatch" viewBox="0 0 22 10" aria-hidden="true"><path d="M0 5H22" fill="none" stroke-width="3" '
        f'style="stroke: {line["color"].lower()}" stroke-dasharray="{dashes}"/></svg>'
    )
    return f'<span class="arm">{swatch}<span>{escape(name)}</span></span>'


def table(identity: str, headings: Sequence[str], rows: Sequence[str], caption: str = "") -> str:
    """A table that is scrolled where it is wider than the window. `headings` are plain texts, `rows` HTML."""
    kinds = ["" if heading.endswith(" ") or not place else ' class="figures"' for place, heading in enumerate(headings)]
    head = "".join(f'<th scope="col"{kind}>{escape(text.strip())}</th>' for kind, text in zip(kinds, headings, strict=True))
    below = f'<p class="quiet">{escape(caption)}</p>' if caption else ""  # outside, where it is not scrolled
    body = "\n".join(rows)
    whole = f'<table id="{identity}"><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>'
    return f'<div class="wide">{whole}</div>{below}'


def _row(comparison: Comparison, name: str, cells: Sequence[str]) -> str:
    texts = "".join(f'<td class="figures">{escape(re.sub(KEPT, NO_BREAK, cell))}</td>' for cell in cells)
    return f'<tr><th scope="row" class="name">{title(comparison, name)}</th>{texts}</tr>'


def ranking_table(comparison: Comparison, goal: float | None) -> str:
    """The arms, the best mean first."""
    rows = ranked(comparison)
    if not rows:
        return '<p class="quiet">No training has ended yet.</p>'
    leader = rows[0].arm.name
    times = summary.medians(comparison, goal) if goal is not None and _has_times(comparison, goal) else {}
    several = len(rows) > 1
    headings = ["arm", comparison.score_title, "spread", "seeds"]
    headings += ["difference", "95 % interval", "probability"] if several else []
    headings += [f"updates to {goal:.4g}"] if times else []
    headings += ["updates", "seconds"]
    body = [
        _row(
            comparison,
            row.arm.name,
            [
                summary.score(row.arm.mean),
                summary.spread(comparison, row.arm.name),
                str(len(row.arm.trainings)),
                *([summary.difference(row), summary.interval(row), summary.probability(row)] if several else []),
                *([summary.median(times[row.arm.name])] if times else []),
                *summary.cost(row.arm.cost),
            ],
        )
        for row in rows
    ]
    caption = "Spread is the sample standard deviation over the seeds. "
    if several:
        caption += f"Difference: to {leader}, seed by seed. Probability: that {leader} is better. "
    if times:
        caption += "Updates to the target: the median, and how many trainings reached it. "
    return table("ranking", headings, body, caption + "Cost is that of all trainings of an arm, with the choice of its LR.")


def times_section(comparison: Comparison, goal: float) -> Iterator[str]:
    """The median times of the arms to a target, and how many times fewer updates the fastest needs."""
    yield f"<h2>Updates to a {escape(comparison.score_title)} of {goal:.4g}</h2>"
    try:
        lines = [f"{name}: {time}" for name, time in summary.medians(comparison, goal).items()]
        lines += summary.speedups(comparison, goal)
    except ArgumentError as error:
        lines = [str(error)]
    yield html.bullets(lines, "times-in-words")


def arms_table(comparison: Comparison) -> str:
    """What the arms are: schedule, length, recipe."""
    body = []
    for arm in comparison.arms:
        text = f"<code>{escape(checks.short(arm.schedule, LONGEST_SCHEDULE))}</code>"
        if arm.chosen is not None:
            text += f'<br><span class="quiet">peak {arm.chosen.max_lr:.4g}, chosen in {arm.chosen.updates:,} updates</span>'
        recipe = f"{escape(arm.recipe)} <code>{escape(arm.source)}</code>" if arm.recipe else ""
        body.append(
            f'<tr><th scope="row" class="name">{title(comparison, arm.name)}</th>'
            f'<td class="text">{text}</td><td class="figures">{arm.updates:,}</td><td class="text">{recipe}</td></tr>'
        )
    return table("arms", ["arm", "schedule ", "updates", "recipe, and the hash of its source "], body)


def provenance(comparison: Comparison) -> Iterator[str]:
    """Seeds, versions and hardware."""
    yield "<h2>How it was made</h2>"
    seeds = sorted({training.seed for arm in comparison.arms for training in arm.trainings})
    lines = [f"seeds: {checks.short(', '.join(map(str, seeds)), 400) or 'none yet'}"]
    for environment in comparison.environments:
        lines.append(", ".join(f"{name} {value}" for name, value in environment.items() if value))
    yield html.bullets(lines, "made")
