"""Tuning at the start of a trainer's own run: what is said, and what happens without an answer."""

from collections.abc import Callable
from dataclasses import dataclass

from learnrate import checks
from learnrate.errors import NoAnswerError
from learnrate.tuner.plan import Plan, interval_text
from learnrate.tuner.reasons import Reasons
from learnrate.tuner.request import Request

LONG = 1_000_000
"""Updates of a run for which arguments are checked before the run is known. What depends on the run is checked in it."""

Report = Callable[[str], None]
"""Called with a text of one or several lines, such as `print` or the method of a logger."""


@dataclass(frozen=True)
class Setting:
    """What a trainer had set before it was tuned.

    Attributes:
        lr: The LR, the largest if groups differ; None if it is not known.
        schedule: The schedule, as its user would name it; empty if there is none.
    """

    lr: float | None
    schedule: str = ""

    def __str__(self) -> str:
        lr = "an unknown LR" if self.lr is None else f"LR {self.lr:.3g}"
        return f"{lr} and {self.schedule}" if self.schedule else lr


def check_arguments(budget: object, family: object, low: object, high: object, progress: object) -> None:
    """Refuse, where a callback is built, what no run can be tuned with.

    Args:
        budget: See `learnrate.tune`, like the others.
        family: Names are checked; a function may depend on the run.
        low: The lowest LR.
        high: The highest LR.
        progress: None or a function.

    Raises:
        ArgumentError: if a number breaks its rule, or a name is unknown.
        ArgumentTypeError: if an argument is of the wrong kind.
    """
    Request.of(updates=LONG, budget=budget, low=low, high=high)  # type: ignore[arg-type]
    for name in family if isinstance(family, (list, tuple)) else [family]:
        if isinstance(name, str):
            Request.of(updates=LONG, family=name)
    checks.function_or_none("progress", progress, "(name of the stage, updates so far, updates planned)")


def tune_in_place(
    tune: Callable[[], Plan], before: Setting, *, require: bool = False, report: Report = print
) -> Plan | None:
    """Tune at the start of a run, and say what was set before, what is chosen, why, and what it cost.

    The adapter gives `tune` what gives the training back, and sets the LR and the schedule of the plan.

    Args:
        tune: Makes the plan.
        before: What the trainer had set.
        require: Whether no answer is an error. Otherwise the run goes on with what was set before, and the report says why.
        report: Receives the text.

    Returns:
        The plan; None if there is no answer.

    Raises:
        NoAnswerError: if there is no answer and `require` is true.

    Example:
        >>> def fails():
        ...     raise NoAnswerError("Every LR diverged.", "Give a lower one.")
        >>> tune_in_place(fails, Setting(5e-5, "linear"))
        learnrate: no answer. The run goes on with LR 5e-05 and linear. Every LR diverged. Give a lower one.
    """
    checks.flag("require", require)
    try:
        plan = tune()
    except NoAnswerError as error:
        if require:
            raise
        report(f"learnrate: no answer. The run goes on with {before}. {error.reason} {error.remedy}")
        return None
    report(announcement(plan, before))
    return plan


def announcement(plan: Plan, before: Setting) -> str:
    """The plan in a few lines: the LR in place of the one before, the interval, the cost, and the reasons."""
    return "\n".join(
        [
            f"learnrate: max_lr {plan.max_lr:.2g} (nearly as good: {interval_text(*plan.interval)}) in place of {before}",
            f"  schedule: {plan.schedule}",
            f"  cost: {plan.spent:,} updates, {100 * plan.cost:.0f} % of the run",
            *(f"  {line}" for line in _lines(plan.reasons)),
        ]
    )


def _lines(reasons: Reasons) -> list[str]:
    return str(reasons).splitlines()
