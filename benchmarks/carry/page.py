"""The page docs/carry.md, from the records and the rules: none of its numbers is written by hand."""

from collections.abc import Sequence
from itertools import product
from textwrap import fill

from benchmarks.carry.fit import (
    AS_TUNER,
    MOST,
    Case,
    Shift,
    cases,
    changed_alone,
    half_of,
    has_rules,
    is_within,
    keep,
    mean_regret,
    noise_scale_of,
    pairs,
    power_of_least_regret,
    power_of_shifts,
    rule,
    scatter,
    sizes,
)
from benchmarks.carry.noise import MANY
from benchmarks.carry.oracle import BASE_SEEDS, SEEDS
from benchmarks.carry.problems import PROBLEMS
from benchmarks.carry.setups import OPTIMIZERS, bases
from benchmarks.carry.store import Records
from benchmarks.carry.training import UPDATES
from learnrate.trainable import NOISE_BATCHES
from learnrate.tuner.carry import NAMES, RULES
from learnrate.tuner.thresholds import THRESHOLDS

NUMBERS = ("batch", "width", "depth", "updates")

LITERATURE = {
    ("adam", "batch"): "0.5 (arXiv 2205.10287)",
    ("sgd", "batch"): "1 (arXiv 1706.02677)",
    ("adam", "width"): "-1, hidden layers (arXiv 2203.03466)",
    ("sgd", "width"): "0, hidden layers (arXiv 2203.03466)",
    ("adam", "depth"): "-0.5, residual blocks (arXiv 2310.02244)",
    ("sgd", "depth"): "0, residual blocks (arXiv 2310.02244)",
}
"""What is published for the same parametrisation, or a near one."""


def text(records: Records) -> list[str]:
    """The lines of the page."""
    those, ours = cases(records, list(pairs())), rule(records)
    problems = "; ".join(f"{problem.about} ({problem.half})" for problem in PROBLEMS.values())
    lines = [
        "# How far an LR carries",
        "",
        *_prose(
            "`plan.carry(batch=, width=, depth=, updates=)` gives the LR for another set-up without training. This",
            "page says what its rules were measured on (`python -m benchmarks.carry`), and what they gain over",
            "keeping the LR.",
        ),
        "",
        *_prose(
            "A set-up is measured on a grid of LRs, factors of two apart, by the mean metric on test data of",
            f"{SEEDS} seeds ({BASE_SEEDS} at the base set-ups). Trainings have {UPDATES} updates with 10 % warm-up",
            "and cosine; a quarter of that, or four times, where the length changes. SGD has a momentum of 0.9.",
            "There are two problems for each kind of net; the powers were chosen on those for the fit, which were",
            f"fixed before: {problems}.",
        ),
        "",
        *_prose(
            "The LR of a set-up is that of the lowest expected regret, as `tune` chooses it, with an uncertainty of",
            f"{THRESHOLDS.spread:g} doublings. Regret is what a training run at an LR loses against the best LR of",
            f"its set-up, in points of accuracy or R2, at most {MOST:.0f}. *Kept* is the regret at the LR from",
            "before the change, *carried* that at the LR of `carry`.",
        ),
        "",
        "## The result",
        "",
        *by_kind(those, ours),
        *_prose(intervals(those, records)),
        "",
        "## By what changed",
        "",
        *_prose(
            "*Best power* has the lowest mean regret on the problems of its half; in parentheses the power that",
            "follows from how far the best LRs moved (least squares). For the batch both apply up to the noise",
            "scale. Regrets are those of the problems for the report.",
        ),
        "",
        *by_change(those, ours, records),
        *together(those, ours),
        "## The noise scale",
        "",
        *noise(records),
        "## Records",
        "",
        *origin(records),
    ]
    return [*lines, ""]


def by_kind(those: Sequence[Case], ours: Shift) -> list[str]:
    """A row for each kind of net and optimizer."""
    report = [case for case in half_of(those, "report") if has_rules(case)]
    kinds = sorted({problem.kind for problem in PROBLEMS.values()})
    lines = [
        "| net | optimizer | cases | kept | carried | worst kept | worst carried |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for kind, optimizer in (*product(kinds, OPTIMIZERS), *product(["all"], OPTIMIZERS)):
        chosen = [
            case for case in report if case.base.optimizer == optimizer and kind in ("all", PROBLEMS[case.base.problem].kind)
        ]
        if chosen:
            means = f"{_points(chosen, keep)} | {_points(chosen, ours)}"
            worst = " | ".join(f"{max(case.regret(shift) for case in chosen):.1f}" for shift in (keep, ours))
            lines.append(f"| {kind} | {NAMES[optimizer]} | {len(chosen)} | {means} | {worst} |")
    return ["On the problems for the report:", "", *lines, ""]


def intervals(those: Sequence[Case], records: Records) -> str:
    """On what the intervals are widened by."""
    report = [case for case in half_of(those, "report") if has_rules(case)]
    within = sum(is_within(records, case) for case in report)
    return (
        f"In {within} of these {len(report)} cases the best LR lies within the factor by which `carry` widens the interval "
        "on either side."
    )


def by_change(those: Sequence[Case], ours: Shift, records: Records) -> list[str]:
    """A row for each optimizer and each number of the set-up that changes alone."""
    lines = [
        "| changed | optimizer | power | best power, fit | best power, report | published | kept | carried | scatter |",
        "|---|---|---:|---:|---:|---|---:|---:|---|",
    ]
    for name, optimizer in product(NUMBERS, OPTIMIZERS):
        halves = [half_of(changed_alone(those, optimizer, name), half) for half in ("fit", "report")]
        if all(halves):
            size = sizes(records, name)
            powers = [f"{power_of_least_regret(half, size)[0]:.2f} ({power_of_shifts(half, size):.2f})" for half in halves]
            published = LITERATURE.get((optimizer, name), "")
            own, carried, scatters = "none", "refused", ""
            if name in RULES[optimizer]:
                own, carried = f"{RULES[optimizer][name].power:g}", _points(halves[1], ours)
                scatters = ", ".join(f"{scatter(half, ours, name):.2f}" for half in halves)
            regrets = f"{_points(halves[1], keep)} | {carried} | {scatters}"
            lines.append(f"| {name} | {NAMES[optimizer]} | {own} | {' | '.join(powers)} | {published} | {regrets} |")
    return [*lines, ""]


def together(those: Sequence[Case], ours: Shift) -> list[str]:
    """On set-ups in which several numbers change."""
    chosen = [case for case in half_of(those, "report") if len(case.changed) > 1 and has_rules(case)]
    if not chosen:
        return []
    means = f"{_points(chosen, keep)} kept and {_points(chosen, ours)} carried"
    return [*_prose(f"Where several numbers change ({len(chosen)} cases for the report) the mean regret is {means}."), ""]


def noise(records: Records) -> list[str]:
    """A row for each base set-up: the noise scale as the tuner measures it, and more exactly."""
    many = AS_TUNER.replace(f"{NOISE_BATCHES} batches", f"{MANY} batches")
    lines = [
        *_prose(
            "In examples (of the GPT: windows of text), at the base set-up, at the end of a trial of a quarter of",
            f"the run, by seed. A trial can afford {NOISE_BATCHES} batches; what they show is at most the number of",
            "examples in them.",
        ),
        "",
        f"| problem | optimizer | batch | from {NOISE_BATCHES} batches | from {MANY} batches | used |",
        "|---|---|---:|---|---|---:|",
    ]
    for base in bases():
        scales = [scale for (setup, _), scale in records.noise.items() if setup == base]
        if scales:
            columns = " | ".join(", ".join(f"{scale[key]:.0f}" for scale in scales) for key in (AS_TUNER, many))
            problem = PROBLEMS[base.problem]
            used = f"{noise_scale_of(records, base):.0f}"
            lines.append(f"| {problem.about} | {NAMES[base.optimizer]} | {problem.batch} | {columns} | {used} |")
    return [*lines, ""]


def origin(records: Records) -> list[str]:
    """Hardware and versions."""
    machines = sorted({f"{header['processor']} ({header['cores']} cores, one thread used)" for header in records.headers})
    packages = ("Python", "torch", "numpy")
    versions = sorted({", ".join(f"{name} {header[name]}" for name in packages) for header in records.headers})
    setups = {setup for setup, _, _ in records.runs}
    return _prose(
        f"[benchmarks/results/carry.jsonl](../benchmarks/results/carry.jsonl): {len(records.runs):,} training runs of",
        f"{len(setups)} set-ups, made on {'; '.join(machines)}; {'; '.join(versions)}. What is recorded is not made again.",
    )


def _points(those: Sequence[Case], shift: Shift) -> str:
    return f"{mean_regret(those, shift):.2f}"


def _prose(*lines: str) -> list[str]:
    return fill(" ".join(lines), 120, break_long_words=False, break_on_hyphens=False).splitlines()
