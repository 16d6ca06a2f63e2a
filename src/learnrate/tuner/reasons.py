"""Why a plan is what it is, in sentences by section."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from learnrate import checks
from learnrate.finder import Bounds, NoAnswer
from learnrate.records import Fields
from learnrate.tuner.choice import Choice, Cost
from learnrate.tuner.families import Run
from learnrate.tuner.survey import Survey
from learnrate.tuner.trials import Rung, Trial


@dataclass(frozen=True)
class Reasons:
    """The reasons of a plan by section; iterating gives all sentences, `str` all sections with headings.

    Attributes:
        probe: What the probe shows, or why there is none.
        range_test: What the range test shows.
        trials: What the trials show.
        choice: How the schedule was chosen.
        cost: What tuning cost, and what a larger budget would gain.

    Example:
        >>> reasons = Reasons(cost=("Tuning cost 237 updates, 99 % of one training run (240).",))
        >>> print(reasons)
        Cost
          Tuning cost 237 updates, 99 % of one training run (240).
        >>> len(list(reasons))
        1
    """

    probe: tuple[str, ...] = ()
    range_test: tuple[str, ...] = ()
    trials: tuple[str, ...] = ()
    choice: tuple[str, ...] = ()
    cost: tuple[str, ...] = ()

    def sections(self) -> dict[str, tuple[str, ...]]:
        """The sentences of each section that has any, by its heading."""
        by_heading = {field.name.replace("_", " ").capitalize(): getattr(self, field.name) for field in fields(self)}
        return {heading: sentences for heading, sentences in by_heading.items() if sentences}

    def __iter__(self) -> Iterator[str]:
        return (sentence for sentences in self.sections().values() for sentence in sentences)

    def __str__(self) -> str:
        return "\n".join("\n  ".join((heading, *sentences)) for heading, sentences in self.sections().items())

    def as_record(self) -> dict[str, list[str]]:
        """The reasons in the form that JSON can hold."""
        return {field.name: list(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Reasons":
        """The inverse of `as_record`."""
        content = Fields(record)
        # Older plans have no reasons of a probe.
        names = [field.name for field in fields(cls) if field.name in record or field.name != "probe"]
        return cls(**{name: content.read(name, checks.several(checks.text)) for name in names})


def reasons_of(choice: Choice, survey: Survey, run: Run) -> Reasons:
    """The reasons for a choice."""
    return Reasons(
        probe=survey.probe_reasons,
        range_test=() if survey.bounds is None else tuple(range_test_reasons(survey.bounds)),
        trials=tuple(_trials(choice)),
        choice=tuple(_choice(choice, run)),
        cost=tuple(_cost(choice.cost, run)),
    )


def range_test_reasons(bounds: Bounds | NoAnswer) -> list[str]:
    """What a range test shows, in sentences."""
    if isinstance(bounds, NoAnswer):
        return [f"The range test alone gives no answer: {bounds.reason}"]
    return list(bounds.reasons)


def _trials(choice: Choice) -> Iterator[str]:
    for rung in choice.rungs:
        yield _rung(rung, choice.metric)
    yield f"They were made in this order: {_order(choice)}."
    yield f"The search stopped because {choice.stopped}."
    if choice.edge is not None:
        yield (
            f"LRs of {choice.edge:.2g} and above are unsafe: a trial there diverged, or learned nothing after a spike of "
            "the loss, or a trial at a lower LR had a large spike."
        )
    if choice.spike is not None:
        yield f"At LR {choice.spike:.2g} the loss had a large spike: no higher LR is chosen."
    if choice.by_executor:
        yield choice.by_executor
    elif choice.not_batchable:
        yield f"The trials ran one by one: {choice.not_batchable}."
    elif choice.batches:
        yield "Several trials at a time were trained as one batch."
    if choice.cut_trials:
        yield f"Trials without a result, because the time limit was reached: {choice.cut_trials}."
    if choice.unscored:
        yield f"Evaluations that are ignored, because they gave no finite number: {choice.unscored}."


def _choice(choice: Choice, run: Run) -> Iterator[str]:
    if choice.compared:
        results = "; ".join(f"{name} ({_result(trial, choice.metric)})" for name, trial in choice.compared)
        yield f"The family {choice.family} has the best trial; the best trials of the families are {results}."
    estimate = choice.estimate
    if choice.by_probe:
        yield "The trials do not show which LR is better: the LR is that of the first trial, which follows from the probe."
        yield f"The best LR is expected from {estimate.low:.2g} to {estimate.high:.2g}: the interval of the probe."
        return
    yield (
        f"max_lr {estimate.lr:.2g} has the lowest expected regret: an LR that is too high may diverge, an LR that is too "
        "low only trains more slowly."
    )
    yield (
        f"At a max_lr from {estimate.low:.2g} to {estimate.high:.2g} a run is expected to learn nearly as much: the "
        f"difference is at most {100 * estimate.tolerance:.0f} % of what the best trial learned."
    )
    tried = [trial.max_lr for rung in choice.rungs for trial in rung.trials]
    if choice.open_below:
        yield f"No LR below {min(tried):.2g}, the best one, was tried, so a lower LR may be better."
    if choice.open_above:
        yield f"No LR above {max(tried):.2g}, the best one, was tried, so a higher LR may be better."
    if choice.drift is not None:
        lr = f"an LR {100 * abs(choice.drift):.0f} % {'lower' if choice.drift < 0 else 'higher'} than"
        yield (
            f"A run of {run.updates} updates is expected to need {lr if choice.drift else 'the same LR as'} trials of "
            f"{choice.cost.longest}."
        )
    if choice.cycling:
        yield choice.cycling.reason


def _cost(cost: Cost, run: Run) -> Iterator[str]:
    yield f"Tuning cost {cost.spent} updates, {100 * cost.spent / run.updates:.0f} % of one training run ({run.updates})."
    if cost.longer > cost.longest:
        yield f"About {cost.more} more updates would allow trials of {cost.longer} updates instead of {cost.longest}."


def _order(choice: Choice) -> str:
    trials = [trial for trial in choice.trials if trial.family == choice.family]
    return ", ".join(f"{trial.max_lr:.2g} ({trial.purpose})" for trial in trials)


def _rung(rung: Rung, metric: str) -> str:
    results = "; ".join(_result(trial, metric) for trial in sorted(rung.trials, key=lambda trial: trial.max_lr))
    return f"Trials of {rung.updates} updates: {results}."


def _result(trial: Trial, metric: str) -> str:
    if trial.diverged:
        return f"LR {trial.max_lr:.2g}: diverged"
    score = "" if trial.score is None else f", {metric} {trial.score:.4g}"
    return f"LR {trial.max_lr:.2g}: loss {trial.loss:.3g}{score}"
