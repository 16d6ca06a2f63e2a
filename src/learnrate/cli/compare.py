"""`learnrate compare`: several schedules with the same seeds, and which is better."""

import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from learnrate import checks, figures
from learnrate.cli.compared import comparison_json, print_compared
from learnrate.cli.folder import Folder
from learnrate.cli.options import about_options
from learnrate.cli.output import with_output
from learnrate.cli.run import Loaded, in_folder, load_recipe
from learnrate.cli.schedules import read_schedules
from learnrate.cli.streams import Bars
from learnrate.cli.tune import share_or_text
from learnrate.recipes.loading import BUILT_IN
from learnrate.schedules import Schedule
from learnrate.schedules.vocabulary import NAMES
from learnrate.study import Comparison, compare
from learnrate.study.budget import read as read_budget
from learnrate.study.running.run import Key, Message

LABEL = 40
"""Characters of the name of a run beside its bar."""


@dataclass(frozen=True)
class Options:
    """The options of the command; see `learnrate compare --help`."""

    recipe: Path | None
    schedule: list[str]
    seeds: int
    tune_each: bool
    tune_budget: str | None
    until_sure: bool
    budget: str | None
    updates: int | None
    evaluate_every: int | None
    target: str | None
    executor: str | None
    study: str | None
    out: Path | None
    json: bool


@dataclass(frozen=True)
class Request:
    """The options, checked.

    Attributes:
        arms: The schedules by name.
        options: The options of the command.
        study: The study that is continued or made, as an absolute path; None for one in the folder of the run.
        target: The metric to reach, or the name of an arm.
        tune_each: Whether the LR of each is chosen, or the budget of that choice.
    """

    arms: dict[str, Schedule | str]
    options: Options
    study: Path | None
    target: float | str | None
    tune_each: bool | float | str


def compare_command(options: Options) -> None:
    """Run the command.

    Raises:
        FailedTrainingsError: if trainings failed; the others are shown and kept.
    """
    comparisons: list[Comparison] = []
    with about_options():
        with_output(lambda: run_command(options, comparisons), as_json=options.json)
    for comparison in comparisons:
        comparison.require_complete()


def run_command(options: Options, comparisons: list[Comparison]) -> dict[str, Any]:
    """Everything but the JSON on stdout, which is returned. `comparisons` receives the result."""
    figures.require()
    arms = read_schedules(options.schedule)
    read_budget(options.budget, options.until_sure)
    target = read_target(options.target, tuple(arms))
    tune_each = tuning(options, arms)
    # A study of JSON Lines is a folder, whose path ends in "/" where it is new.
    if options.study == "":
        checks.refuse("--study", "the path of a file, or of a folder that ends in '/'", "")
    study = None if options.study is None else Path(options.study).absolute()
    loaded = load_recipe(options.recipe, options.out)
    request = Request(arms, options, study, target, tune_each)
    return in_folder(
        loaded,
        lambda folder, console, bars: make_comparison(request, loaded, folder, console, bars, comparisons),
        as_json=options.json,
        study=study,
    )


def read_target(text: str | None, arms: tuple[str, ...]) -> float | str | None:
    """The target of a command line: a number, or the name of an arm.

    Raises:
        ArgumentError: if it is neither.
    """
    if text is None or text in arms:
        return text
    with suppress(ValueError):
        return checks.finite("--target", float(text))
    return checks.refuse("--target", "a number or one of " + ", ".join(map(repr, arms)), text)


def read_executor(text: str | None) -> int | str | None:
    """The executor of a command line: a number of processes, or a name."""
    if text is None:
        return None
    return int(text) if text.isdecimal() else text


def make_comparison(
    request: Request, loaded: Loaded, folder: Folder, console: Console, bars: Bars, comparisons: list[Comparison]
) -> dict[str, Any]:
    """Train, print, write; returns what --json prints."""
    options = request.options
    study = request.study or folder.path / "study.sqlite"
    again = command_line(options, study, folder.path)
    console.print(f"[bold]{escape(loaded.name)}[/bold]: {escape(', '.join(request.arms))}")
    progress = Progress(bars)
    try:
        comparison = compare(
            request.arms,
            options.recipe or BUILT_IN,
            seeds=options.seeds,
            updates=options.updates,
            evaluate_every=options.evaluate_every,
            tune_each=request.tune_each,
            until_sure=options.until_sure,
            budget=options.budget,
            executor=read_executor(options.executor),
            study=f"{study}{os.sep}" if (options.study or "").endswith(("/", os.sep)) else study,
            progress=progress.show,
            on_result=progress.count,
        )
    except KeyboardInterrupt:
        if not study.exists():
            raise
        ended = {0: "no training has", 1: "1 training has"}.get(progress.ended, f"{progress.ended} trainings have")
        raise KeyboardInterrupt(f"{ended} ended; what was trained is in {study}; go on with: {again}") from None
    comparisons.append(comparison)
    summary = {**comparison_json(comparison, request.target), "study": str(study), "out": str(folder.path)}
    # Each result is printed and written, even if the other fails: a disk may be full, a pipe closed.
    try:
        print_compared(console, comparison, request.target)
    finally:
        folder.write_summary("compare", summary)
        folder.write_report(comparison, summary["target"], f"{loaded.name}: {len(request.arms)} schedules compared")
    console.print(f"\nThe report is [bold]{escape(str(folder.path / 'report.html'))}[/bold], the study {escape(str(study))}")
    if any(arm.failures for arm in comparison):
        console.print(f"Make the runs that failed again with: {escape(again)}")
    return summary


def tuning(options: Options, arms: Mapping[str, Schedule | str]) -> bool | float | str:
    """The choice of LRs: none, with the usual budget, or with this one.

    Raises:
        ArgumentError: if there is a budget and no choice, or a schedule that has to be chosen.
    """
    if not options.tune_each:
        if options.tune_budget is not None:
            checks.refuse("--tune-budget", "given together with --tune-each", options.tune_budget)
        families = [arm for arm in arms.values() if isinstance(arm, str)]
        if families:
            # Not every family is a function of that name.
            remedy = f"or write its numbers: {families[0]}(...)" if families[0] in NAMES else ""
            checks.refuse("--schedule", "an expression, unless --tune-each chooses its LR", families[0], remedy)
        return False
    budget = share_or_text(options.tune_budget)
    return True if budget is None else budget


class Progress:
    """Shows the runs in progress, and counts those that have ended."""

    def __init__(self, bars: Bars) -> None:
        self.bars, self.ended = bars, 0

    def show(self, message: Message) -> None:
        """Move the bar of a run."""
        if message.updates < message.planned:
            self.bars.show(_label(message.key), message.updates, message.planned)
        else:
            self.bars.end(_label(message.key))

    def count(self, comparison: Comparison) -> None:
        """Remove the bars of what has ended."""
        self.ended = sum(len(arm.trainings) for arm in comparison)
        for arm in comparison:
            for training in arm.trainings:
                self.bars.end(_label(Key(arm.name, training.seed)))


def _label(key: Key) -> str:
    """A run beside its bar, whose text is markup."""
    return escape(checks.short(str(key), LABEL))


def command_line(options: Options, study: Path, out: Path) -> str:
    """The command that goes on with a study, for a shell. A study that is a folder exists when it is printed."""
    return shlex.join(["learnrate", "compare", *_arguments(options), "--study", _near(study), "--out", _near(out)])


def _arguments(options: Options) -> Iterator[str]:
    if options.recipe is not None:
        yield str(options.recipe)
    for schedule in options.schedule:
        yield from ("--schedule", schedule)
    yield from ("--seeds", str(options.seeds))
    for name in ("tune_each", "until_sure"):
        if getattr(options, name):
            yield f"--{name.replace('_', '-')}"
    for name in ("tune_budget", "budget", "updates", "evaluate_every", "target", "executor"):
        value = getattr(options, name)
        if value is not None:
            yield f"--{name.replace('_', '-')}={value}"  # as one word, because a value may begin with "-"
    if options.json:
        yield "--json"


def _near(path: Path) -> str:
    """A path as a user of the current folder would write it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
