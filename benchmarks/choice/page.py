"""The page docs/choice.md, from the records alone: no number on it is written by hand."""

import textwrap
from collections.abc import Sequence
from statistics import median

from benchmarks.choice import oracle, score
from benchmarks.choice.methods import ours, search
from benchmarks.choice.pictures import ROWS, named
from benchmarks.choice.results import FINDERS, FREE, NEAR, OURS, SEARCHES, USUAL, Results, TaskResult, kind
from benchmarks.choice.score import Outcome, Summary
from benchmarks.choice.training import WARMUP

RECORDS = "[benchmarks/results/choice/](../benchmarks/results/choice/)"
OWN = "learnrate"
"""Our method at its usual budget."""

NOTHING = "-"
"""Where the records do not reach."""

WIDTH = 120
"""Of a line of prose."""

PICTURES = {
    "cost": "Mean regret against cost, a point a method",
    "strips": "Regrets of all methods, a dot a task and seed",
    "curves": "Points against the LR on each task, and what was chosen",
}

WHAT = {
    OURS: "`learnrate.torch.tune` as a user calls it, at its usual budget and at a quarter, half and twice of it",
    USUAL: "the LR that comes with the task: what a practitioner types without looking",
    FINDERS: "`Learner.lr_find` of fastai, one sweep read by its four rules (valley is its default); `LRFinder` of "
    "pytorch-lr-finder; `Tuner.lr_find` of Lightning",
    SEARCHES: f"Optuna with our usual budget: a random search of {search.TRIALS} trials, and successive halving, both "
    f"between {search.RANGE[0]:g} and {search.RANGE[1]:g}",
    FREE: "Prodigy, D-Adaptation and Schedule-Free choose no LR for another optimizer, so that they train in its place: a "
    "cost of 0, and another optimizer's regret",
}


def text(results: Results) -> list[str]:
    """The lines of the page."""
    return [
        "# How well does a finder choose?",
        "",
        *_opening(results),
        *_measured(results),
        *_ranking(results),
        *_lengths(results),
        *_tasks(results),
        *_own_run(results),
    ]


def _prose(*sentences: str, begin: str = "") -> list[str]:
    """Lines of at most so many characters; `begin` makes it a point of a list."""
    return textwrap.wrap(
        " ".join(sentences),
        WIDTH,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip


def _opening(results: Results) -> list[str]:
    lengths = [task.about.updates for task in results.tasks]
    return [
        *_prose(
            "A finder looks at a model for a short while and names a learning rate (LR). Two questions count: how much",
            "worse is a whole training at that LR than at the best one, and what did the look cost? Here both are measured,",
            f"on {len(lengths)} small real tasks of {min(lengths):,} to {max(lengths):,} updates, each small enough that",
            "its best LR can be found by brute force.",
        ),
        "",
    ]


def _measured(results: Results) -> list[str]:
    points = (
        (
            f"**A training** has one fixed schedule: {_percent(WARMUP)} linear warm-up to the LR, then a cosine to 0. Every",
            "LR is judged by a whole training under this schedule, written in plain PyTorch.",
        ),
        (
            f"**The oracle** trains at every LR of a factor-2 grid, with {len(oracle.SEEDS)} seeds. The grid grows until",
            "the LRs at both ends are seen to be worse. Its best mean is the best that a choice is measured against.",
        ),
        (
            "**Regret** is that best, less what a whole training at the chosen LR reaches: points on test data, where 100",
            "is perfect (accuracy, or the percentage of the variance that is explained, R2). Less than 0 points count as 0,",
            f"and so does no answer. Regrets are taken with {len(results.seeds)} seeds. A single training may come out",
            "above the best mean, so a regret may be negative.",
        ),
        (
            "**Cost** is the number of updates made in order to choose, as a share of one training. Evaluations are not",
            "counted.",
        ),
        (f"**A disaster** is a regret above {score.DISASTER:g} points, a training that diverged, or no answer.",),
        (
            "Each method is called by its own public interface, with its own defaults where it has them, and as its",
            "documentation asks. Validation data chooses; test data measures, and chooses nothing.",
        ),
    )
    return [
        "## How it is measured",
        "",
        *(line for point in points for line in _prose(*point, begin="- ")),
        "",
        "| kind | methods |",
        "|---|---|",
        *(f"| {name} | {what} |" for name, what in WHAT.items()),
        "",
    ]


def _ranking(results: Results) -> list[str]:
    lines = ["## The result", ""]
    if results.finished:
        lines += [
            f"Over {len(results.tasks)} tasks and {len(results.seeds)} seeds, in points; best mean first, ours in bold.",
            "",
            "| method | mean | median | worst | disasters | mean cost |",
            "|---|---:|---:|---:|---:|---:|",
            *(_row(one) for one in results.finished),
            "",
            *_pictures(results, "cost", "strips"),
        ]
    else:
        lines += ["No method has finished every task with every seed yet.", ""]
    if results.unfinished:
        far = "; ".join(f"{one.method} ({len(one.outcomes)} of {results.all})" for one in results.unfinished)
        lines += [f"Not finished, and therefore not ranked: {far}.", ""]
    missing = [name for name in ours.BUDGETS if name not in {one.method for one in results.known}]
    if missing:
        lines += [f"Not begun: {'; '.join(missing)}.", ""]
    return lines


def _row(one: Summary) -> str:
    name = f"**{one.method}**" if kind(one.method) == OURS else one.method
    share = f"{one.disasters} of {len(one.outcomes)}"
    return f"| {name} | {one.mean:.2f} | {one.median:.2f} | {one.worst:.1f} | {share} | {_percent(one.cost)} |"


def _pictures(results: Results, *wanted: str) -> list[str]:
    shown = [name for name in wanted if name in named(results)]
    return [line for name in shown for line in (f"![{PICTURES[name]}](images/choice/{name}.png)", "")]


def _lengths(results: Results) -> list[str]:
    """What ours costs depends on the length of the training, so that one mean cost tells little."""
    lines = [
        "## What a budget buys",
        "",
        *_prose(
            "The usual budget of `tune` is a whole training where that is short, and a smaller share the longer it is: what",
            "finds an LR hardly grows with the training. So the tasks are parted by their length. In each cell: the mean",
            "regret, the worst regret, and the mean cost.",
        ),
        "",
        "| updates of a training | tasks | " + " | ".join(_budgets()) + " |",
        "|---|---:|" + "---|" * len(ours.BUDGETS),
    ]
    for part in results.of_length():
        lengths = [task.about.updates for task in part]
        span = f"{lengths[0]:,}" if lengths[0] == lengths[-1] else f"{lengths[0]:,} to {lengths[-1]:,}"
        cells = [_bought(results.summary(name, part)) for name in _budgets()]
        lines.append(f"| {span} | {len(part)} | " + " | ".join(cells) + " |")
    return [*lines, "", f"{NOTHING}: not finished.", ""]


def _budgets() -> list[str]:
    return sorted(ours.BUDGETS, key=lambda name: ours.BUDGETS[name])


def _bought(one: Summary | None) -> str:
    return NOTHING if one is None else f"{one.mean:.2f}, worst {one.worst:.1f}, at {_percent(one.cost)}"


def _tasks(results: Results) -> list[str]:
    names = [f"`{name}`" for name in ROWS]
    lines = [
        "## The tasks",
        "",
        *_pictures(results, "curves"),
        *_prose(f"The choices below the curves are those of {', '.join(names[:-1])} and {names[-1]}: a tick a seed."),
        "",
        *_prose(
            f"In the table, good LRs are those of the grid within {NEAR:g} point of the best, and regrets are means over",
            "the seeds. The others are all methods that choose an LR and have finished the task, from the best to the",
            "worst.",
        ),
        "",
        "| task | updates | best LR | best points | good LRs | regret of learnrate | LRs it chose | regret of the others |",
        "|---|---:|---:|---:|---|---:|---|---|",
    ]
    return [*lines, *(_task(results, task) for task in results.tasks), "", *_intervals(results)]


def _intervals(results: Results) -> list[str]:
    found = results.intervals(OWN)
    if not found:
        return []
    held, octaves = sum(holds for holds, _ in found), [width for _, width in found]
    return [
        *_prose(
            "With its choice, learnrate tells an interval in which it expects a run to learn nearly as much. It holds the",
            f"best LR of the grid in {held} of {len(found)} choices; its upper end is, in the median,",
            f"{2 ** median(octaves):.1f} times its lower one. Where many LRs are as good, which of them is best is chance.",
        ),
        "",
    ]


def _task(results: Results, task: TaskResult) -> str:
    grid = task.oracle
    found = [NOTHING] * 3
    if grid.lrs:
        points = f"{grid.best:.1f}" + ("" if task.about.metric == "accuracy" else f" ({task.about.metric})")
        found = [f"{grid.best_lr:.2g}", points, _span(task.near)]
    own = results.summary(OWN, [task])
    chosen = [outcome.lr for outcome in own.outcomes if outcome.lr is not None] if own else []
    cells = [
        f"`{task.name}`: {task.about.about}",
        f"{task.about.updates:,}",
        *found,
        f"{own.mean:.2f}" if own else NOTHING,
        _span(chosen) if own else NOTHING,
        _others(results, task),
    ]
    return "| " + " | ".join(cells) + " |"


def _others(results: Results, task: TaskResult) -> str:
    found = [one for name in task.outcomes if kind(name) not in (OURS, FREE) and (one := results.summary(name, [task]))]
    if not found:
        return NOTHING
    found.sort(key=lambda one: (one.mean, one.method))
    best, worst = found[0], found[-1]
    return f"{best.mean:.2f} ({best.method}) to {worst.mean:.2f} ({worst.method}{_silent(worst.outcomes)})"


def _silent(outcomes: Sequence[Outcome]) -> str:
    none = sum(one.lr is None for one in outcomes)
    return f", {none} without an answer" if none else ""


def _span(lrs: Sequence[float]) -> str:
    if not lrs:
        return "no answer"
    low, high = f"{min(lrs):.2g}", f"{max(lrs):.2g}"
    return low if low == high else f"{low} to {high}"


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{100 * share:.0f} %"


def _own_run(results: Results) -> list[str]:
    lines = [
        "## How to run it",
        "",
        "```",
        "make bench-choice        # the two digits tasks, learnrate and the usual LR, two seeds: minutes, and no data sets",
        "make bench-choice-all    # everything; the other libraries are installed into .venv-bench: hours",
        "python -m benchmarks.choice --tasks digits_mlp --methods learnrate usual     # some of it, in a venv of your own",
        "```",
        "",
        *_prose(
            "All but the digits tasks need data sets, in the folder that `LEARNRATE_DATA` names; a task without its data is",
            f"skipped, and says so. What is in {RECORDS} is not run again, unless the",
            "source of the task has changed. `make docs` writes this page and its pictures from there.",
        ),
        "",
        "## Where the numbers are from",
        "",
        *_prose(
            f"The records, a file a task: {RECORDS}, `{results.digest}`.",
            f"They hold {results.trainings:,} whole trainings, and {results.updates:,} updates with those of choosing.",
        ),
        "",
        *_made_on(results),
    ]
    return [*lines, ""]


def _made_on(results: Results) -> list[str]:
    if not results.machines:
        return ["There are no records yet."]
    packages = [f"{name} {' and '.join(sorted(made))}" for name, made in sorted(_packages(results).items())]
    mine = sorted({version for name in ours.BUDGETS for version in results.made_by.get(name, [])})
    mixed = [name for name, made in results.made_by.items() if len(made) > 1]
    said = [f"Made on {'; '.join(results.machines)}; {', '.join(results.versions)}."]
    said += [f"Other libraries: {', '.join(packages)}."] if packages else []
    said += [f"learnrate: its code that chooses has the hash {' and '.join(f'`{one}`' for one in mine)}."] if mine else []
    said += [f"**Chosen by more than one version of the code: {'; '.join(mixed)}.**"] if mixed else []
    return _prose(*said)


def _packages(results: Results) -> dict[str, set[str]]:
    """Versions of the other libraries; methods of one library begin with its name."""
    found: dict[str, set[str]] = {}
    for method, versions in results.made_by.items():
        if kind(method) not in (OURS, USUAL):
            found.setdefault(method.split()[0], set()).update(version.split("+")[0] for version in versions)
    return found
