"""The regret and the cost of each method, from the records."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median

from benchmarks.choice.about import About, about
from benchmarks.choice.oracle import SEEDS as ORACLE_SEEDS
from benchmarks.choice.oracle import Oracle, recorded_oracle
from benchmarks.choice.store import Records

SEEDS = (0, 1, 2, 3, 4)

DISASTER = 10.0
"""Points of regret."""

FLOOR = "the floor"
"""The name of choices from training runs at every LR of the grid."""


@dataclass(frozen=True)
class Outcome:
    """The result of a method on one task with one seed.

    Attributes:
        task: Name of the task.
        seed: The seed.
        lr: The chosen LR; None for no answer, and for optimizers that choose none.
        regret: Best mean metric of the oracle minus the metric of the training run, in points. A metric below 0 counts as 0,
            and so does no answer.
        curve: The same for the mean metric of the oracle at the chosen LR (`Oracle.at`), without the luck of a single
            training run. For an optimizer that chooses no LR it is the regret, whose mean over seeds is what is expected.
        cost: Updates made to choose, as a share of one training run.
        disaster: Whether the regret is above 10 points, the training run diverged, or there was no answer.
    """

    task: str
    seed: int
    lr: float | None
    regret: float
    curve: float
    cost: float
    disaster: bool


@dataclass(frozen=True)
class Summary:
    """A method over all tasks and seeds."""

    method: str
    outcomes: tuple[Outcome, ...]

    @property
    def regrets(self) -> list[float]:
        """The regret of every task and seed."""
        return [outcome.regret for outcome in self.outcomes]

    @property
    def mean(self) -> float:
        """Mean regret."""
        return mean(self.regrets)

    @property
    def curve(self) -> float:
        """Mean regret on the mean curves."""
        return mean(outcome.curve for outcome in self.outcomes)

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
        """Number of disasters."""
        return sum(outcome.disaster for outcome in self.outcomes)

    @property
    def cost(self) -> float:
        """Mean cost."""
        return mean(outcome.cost for outcome in self.outcomes)

    def of_task(self, task: str) -> list[Outcome]:
        """Its outcomes on one task."""
        return [outcome for outcome in self.outcomes if outcome.task == task]


def outcomes(records: Records, task: About, seeds: Sequence[int] = SEEDS) -> dict[str, list[Outcome]]:
    """The recorded results of each method on a task."""
    oracle = recorded_oracle(records, task)
    table: dict[str, list[Outcome]] = {}
    if not oracle.lrs:
        return table
    for (method, seed), choice in sorted(records.choices.items()):
        cost = choice.spent / task.updates
        run = records.runs.get((choice.lr, seed, task.updates)) if choice.lr is not None else None
        if seed not in seeds or (choice.lr is not None and run is None):
            continue
        metric = run.test if run is not None else 0.0
        failed = run is None or run.diverged
        table.setdefault(method, []).append(_outcome(records.task, seed, choice.lr, oracle, metric, cost, failed))
    for (method, seed), run in sorted(records.free.items()):
        if seed in seeds:
            table.setdefault(method, []).append(_outcome(records.task, seed, None, oracle, run.test, 0.0, run.diverged))
    return table


def _outcome(task: str, seed: int, lr: float | None, oracle: Oracle, metric: float, cost: float, failed: bool) -> Outcome:
    regret = oracle.best - max(0.0, metric)
    curve = oracle.best - oracle.at(lr) if lr is not None else regret
    return Outcome(task, seed, lr, regret, curve, cost, failed or regret > DISASTER)


def floor(records_of: dict[str, Records]) -> Summary | None:
    """What remains if validation data chooses from training runs at every LR of the grid, for each seed of the oracle.

    No method that trains on the same data can be expected to lose less: what remains is the difference between validation
    and test data and between training runs. None if there is no oracle.
    """
    chosen = []
    for name, records in records_of.items():
        task = about(name)
        oracle = recorded_oracle(records, task)
        for seed in ORACLE_SEEDS if oracle.lrs else ():
            runs = [records.runs[lr, seed, task.updates] for lr in oracle.lrs]
            best = max(runs, key=lambda run: run.validation)
            chosen.append(_outcome(name, seed, best.lr, oracle, best.test, float(len(runs)), best.diverged))
    return Summary(FLOOR, tuple(chosen)) if chosen else None


def summaries(records_of: dict[str, Records], seeds: Sequence[int] = SEEDS) -> list[Summary]:
    """The recorded results of each method on these tasks."""
    table: dict[str, list[Outcome]] = {}
    for name, records in records_of.items():
        for method, results in outcomes(records, about(name), seeds).items():
            table.setdefault(method, []).extend(results)
    return [Summary(name, tuple(results)) for name, results in table.items()]


def finished(records_of: dict[str, Records], seeds: Sequence[int] = SEEDS) -> list[Summary]:
    """The methods that have finished every task with every seed, best mean first."""
    needed = len(records_of) * len(seeds)
    complete = [summary for summary in summaries(records_of, seeds) if len(summary.outcomes) == needed]
    return sorted(complete, key=lambda summary: (summary.mean, summary.method))
