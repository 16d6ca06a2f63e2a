"""Regret and cost of each method, from the records."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from benchmarks.choice.about import About, about
from benchmarks.choice.oracle import Oracle, known
from benchmarks.choice.store import Records

SEEDS = (0, 1, 2, 3, 4)

DISASTER = 10.0
"""Points of regret."""


@dataclass(frozen=True)
class Outcome:
    """What came of a method on one task with one seed.

    Attributes:
        task: Name of the task.
        seed: The seed.
        lr: What was chosen; None for no answer, and for optimizers that choose none.
        regret: Best mean metric of the oracle, less the metric of the whole training, in points. A metric below 0 counts as
            0, and so does no answer.
        cost: Updates made to choose, as a share of one training.
        disaster: Whether the regret is above 10 points, the training diverged, or there was no answer.
    """

    task: str
    seed: int
    lr: float | None
    regret: float
    cost: float
    disaster: bool


@dataclass(frozen=True)
class Summary:
    """A method over all tasks and seeds."""

    method: str
    outcomes: tuple[Outcome, ...]

    @property
    def regrets(self) -> list[float]:
        """Of every task and seed."""
        return [one.regret for one in self.outcomes]

    @property
    def mean(self) -> float:
        """Mean regret."""
        return mean(self.regrets)

    @property
    def median(self) -> float:
        """Median regret."""
        return median(self.regrets)

    @property
    def worst(self) -> float:
        """Largest regret."""
        return max(self.regrets)

    @property
    def disasters(self) -> int:
        """How many."""
        return sum(one.disaster for one in self.outcomes)

    @property
    def cost(self) -> float:
        """Mean cost."""
        return mean(one.cost for one in self.outcomes)

    def of_task(self, task: str) -> list[Outcome]:
        """Its outcomes on one task."""
        return [one for one in self.outcomes if one.task == task]


def outcomes(records: Records, task: About, seeds: Sequence[int] = SEEDS) -> dict[str, list[Outcome]]:
    """What came of each method on a task, as far as the records go."""
    oracle = known(records, task)
    found: dict[str, list[Outcome]] = {}
    if not oracle.lrs:
        return found
    for (method, seed), choice in sorted(records.choices.items()):
        cost = choice.spent / task.updates
        run = records.runs.get((choice.lr, seed, task.updates)) if choice.lr is not None else None
        if seed not in seeds or (choice.lr is not None and run is None):
            continue
        metric = run.test if run is not None else 0.0
        failed = run is None or run.diverged
        found.setdefault(method, []).append(_outcome(records.task, seed, choice.lr, oracle, metric, cost, failed))
    for (method, seed), run in sorted(records.free.items()):
        if seed in seeds:
            found.setdefault(method, []).append(_outcome(records.task, seed, None, oracle, run.test, 0.0, run.diverged))
    return found


def _outcome(task: str, seed: int, lr: float | None, oracle: Oracle, metric: float, cost: float, failed: bool) -> Outcome:
    regret = oracle.best - max(0.0, metric)
    return Outcome(task, seed, lr, regret, cost, failed or regret > DISASTER)


def gathered(held: dict[str, Records], seeds: Sequence[int] = SEEDS) -> list[Summary]:
    """Each method as far as the records of these tasks go."""
    table: dict[str, list[Outcome]] = {}
    for name, records in held.items():
        for method, found in outcomes(records, about(name), seeds).items():
            table.setdefault(method, []).extend(found)
    return [Summary(name, tuple(found)) for name, found in table.items()]


def summaries(held: dict[str, Records], seeds: Sequence[int] = SEEDS) -> list[Summary]:
    """Each method that has finished every task with every seed, best mean first."""
    whole = [summary for summary in gathered(held, seeds) if len(summary.outcomes) == len(held) * len(seeds)]
    return sorted(whole, key=lambda summary: (summary.mean, summary.method))
