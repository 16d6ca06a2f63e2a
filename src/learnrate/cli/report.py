"""What `learnrate tune` prints."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from learnrate import records
from learnrate.finder import Bounds, Curve, NoAnswer
from learnrate.schedules import parse
from learnrate.study import Comparison, Outcome
from learnrate.tuner import Plan
from learnrate.tuner.reasons import range_test_reasons


def print_range_test(console: Console, curve: Curve, bounds: Bounds | NoAnswer) -> None:
    """How the range test ended, and what was read off it."""
    print_section(console, f"Range test, {len(curve)} updates", (*curve.notes, *range_test_reasons(bounds)))


def print_plan(console: Console, plan: Plan) -> None:
    """The trials, the choice and its cost; last the schedule as the expression that rebuilds it."""
    for heading, sentences in plan.reasons.sections().items():
        if heading != "Range test":  # printed as soon as the range test has ended
            print_section(console, heading, sentences)
    print_section(console, "Plan", ())
    console.print(f"  [bold]{escape(repr(plan.schedule))}[/bold]")


def print_section(console: Console, heading: str, sentences: tuple[str, ...]) -> None:
    """A heading and sentences, one on each line."""
    console.print(f"\n[bold]{escape(heading)}[/bold]")
    for sentence in sentences:
        console.print(f"  {escape(sentence)}")


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Mean, spread and every score of each arm."""
    seeds = len(comparison.arms[0].trainings)
    how_many = "one seed" if seeds == 1 else f"{seeds} seeds each"
    console.print(f"\n[bold]Comparison[/bold]: training runs of {comparison.updates} updates, {how_many}")
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    table.add_column("  learning rate")
    for heading in (comparison.score_title, "spread", "each seed"):
        table.add_column(heading, justify="right")
    for arm in comparison.arms:
        scores = "  ".join(f"{score:.4f}" for score in arm.scores)
        spread = f"± {arm.std:.4f}" if len(arm.scores) > 1 else "one seed"
        table.add_row(f"  {arm_label(arm)}", f"{arm.mean:.4f}", spread, scores)
    console.print(table)


def arm_label(arm: Outcome) -> str:
    """The name of an arm, with its LR if that is constant."""
    return f"constant {parse(arm.schedule)(0):g}" if arm.name == "constant" else arm.name


def plan_summary(plan: Plan) -> dict[str, Any]:
    """The plan as --json prints it; plan.json holds the trials, and the probe or the curve, as well."""
    record = plan.as_record()
    return {key: value for key, value in record.items() if key not in ("bounds", "trials", "probe", "curve")}


def comparison_summary(comparison: Comparison) -> dict[str, Any]:
    """The comparison as --json prints it; trainings.json holds every loss."""

    def summary(arm: Outcome) -> dict[str, Any]:
        lr = {"lr": parse(arm.schedule)(0)} if arm.name == "constant" else {"schedule": arm.schedule}
        return {
            **lr,
            "seeds": [training.seed for training in arm.trainings],
            "metric": comparison.metric,
            "scores": [records.encode_float(score) for score in arm.scores],
            "mean": records.encode_float(arm.mean),
            "std": records.encode_float(arm.std) if len(arm.scores) > 1 else None,
        }

    return {arm.name: summary(arm) for arm in comparison.arms}
