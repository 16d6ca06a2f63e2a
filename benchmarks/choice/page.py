"""The page docs/choice.md, from the records alone: none of its numbers is written by hand."""

import textwrap
from collections.abc import Sequence
from statistics import mean, median

from benchmarks.choice import oracle, score, short_trials
from benchmarks.choice.halves import DESIGN, REPORT, UNSEEN
from benchmarks.choice.methods import ours, search
from benchmarks.choice.pictures import ROWS, named
from benchmarks.choice.results import FINDERS, FORMER, FREE, NEAR, OURS, SEARCHES, USUAL, Results, TaskResult, kind
from benchmarks.choice.score import Outcome, Summary
from benchmarks.choice.training import WARMUP

RECORDS = "[benchmarks/results/choice/](../benchmarks/results/choice/)"
OWN = "learnrate"
"""Our method with its default budget."""

NOTHING = "-"
"""For missing records."""

WIDTH = 120
"""Maximum length of a line of prose."""

FIGURES = {
    "report": "Mean curve regret against cost on those of these tasks that are for the report, a point for each method",
    "cost": "Mean regret against cost, a point for each method",
    "strips": "Regrets of all methods, a dot for each task and seed",
    "curves": "Metric against the LR on each task, and the choices",
}

WHAT = {
    OURS: "`learnrate.torch.tune` as a user calls it, with its usual budget and with a half and twice of it; "
    "`learnrate.torch.probe`",
    FORMER: "`learnrate.torch.tune` before it had a probe: a range test and trials of two lengths, with a budget of a whole "
    "run of up to 1,200 updates, a quarter of 5,000 and a tenth of 20,000, and with a quarter, a half and twice of it",
    USUAL: "the LR of the task's optimizer: what a practitioner would type without a test",
    FINDERS: "`Learner.lr_find` of fastai, one sweep with four rules (valley is its default); `LRFinder` of "
    "pytorch-lr-finder; `Tuner.lr_find` of Lightning",
    SEARCHES: f"Optuna with the budget of the former search: a random search of {search.TRIALS} trials, and successive "
    f"halving, both between {search.RANGE[0]:g} and {search.RANGE[1]:g}",
    FREE: "Prodigy, D-Adaptation, Schedule-Free, Prodigy with Schedule-Free (`prodigy-plus-schedule-free`), DoWG and GeN "
    "choose no LR for the optimizer of the task, so they replace it: their cost is 0, and their regret is that of another "
    "optimizer. GeN begins with the usual LR, and also evaluates the loss three times at every fourth update",
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
        *short_trials.section(),
        *_tasks(results),
        *_own_run(results),
    ]


def _prose(*sentences: str, begin: str = "") -> list[str]:
    """Lines of at most `WIDTH` characters; `begin` is the bullet of a list item."""
    return textwrap.wrap(
        " ".join(sentences),
        WIDTH,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _opening(results: Results) -> list[str]:
    lengths = [task.about.updates for task in results.tasks]
    return [
        *_prose(
            "A finder makes a few updates of a model and suggests a learning rate (LR). How much worse is a training run at",
            "this LR than one at the best LR, and how many updates does the finder need? Both are measured here, on",
            f"{len(lengths)} small real tasks of {min(lengths):,} to {max(lengths):,} updates (optimizer steps), for which",
            "the best LR can be found by brute force.",
        ),
        "",
    ]


def _measured(results: Results) -> list[str]:
    points = (
        (
            f"**A training run** has one fixed schedule: {_percent(WARMUP)} linear warm-up to the LR, then a cosine to 0.",
            "Every LR is judged by a complete training run with this schedule, written in plain PyTorch.",
        ),
        (
            f"**The oracle** trains at every LR of a factor-2 grid, with {len(oracle.SEEDS)} seeds. The grid is extended",
            "until the LRs at both ends are worse. Choices are compared with its best mean.",
        ),
        (
            "**Regret** is this best mean minus the metric of a training run at the chosen LR: points on test data, where",
            "100 is perfect (accuracy, or the percentage of explained variance, R2). A metric below 0 counts as 0, and so",
            f"does no answer. Regrets are measured with {len(results.seeds)} seeds. A regret may be negative, because a",
            "single training run may be better than the best mean.",
        ),
        (
            "**The curve regret** is the regret of the chosen LR on the curve of the means, linear between LRs of",
            "the grid, so that it does not depend on the luck of a training run. LR-free optimizers have no LR: their",
            "mean over the seeds takes its place.",
        ),
        (
            "**The floor** is what an oracle loses that trains every LR of the grid and chooses by validation data, each",
            f"time with one of its {len(oracle.SEEDS)} seeds. No choice can be expected to lose less.",
        ),
        (
            f"**Two halves**, fixed in [halves.py](../benchmarks/choice/halves.py): constants were fitted on {len(DESIGN)}",
            f"tasks; the other {len(REPORT)} are for the report. While the rules of the search were written, results of",
            f"both halves were looked at; {len(UNSEEN)} tasks of the report came later, and have a table of their own.",
        ),
        ("**Cost** is the number of updates made to choose, as a share of one training run. Evaluations are not counted.",),
        (f"**A disaster** is a regret above {score.DISASTER:g} points, a training run that diverged, or no answer.",),
        (
            "Each method is called by its own public interface, with its own defaults if it has any, and as its",
            "documentation recommends. Choices use validation data. Regrets are measured on test data, which no choice",
            "uses.",
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
    report = results.half("report")
    lines = ["## The result", "", *_prose("In points; best mean first, ours in bold."), ""]
    if report.finished:
        lines += ["### The report half", "", *_table(report)]
    first = results.compared
    if first.finished:
        figures = _figures(results, "report", "cost", "strips")
        lines += ["### The tasks of the first version, with all methods", "", *_table(first), *figures]
    unseen = results.of(UNSEEN)
    if unseen.finished:
        lines += ["### Tasks that were not seen before", "", *_table(unseen)]
    if results.finished:
        lines += ["### All tasks", "", *_table(results)]
    else:
        lines += ["No method has finished every task with every seed yet.", ""]
    lines += _partial(results)
    recorded = {summary.method for summary in results.summaries}
    missing = [name for name in ours.BUDGETS if name not in recorded]
    if missing:
        lines += [f"Not started: {'; '.join(missing)}.", ""]
    return lines


def _table(results: Results) -> list[str]:
    """The finished methods, and the floor."""
    return [
        f"{len(results.tasks)} tasks, {len(results.seeds)} seeds.",
        "",
        "| method | mean | median | worst | disasters | curve regret, mean | mean cost |",
        "|---|---:|---:|---:|---:|---:|---:|",
        *(_row(summary) for summary in results.finished),
        *([_row(results.floor)] if results.floor else []),
        "",
    ]


def _partial(results: Results) -> list[str]:
    """The unfinished methods, each beside ours on the tasks that both have finished."""
    if not results.unfinished:
        return []
    lines = [
        *_prose(
            "Not finished, and therefore not ranked. Their figures are those of the tasks that they have finished; the last",
            f"two columns are those of {OWN} on the same tasks, if it has finished them.",
        ),
        "",
        f"| method | outcomes | tasks | mean | worst | curve regret, mean | mean cost | {OWN}: mean | {OWN}: curve regret |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for summary in results.unfinished:
        tasks = [task for task in results.tasks if results.summary(summary.method, [task])]
        cells = [summary.method, f"{len(summary.outcomes)} of {results.all}", f"{len(tasks)}"]
        whole = results.summary(summary.method, tasks) if tasks else None
        own = results.summary(OWN, tasks) if tasks else None
        cells += [f"{whole.mean:.2f}", f"{whole.worst:.1f}", f"{whole.curve:.2f}"] if whole else [NOTHING] * 3
        cells += [_percent(whole.cost) if whole else NOTHING]
        cells += [f"{own.mean:.2f}", f"{own.curve:.2f}"] if own else [NOTHING] * 2
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, ""]


def _row(summary: Summary) -> str:
    name = f"**{summary.method}**" if kind(summary.method) == OURS else summary.method
    share = f"{summary.disasters} of {len(summary.outcomes)}"
    regrets = f"{summary.mean:.2f} | {summary.median:.2f} | {summary.worst:.1f}"
    return f"| {name} | {regrets} | {share} | {summary.curve:.2f} | {_percent(summary.cost)} |"


def _figures(results: Results, *wanted: str) -> list[str]:
    shown = [name for name in wanted if name in named(results)]
    return [line for name in shown for line in (f"![{FIGURES[name]}](images/choice/{name}.png)", "")]


def _lengths(results: Results) -> list[str]:
    """A table by length, because the cost of ours depends on the length of the training run."""
    lines = [
        "## Budget and length",
        "",
        *_prose(
            "The usual budget of `tune` is 60 % of a short training run, and a smaller share of longer ones, because the",
            "number of updates that a choice needs hardly depends on the length of the training run. So the tasks are",
            "grouped by their length. Each cell has the mean regret, the worst regret, and the mean cost.",
        ),
        "",
        "| updates of a training run | tasks | " + " | ".join(_budgets()) + " |",
        "|---|---:|" + "---|" * len(ours.BUDGETS),
    ]
    for group in results.by_length():
        lengths = [task.about.updates for task in group]
        span = f"{lengths[0]:,}" if lengths[0] == lengths[-1] else f"{lengths[0]:,} to {lengths[-1]:,}"
        cells = [_regret_and_cost(results.summary(name, group)) for name in _budgets()]
        lines.append(f"| {span} | {len(group)} | " + " | ".join(cells) + " |")
    return [*lines, "", f"{NOTHING}: not finished.", ""]


def _budgets() -> list[str]:
    return sorted(ours.BUDGETS, key=lambda name: ours.BUDGETS[name])


def _regret_and_cost(summary: Summary | None) -> str:
    if summary is None:
        return NOTHING
    return f"{summary.mean:.2f}, worst {summary.worst:.1f}, at {_percent(summary.cost)}"


def _tasks(results: Results) -> list[str]:
    names = [f"`{name}`" for name in ROWS]
    lines = [
        "## The tasks",
        "",
        *_figures(results, "curves"),
        *_prose(f"The choices below the curves are those of {', '.join(names[:-1])} and {names[-1]}: a tick for each seed."),
        "",
        *_prose(
            f"In the table, good LRs are those of the grid within {NEAR:g} point of the best, and regrets are means over",
            "the seeds. The others are all other methods that choose an LR, from the best to the worst.",
        ),
        "",
        "| task | updates | best LR | best points | good LRs | regret of learnrate | its choices | regret of the others |",
        "|---|---:|---:|---:|---|---:|---|---|",
    ]
    return [*lines, *(_task(results, task) for task in results.tasks), "", *_intervals(results), *_probe(results)]


def _intervals(results: Results) -> list[str]:
    intervals = results.intervals(OWN)
    if not intervals:
        return []
    hits = sum(contains for contains, _ in intervals)
    ratio = 2 ** median(log2_width for _, log2_width in intervals)
    return [
        *_prose(
            "With its choice, learnrate gives an interval in which it expects a training run to learn nearly as much. The",
            f"interval contains the best LR of the grid in {hits} of {len(intervals)} choices; the median ratio of its ends",
            f"is {ratio:.1f}. If many LRs are equally good, it is chance which of them is the best of the grid.",
        ),
        "",
    ]


def _probe(results: Results) -> list[str]:
    summary = next((summary for summary in results.summaries if summary.method == ours.PROBE), None)
    if summary is None:
        return []
    answers = [outcome for outcome in summary.outcomes if outcome.lr is not None]
    regrets = [outcome.regret for outcome in answers if outcome.task in REPORT]
    hits = [contains for contains, _ in results.intervals(ours.PROBE)]
    if not regrets:
        return []
    return [
        "### The probe",
        "",
        *_prose(
            f"`learnrate.torch.probe` gives an answer in {len(answers)} of {len(summary.outcomes)} cases, for",
            f"{_percent(summary.cost)} of a training run. No answer, which counts as 0 points above, is an error with a",
            "reason: where the loss hardly falls the steps do not show the LR. On the",
            f"tasks on which its factors were not fitted its {len(regrets)} answers lose {mean(regrets):.2f} points on",
            f"average, {median(regrets):.2f} in the median and {max(regrets):.1f} at worst. Its interval contains the best",
            f"LR of the grid in {sum(hits)} of {len(hits)} answers.",
        ),
        "",
    ]


def _task(results: Results, task: TaskResult) -> str:
    grid = task.oracle
    best = [NOTHING] * 3
    if grid.lrs:
        points = f"{grid.best:.1f}" + ("" if task.about.metric == "accuracy" else f" ({task.about.metric})")
        best = [f"{grid.best_lr:.2g}", points, _span(task.near)]
    own = results.summary(OWN, [task])
    chosen = [outcome.lr for outcome in own.outcomes if outcome.lr is not None] if own else []
    cells = [
        f"`{task.name}`: {task.about.about}",
        f"{task.about.updates:,}",
        *best,
        f"{own.mean:.2f}" if own else NOTHING,
        _span(chosen) if own else NOTHING,
        _others(results, task),
    ]
    return "| " + " | ".join(cells) + " |"


def _others(results: Results, task: TaskResult) -> str:
    names = [name for name in task.outcomes if kind(name) not in (OURS, FREE)]
    others = [summary for name in names if (summary := results.summary(name, [task]))]
    if not others:
        return NOTHING
    others.sort(key=lambda summary: (summary.mean, summary.method))
    best, worst = others[0], others[-1]
    return f"{best.mean:.2f} ({best.method}) to {worst.mean:.2f} ({worst.method}{_unanswered(worst.outcomes)})"


def _unanswered(outcomes: Sequence[Outcome]) -> str:
    count = sum(outcome.lr is None for outcome in outcomes)
    return f", {count} without an answer" if count else ""


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
        "make bench-choice        # the two digits tasks, learnrate and the usual LR, two seeds: minutes, no data sets",
        "make bench-choice-all    # everything; installs the other libraries into .venv-bench: hours",
        "python -m benchmarks.choice --tasks digits_mlp --methods learnrate usual     # a part of it, in your own venv",
        "```",
        "",
        *_prose(
            "All tasks except the digits need data sets, in the folder that `LEARNRATE_DATA` names; a task without its data",
            f"is skipped with a message. Records in {RECORDS} are not made again unless",
            "the source of the task has changed. `make docs` writes this page and its figures from them.",
        ),
        "",
        "## Records",
        "",
        *_prose(
            f"The records, a file for each task, are in {RECORDS} (hash `{results.digest}`).",
            f"They contain {results.trainings:,} training runs and {results.updates:,} updates, including those of choices.",
            *_hours(results),
        ),
        "",
        *_origin(results),
    ]
    return [*lines, ""]


def _hours(results: Results) -> list[str]:
    hours = results.own_hours
    if hours is None:
        return []
    return [f"All choices of ours and the training runs at them take {hours:.1f} hours of one processor core."]


def _origin(results: Results) -> list[str]:
    if not results.machines:
        return ["There are no records yet."]
    packages = [f"{name} {' and '.join(sorted(versions))}" for name, versions in sorted(_packages(results).items())]
    own = sorted({version for name in ours.BUDGETS for version in results.method_versions.get(name, [])})
    mixed = [name for name, versions in results.method_versions.items() if len(versions) > 1]
    sentences = [f"Made on {'; '.join(results.machines)}; {', '.join(results.versions)}."]
    sentences += [f"Other libraries: {', '.join(packages)}."] if packages else []
    sentences += [f"The hash of learnrate's tuner is {' and '.join(f'`{version}`' for version in own)}."] if own else []
    sentences += [f"**Chosen by more than one version of the code: {'; '.join(mixed)}.**"] if mixed else []
    return _prose(*sentences)


def _packages(results: Results) -> dict[str, set[str]]:
    """Versions of the other libraries; the names of their methods begin with the name of the library."""
    packages: dict[str, set[str]] = {}
    for method, versions in results.method_versions.items():
        if kind(method) not in (OURS, USUAL):
            # What has no package has a hash alone as its version.
            released = {version.split("+")[0] for version in versions if "+" in version}
            if released:
                packages.setdefault(method.split()[0], set()).update(released)
    return packages
