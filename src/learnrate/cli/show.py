"""`learnrate show`: the values of a schedule, its boundaries, and its picture."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from learnrate import checks, figures, records
from learnrate.amounts import plural
from learnrate.cli.output import with_output
from learnrate.cli.terminal import LABEL, Canvas, plotted
from learnrate.errors import ArgumentError
from learnrate.schedules import Horizon, Schedule, from_json, parse
from learnrate.schedules.base import known_length
from learnrate.schedules.figure import MOST_UPDATES, draw_schedule
from learnrate.schedules.tree import lengths

HEIGHT = 14
"""Lines of the plot: with the table of a usual schedule it fits on a screen."""

MOST_ROWS = 20
"""Rows of the table; more boundaries are counted, and are in the JSON."""

TABLE = 60
"""Least width of the table, in characters."""

MOST_BOUNDARIES = 1000
"""Boundaries that are looked for: a schedule may have one at every update."""

POINTS_A_COLUMN = 16
"""Values that decide what a column of the plot shows."""

NEEDS = {"%": "--updates", "rest": "--updates", "epoch": "--updates-per-epoch", "token": "--tokens-per-update"}
"""The option that a length needs, by a part of its text."""


@dataclass(frozen=True)
class Options:
    """The options of the command; see `learnrate show --help`."""

    schedule: str
    updates: int | None
    epochs: float | None
    updates_per_epoch: float | None
    tokens_per_update: float | None
    out: Path | None
    json: bool


@dataclass(frozen=True)
class Row:
    """An update and its value.

    Attributes:
        update: Its number, counted from 0.
        value: Its value.
        what: Why it is shown: "start", "boundary", "peak", "last update", "end", or several of them.
    """

    update: int
    value: float
    what: tuple[str, ...]


def show_command(options: Options) -> None:
    """Run the command."""
    with_output(lambda: run_command(options), as_json=options.json)


def run_command(options: Options) -> dict[str, Any]:
    """Everything but the JSON on stdout, which is returned."""
    out = None if options.out is None else _picture(options.out.absolute())
    text = options.schedule
    given = from_json(text) if text.lstrip().startswith("{") else parse(text)
    horizon = horizon_of(options)
    _require_options(given, horizon)
    schedule = given if horizon is None else given.resolve(horizon)
    updates = horizon.updates if horizon and horizon.updates else schedule._span()
    if updates > MOST_UPDATES:
        checks.refuse("--updates", f"at most {MOST_UPDATES}, because floats hold no larger integers exactly", updates)
    boundaries, complete = _boundaries(schedule, updates)
    rows = list(_rows(schedule, updates, boundaries))
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    _report(console, schedule, updates, rows, horizon, complete)
    if out is not None:
        _draw(schedule, updates, out)
        console.print(f"\nThe picture is in [bold]{escape(str(out))}[/bold]")
    return {
        "schedule": repr(schedule),
        "updates": updates,
        "length": schedule.length,
        "min": schedule.min,
        "max": schedule.max,
        "boundaries": list(boundaries),
        "boundaries_complete": complete,
        "values": [{"update": row.update, "value": row.value, "what": list(row.what)} for row in rows],
        "out": None if out is None else str(out),
    }


def horizon_of(options: Options) -> Horizon | None:
    """What the options say about the run; None if they say nothing.

    Raises:
        ArgumentError: if a number breaks its rule, or the numbers contradict each other.
    """
    updates = None if options.updates is None else checks.length("--updates", options.updates)
    epochs = None if options.epochs is None else checks.positive("--epochs", options.epochs)
    per_epoch = options.updates_per_epoch
    per_epoch = None if per_epoch is None else checks.positive("--updates-per-epoch", per_epoch)
    tokens = options.tokens_per_update
    tokens = None if tokens is None else checks.positive("--tokens-per-update", tokens)
    if epochs is not None:
        if per_epoch is None and updates is None:
            checks.refuse("--epochs", "given together with --updates-per-epoch or --updates", epochs)
        if per_epoch is None and updates is not None:
            per_epoch = updates / epochs
        length = checks.length("--epochs x --updates-per-epoch", round(epochs * (per_epoch or 1)))
        if updates not in (None, length):
            rule = f"{length}, --epochs {epochs:g} x --updates-per-epoch {per_epoch:g}"
            checks.refuse("--updates", rule, updates, "leave one of them out")
        updates = length
    if updates is per_epoch is tokens is None:
        return None
    return Horizon(updates=updates, updates_per_epoch=per_epoch, tokens_per_update=tokens)


def _require_options(schedule: Schedule, horizon: Horizon | None) -> None:
    """Refuse a schedule whose lengths need options that are not given."""
    given = {
        "--updates": horizon and horizon.updates,
        "--updates-per-epoch": horizon and horizon.updates_per_epoch,
        "--tokens-per-update": horizon and horizon.tokens_per_update,
    }
    texts = dict.fromkeys(length for length in lengths(schedule) if isinstance(length, str))
    needed = {text: option for text in texts for unit, option in NEEDS.items() if unit in text and not given[option]}
    if needed:
        listed = " and ".join(dict.fromkeys(needed.values()))
        raise ArgumentError(
            f"{listed} must be given for a schedule whose lengths depend on the run, received {', '.join(map(repr, needed))}"
        )


def _boundaries(schedule: Schedule, updates: int) -> tuple[tuple[float, ...], bool]:
    """The first boundaries up to an update, and whether these are all."""
    limit = min(updates, MOST_BOUNDARIES)
    boundaries = schedule.boundaries(limit)
    while limit < updates and len(boundaries) <= MOST_BOUNDARIES:
        limit = min(2 * limit, updates)
        boundaries = schedule.boundaries(limit)
    return boundaries[:MOST_BOUNDARIES], len(boundaries) <= MOST_BOUNDARIES


def _rows(schedule: Schedule, updates: int, boundaries: tuple[float, ...]) -> Iterator[Row]:
    """The updates that tell most about a schedule, in order."""
    at_boundaries = [math.ceil(boundary) for boundary in boundaries if boundary < updates]
    candidates = sorted({*_spread(updates, figures.POINTS).tolist(), *at_boundaries, updates - 1})
    # One by one, as the rows are: an array may be evaluated with other roundings, and then another row is larger.
    peak = max(candidates, key=schedule)
    reasons: dict[int, list[str]] = {}
    marks = [(0, "start"), *((n, "boundary") for n in at_boundaries), (peak, "peak")]
    for update, what in [*marks, (updates - 1, "last update"), (updates, "end")]:
        if what not in reasons.setdefault(update, []):
            reasons[update].append(what)
    yield from (Row(update, schedule(update), tuple(reasons[update])) for update in sorted(reasons))


def _spread(updates: int, points: int) -> Any:
    """Counts from 0 to `updates`: all of them, or this number of them, equally spaced."""
    return np.arange(updates + 1) if updates < points else np.linspace(0, updates, points).round().astype(np.int64)


def _report(
    console: Console, schedule: Schedule, updates: int, rows: list[Row], horizon: Horizon | None, complete: bool
) -> None:
    console.print(f"[bold]{escape(repr(schedule))}[/bold]")
    console.print(f"{plural(updates, 'update')}{_remark(schedule, updates)}\n")
    braille = _can_show(console.encoding, "⣿")
    canvas = Canvas(max(10, console.width - LABEL - 3), HEIGHT, braille)
    n = np.linspace(0, updates, canvas.columns * POINTS_A_COLUMN).round().astype(np.int64)
    values = np.asarray(schedule(n))
    # A peak at one update lies between the values of the plot, and its label must not be below it.
    shown = [*values[[values.argmin(), values.argmax()]].tolist(), *(row.value for row in rows)]
    for line in plotted(values, plural(updates, "update"), canvas, (min(shown), max(shown))):
        console.print(escape(line), style="blue" if "|" in line else "")
    console.print()
    _print_table(console, rows, horizon)
    if not complete:
        console.print(f"\nThe boundaries after the first {MOST_BOUNDARIES:,} are left out.")


def _remark(schedule: Schedule, updates: int) -> str:
    length = known_length(schedule)
    if length is None:
        return " of a schedule without end"
    if length < updates:
        return f"; the schedule ends at update {length:,} and holds its end value"
    return f", the beginning of the schedule: it is {length:,} updates long" if length > updates else ""


def _print_table(console: Console, rows: list[Row], horizon: Horizon | None) -> None:
    per_epoch = horizon.updates_per_epoch if horizon else None
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for heading in ("  update", *(["epoch"] if per_epoch else []), "value"):
        table.add_column(heading, justify="right")
    table.add_column("")
    half = MOST_ROWS // 2
    left_out = len(rows) - MOST_ROWS
    for number, row in enumerate(rows):
        if left_out > 0 and half <= number < half + left_out:
            if number == half:
                table.add_row("  ...", *([""] if per_epoch else []), "", f"{left_out:,} more boundaries, in --json")
            continue
        epoch = [f"{row.update / per_epoch:.4g}"] if per_epoch else []
        table.add_row(f"  {row.update:,}", *epoch, f"{row.value:.6g}", ", ".join(row.what))
    console.width = max(console.width, TABLE)  # rich would cut the numbers
    console.print(table)


def _can_show(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _picture(out: Path) -> Path:
    if out.suffix.lower() not in (".png", ".svg"):
        checks.refuse("--out", "a file that ends in .png or .svg", str(out))
    if out.is_dir() or not out.parent.is_dir():
        checks.refuse("--out", "a file in a folder that exists", str(out))
    figures.require()
    return out


def _draw(schedule: Schedule, updates: int, out: Path) -> None:
    figure, (ax,) = figures.new_figure(8, 4)
    draw_schedule(schedule, updates, ax)
    if out.suffix.lower() == ".png":
        figures.save(figure, out)
    else:
        records.write_atomically(out, f'<?xml version="1.0" encoding="utf-8"?>\n{figures.svg(figure)}'.encode())
