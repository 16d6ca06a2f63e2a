"""`learnrate report`: a study as one HTML page."""

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from learnrate import figures, records
from learnrate.cli.compare import read_target
from learnrate.cli.compared import comparison_json, print_compared
from learnrate.cli.output import with_output
from learnrate.errors import ArgumentError
from learnrate.study import Comparison
from learnrate.study.report.page import write_comparison
from learnrate.study.report.page_parts import pictures


@dataclass(frozen=True)
class Options:
    """The options of the command; see `learnrate report --help`."""

    study: Path
    out: Path | None
    target: str | None
    open_browser: bool
    png: bool
    svg: bool
    json: bool


def report_command(options: Options) -> None:
    """Run the command."""
    with_output(lambda: run_command(options), as_json=options.json)


def run_command(options: Options) -> dict[str, Any]:
    """Everything but the JSON on stdout, which is returned."""
    figures.require()
    study = options.study.absolute()
    out = study.parent / f"{study.stem}.html" if options.out is None else options.out.absolute()
    if out == study or out.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError(f"--out must be a file that ends in .html, received {str(out)!r}")
    comparison = Comparison.load(study)
    target = read_target(options.target, tuple(arm.name for arm in comparison))
    goal = None if target is None else comparison.target(target)
    write_comparison(comparison, out, goal, title=f"Study {study.stem}")
    written = [out, *_write_pictures(comparison, goal, out, options)]
    console = Console(stderr=options.json, highlight=False, soft_wrap=True)
    print_compared(console, comparison, goal)
    console.print(f"\nThe report is [bold]{escape(str(out))}[/bold]")
    if options.open_browser:
        webbrowser.open(out.as_uri())
    return {**comparison_json(comparison, goal), "study": str(study), "out": str(out), "files": list(map(str, written))}


def _write_pictures(comparison: Comparison, goal: float | None, out: Path, options: Options) -> list[Path]:
    """The pictures of the page as files beside it."""
    written = []
    for picture in pictures(comparison, goal) if options.png or options.svg else ():
        for suffix in (".png",) * options.png + (".svg",) * options.svg:
            path = out.with_name(f"{out.stem}-{picture.name}{suffix}")
            if suffix == ".png":
                figures.save(picture.figure, path)
            else:
                records.write_atomically(path, figures.svg(picture.figure).encode())
            written.append(path)
    return written
