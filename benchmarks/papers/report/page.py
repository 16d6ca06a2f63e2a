"""The page docs/papers.md."""

import math
from collections.abc import Iterator

from benchmarks.papers import gpu
from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.range_tests import RANGE_TESTS
from benchmarks.papers.report import figure_3, pictures, why
from benchmarks.papers.report.claims import CLAIMS, HOLDS, OPEN, Claim, deciding, verdicts
from benchmarks.papers.report.headline import GOAL, PAPER, PLANS, Contender, Headline, headlines
from benchmarks.papers.report.results import Results, read
from benchmarks.papers.report.tables import NOT_RUN, accuracy, assumed, beside, ended_early, table
from benchmarks.papers.together.members import members

GPU_SEEDS, GPU_SECONDS = 3, 540.0
"""Trainings of each row in the command for a GPU, and what its limit leaves for them."""


def text(results: Results | None = None) -> list[str]:
    """The lines of the page."""
    results = read() if results is None else results
    return [
        "# The papers' experiments, run again",
        "",
        *_summary(results),
        *_claims(results),
        *_headline(results),
        *(line for name in EXPERIMENTS if name != PLANS for line in _experiment(results, name)),
        *figure_3.section(results.folder),
        *_runs(results),
    ]


def _summary(results: Results) -> Iterator[str]:
    """The summary at the top."""
    rows = [deciding(verdicts(results, claim)) for claim in CLAIMS]
    words = [row[1].word for row in rows if row is not None]
    shown = headlines(results)
    summary = (
        f"{words.count(HOLDS)} of {len(CLAIMS)} claims of the papers hold here,"
        f" {len(words) - words.count(HOLDS) - words.count(OPEN)} do not, {words.count(OPEN)} are open"
        f" because the seeds are too few to tell, {len(CLAIMS) - len(words)} were {NOT_RUN}."
    )
    yield from [f"**{summary if words else f'{len(CLAIMS)} claims of the papers: {NOT_RUN}.'}**", ""]
    if shown:
        yield from [*(f"- **At {headline.title}**: {_in_one_sentence(headline)}" for headline in shown), ""]
    for name in pictures.of(None, results):
        if name != "figure-3":
            yield from _picture(name)
    yield from [
        "Accuracies are percent on the test images. CIFAR-10 here is a JPEG copy of the original (quality 75), so that",
        "accuracies are somewhat lower: compare differences and ratios of updates, not the figures. The scale shortens",
        "every length alike: at a scale of 0.2, 70,000 updates (optimizer steps) are 14,000. Intervals are 95 %, over the",
        "seeds, of the paired difference ([how](statistics.md)).",
        "",
    ]


def _in_one_sentence(headline: Headline) -> str:
    parts = []
    for contender in headline.contenders:
        if contender.arm.name == "triangular2":
            parts.append(f"triangular2 {_reaches(contender)} (paper: {PAPER:g} times fewer)")
    own = headline.best_own
    plans = [contender for contender in headline.contenders if contender.own]
    if own is not None:
        parts.append(f"learnrate's own plan, {own.arm.name}, {_reaches(own)} (goal: {GOAL:g} times fewer)")
    elif plans:
        longest = max(contender.arm.updates for contender in plans)
        parts.append(f"no plan of learnrate's own reaches it in {longest:,} updates (goal: {GOAL:g} times fewer)")
    accuracy_of_fixed = f"the accuracy of the fixed LR after {headline.reference.updates:,} updates, {headline.target:.2f}"
    return f"to {accuracy_of_fixed}: " + ("; ".join(parts) or "only fixed was trained so far") + "."


def _reaches(contender: Contender) -> str:
    if math.isinf(contender.median):
        return f"does not reach it in {contender.arm.updates:,} updates"
    return f"needs {contender.median:,.0f} updates, {ratio(contender)} times fewer"


def ratio(contender: Contender, with_tuning: bool = False) -> str:
    """How many times fewer updates, or what is known of it."""
    low, high = contender.fewer(with_tuning).ratio
    if math.isinf(contender.median):
        return ""
    return f"{low:.1f}" if low == high else f"{low:.1f} to {high:.1f}"


def _claims(results: Results) -> Iterator[str]:
    rows = [(claim, *_cells(results, claim)) for claim in CLAIMS]
    yield from ["## What the papers claim", ""]
    yield from [
        "Points of accuracy, the first arm minus the second, with the 95 % interval. A claim that one arm is better holds",
        'if the interval is above 0; "as good" and "at least as good" hold if it excludes a loss of more than 1 point, for',
        "windows also a gain of more than 1 point. A claim does not hold if the interval excludes it; otherwise it is open.",
        "The intervals are not adjusted for the number of claims: a few of them may exclude 0 by chance.",
        "",
    ]
    yield from table(
        ("claim", "paper, points", "here, points", "holds?"),
        [
            [claim.text, "" if claim.paper is None else f"{claim.paper:+.1f}", figures, f"**{word}**" if figures else word]
            for claim, figures, word in rows
        ],
    )


def _cells(results: Results, claim: Claim) -> tuple[str, str]:
    """What was measured at each scale, and whether the claim holds."""
    rows = verdicts(results, claim)
    decides = deciding(rows)
    if decides is None:
        return "", NOT_RUN
    shown = "<br>".join(f"{measured.title}: {verdict.figures}" for measured, verdict in rows)
    size = decides[1].size
    return shown, decides[1].word + (f"; {size}" if size and decides[1].word != OPEN else "")


def _headline(results: Results) -> Iterator[str]:
    yield from ["## The headline: updates to the accuracy of a fixed LR", ""]
    shown = headlines(results)
    if not shown:
        yield from [NOT_RUN, ""]
        return
    yield from [
        "How many updates a training needs to reach the accuracy that the fixed LR has at its end. Times fewer: the length",
        "of the fixed training over the updates to this accuracy, which is measured every 500 updates (every 250 for",
        "learnrate's own plans, times the square root of the scale). Learnrate's own plans choose their LR by",
        "`learnrate.tune` on 5,000 of the training images, which then do not train; the last column counts the updates of",
        "this choice as well.",
        "",
        f"The paper's {PAPER:g} is the ratio of whole lengths, 70,000 over 25,000 updates, at the same accuracy in the end:",
        'see the columns "updates" and "minus fixed" for it. A training may reach this accuracy earlier by chance,',
        "because evaluations are noisy. The accuracy to reach is itself a mean over the seeds of the fixed LR; its",
        "uncertainty is not part of the intervals. If the seeds are too few for 95 %, the coverage of an interval is given.",
        "",
    ]
    for headline in shown:
        fixed = headline.reference
        yield from [f"### At {headline.title}", "", f"fixed, {fixed.updates:,} updates: {accuracy(fixed)}", ""]
        rows = [_headline_row(contender) for contender in headline.contenders]
        head = ("", "updates", "accuracy", "minus fixed", "reached after", "times fewer", "with the choice of the LR")
        yield from table(head, rows)


def _headline_row(contender: Contender) -> list[str]:
    difference, number = contender.better_by, len(contender.times)
    reached = f"{contender.reached} of {number}"
    if math.isfinite(contender.median):
        reached = f"{contender.median:,.0f} ({reached})"
    fewer = contender.fewer()
    low, high = fewer.interval
    coverage = "" if fewer.coverage >= fewer.level else f", {100 * fewer.coverage:g} %"
    interval = f" ({low:.1f} to {high:.1f}{coverage})" if ratio(contender) and low > 0 and math.isfinite(high) else ""
    better = "" if difference is None else f"{difference.mean:+.2f}"
    if difference is not None and math.isfinite(difference.interval[0]):
        better += " ({:+.2f} to {:+.2f})".format(*difference.interval)
    return [
        contender.arm.name,
        f"{contender.arm.updates:,}",
        accuracy(contender.arm),
        better,
        reached,
        f"**{ratio(contender)}**{interval}" if ratio(contender) else "",
        ratio(contender, with_tuning=True) if contender.tuning else "",
    ]


def _experiment(results: Results, name: str) -> Iterator[str]:
    measured = results.best(name)
    if measured is None:
        return
    experiment = EXPERIMENTS[name]
    yield from [f"## {experiment.title}", "", f"{experiment.source}.", ""]
    for picture in pictures.of(name, results):
        yield from _picture(picture)
    yield from why.differences(measured) if name == why.NAME else beside(results, name)
    remarks = [*assumed(measured), *experiment.notes]
    if remarks:
        yield from ["What the paper leaves open, or where this differs from it:", ""]
        yield from [*(f"- {remark}" for remark in remarks), ""]
    early = [f"{result.title}: {note}" for result in results.of(name) for note in ended_early(result)]
    if early:
        yield from ["Trainings that did not end as planned:", "", *(f"- {note}" for note in early), ""]
    yield from [f"`make paper NAME={name} SCALE={measured.scale:g}`", ""]


def _picture(name: str) -> list[str]:
    return [f"![{pictures.PICTURES[name].title}](images/papers/{name}.png)", ""]


def _runs(results: Results) -> Iterator[str]:
    yield from ["## What was run", ""]
    yield from [
        "The number of trainings. Each experiment is run, and continued after an interruption, by",
        "`make paper NAME=... SCALE=...` with `LEARNRATE_DATA` naming the folder of the data sets; its record is in",
        "[benchmarks/results/papers/](../benchmarks/results/papers/), and this page is made from the records alone.",
        "",
    ]
    wanted = [member for table in gpu.TABLES.values() for member in members(table, 1.0, range(GPU_SEEDS))]
    updates, operations = sum(member.row.updates for member in wanted), gpu.operations(wanted)
    yield from [
        f"On a GPU, `benchmarks/gpu.sh --papers` makes Tables 1 to 3 whole, {GPU_SEEDS} seeds, in one command of under 10",
        f"minutes: {len(wanted)} trainings with {updates / 1e6:.1f} million updates side by side,",
        f"{operations / 1e15:.0f} x 10^15 operations. That needs {operations / GPU_SECONDS / 1e12:.0f} TFLOP/s; on a slower",
        "GPU it leaves out seeds, and says which.",
        "",
    ]
    rows = []
    for name, experiment in EXPERIMENTS.items():
        measured = results.of(name)
        runs = "<br>".join(
            f"{result.title}: {sum(len(arm.trainings) for arm in result.comparison)} of"
            f" {max(result.seeds, 1) * len(experiment.by_name(result.scale))} ({result.seeds} seeds)"
            for result in measured
        )
        rows.append([f"`{name}`", experiment.title, runs or NOT_RUN])
    for name, test in RANGE_TESTS.items():
        rows.append([f"`{name}`", test.title, figure_3.runs(name, results.folder) or NOT_RUN])
    yield from table(("experiment", "", "trainings"), rows, numbers=False)
    machines = sorted(
        {
            _machine(machine)
            for measured in results.measured.values()
            for result in measured
            for machine in result.comparison.environments
        }
    )
    if machines:
        yield from ["Made with:", "", *(f"- {machine}" for machine in machines), ""]


def _machine(environment: object) -> str:
    values = dict(environment)  # type: ignore[call-overload]
    gpu = f", {values['gpu']}" if "gpu" in values else ""
    return f"{values.get('processor', '')}{gpu}, torch {values.get('torch', '')}, Python {values.get('Python', '')}"
