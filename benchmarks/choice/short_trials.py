"""What short trials can know: the regret of an LR that is the best of trials at every LR of a grid.

    python -m benchmarks.choice.short_trials [--processes 2]

No search that trains only trials of this length can be expected to lose less. Trials train as those of `tune`: the schedule
of the run, shortened to their length. The grid is centred at the best LR of the oracle, which favours the trials; a factor
that is fitted afterwards, on the very tasks that it is judged on, favours them again. Records, a line for each trial, are in
benchmarks/results/short_trials.jsonl and are not made again.
"""

import argparse
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from itertools import islice
from multiprocessing import get_context
from statistics import mean, median

import torch

from benchmarks.choice.about import about, names
from benchmarks.choice.halves import half
from benchmarks.choice.oracle import Oracle, recorded_oracle
from benchmarks.choice.run import load
from benchmarks.choice.store import Records
from benchmarks.choice.training import built, endless, schedule, step
from benchmarks.measure import RESULTS
from learnrate.tuner import budget
from learnrate.tuner.request import trial_length
from learnrate.tuner.trials import squeezed

RECORDS = RESULTS / "short_trials.jsonl"
SEEDS = (0, 1)
STEPS = range(-3, 4)
"""LRs of the grid in doublings from the best LR of the oracle."""

MULTIPLES = (1, 2)
"""Lengths of trials, in those of a trial of the usual budget."""

FACTORS = tuple(2 ** (quarter / 4) for quarter in range(-6, 7))
"""By what the LRs may be multiplied afterwards."""


@dataclass(frozen=True)
class ShortTrial:
    """One trial.

    Attributes:
        task: Name of the task.
        seed: What the weights and the order of the data follow from.
        multiple: Its length, in those of a trial of the usual budget.
        updates: Its length in updates.
        lr: Peak of its schedule.
        loss: Mean training loss of its last fifth; infinite if it diverged.
    """

    task: str
    seed: int
    multiple: int
    updates: int
    lr: float
    loss: float

    @property
    def key(self) -> tuple[str, int, int, float]:
        """What is not made twice."""
        return self.task, self.seed, self.multiple, self.lr


@dataclass(frozen=True)
class Limit:
    """What trials of one length lose on the tasks of one half, in points of curve regret.

    Attributes:
        tasks: Number of tasks.
        share: Mean length of a trial as a share of a training run.
        single: Mean over tasks and seeds for the best LR of the trials of one seed.
        averaged: Mean over tasks for the best LR of the mean losses of all seeds.
        fitted: The same as `single` with all LRs multiplied by the factor that suits these tasks best.
        median: The median over tasks of that.
        factor: The factor.
    """

    tasks: int
    share: float
    single: float
    averaged: float
    fitted: float
    median: float
    factor: float


def trials_of(name: str) -> Iterator[ShortTrial]:
    """Train all trials of a task that have no record."""
    torch.set_num_threads(1)
    task, recorded = load(name), {trial.key for trial in read()}
    usual = trial_length(budget.usual(task.updates), task.updates)
    for seed in SEEDS:
        for multiple in MULTIPLES:
            updates = min(multiple * usual, task.updates)
            for doublings in STEPS:
                lr = _oracle(name).best_lr * 2.0**doublings
                if (name, seed, multiple, lr) in recorded:
                    continue
                model, optimizer = built(task, seed)
                values = squeezed(schedule(lr, task.updates), updates, task.updates)
                losses = []
                for value, batch in zip(values, islice(endless(task.batches()), updates), strict=True):
                    for group in optimizer.param_groups:
                        group["lr"] = float(value)
                    losses.append(step(task, model, optimizer, batch))
                    if not math.isfinite(losses[-1]):
                        break
                loss = mean(losses[-max(1, updates // 5) :])
                yield ShortTrial(name, seed, multiple, updates, lr, loss if math.isfinite(loss) else math.inf)


def record_task(name: str) -> str:
    """Train the trials of a task, and append each to the records."""
    for trial in trials_of(name):
        with RECORDS.open("a") as file:
            file.write(json.dumps(asdict(trial)) + "\n")
    return name


def read() -> list[ShortTrial]:
    """All recorded trials."""
    if not RECORDS.exists():
        return []
    return [ShortTrial(**json.loads(line)) for line in RECORDS.read_text().splitlines()]


def limits(name_of_half: str, trials: Sequence[ShortTrial]) -> dict[int, Limit]:
    """What trials lose on the tasks of a half whose trials are all recorded, by the multiple of their length."""
    by_multiple: dict[int, list[ShortTrial]] = defaultdict(list)
    recorded = Counter(trial.task for trial in trials)
    for trial in trials:
        if half(trial.task) == name_of_half and recorded[trial.task] == len(SEEDS) * len(MULTIPLES) * len(STEPS):
            by_multiple[trial.multiple].append(trial)
    return {multiple: _limit(of_length) for multiple, of_length in sorted(by_multiple.items())}


def _limit(trials: Sequence[ShortTrial]) -> Limit:
    by_task: dict[str, list[ShortTrial]] = defaultdict(list)
    for trial in trials:
        by_task[trial.task].append(trial)
    averaged = [_regret(name, _best(of_task), 1.0) for name, of_task in by_task.items()]

    def single(factor: float) -> list[float]:
        """For each task, the mean over its seeds."""
        return [
            mean(_regret(name, _best([trial for trial in of_task if trial.seed == seed]), factor) for seed in SEEDS)
            for name, of_task in by_task.items()
        ]

    factor = min(FACTORS, key=lambda factor: mean(single(factor)))
    return Limit(
        tasks=len(by_task),
        share=mean(trial.updates / about(trial.task).updates for trial in trials),
        single=mean(single(1.0)),
        averaged=mean(averaged),
        fitted=mean(single(factor)),
        median=median(single(factor)),
        factor=factor,
    )


def _best(trials: Sequence[ShortTrial]) -> float:
    """The LR with the lowest mean loss, by a parabola through it and its neighbours in log2."""
    losses: dict[float, list[float]] = defaultdict(list)
    for trial in trials:
        losses[trial.lr].append(trial.loss)
    lrs = sorted(losses)
    means = [mean(losses[lr]) for lr in lrs]
    best = means.index(min(means))
    around = means[max(0, best - 1) : best + 2]
    curvature = around[0] - 2 * around[1] + around[2] if len(around) == 3 and all(map(math.isfinite, around)) else 0.0
    shift = 0.5 * (around[0] - around[2]) / curvature if curvature > 0 else 0.0
    return lrs[best] * 2.0**shift


def _regret(name: str, lr: float, factor: float) -> float:
    oracle = _oracle(name)
    return oracle.best - oracle.at(lr * factor)


@cache
def _oracle(name: str) -> Oracle:
    return recorded_oracle(Records(name), about(name))


def section() -> list[str]:
    """The lines of docs/choice.md about it; none without records."""
    trials = read()
    if not trials:
        return []
    lines = [
        "## What short trials can know",
        "",
        "How much does the best LR of trials lose if one is trained at every LR of the grid, whatever that costs? The grid",
        f"is that of the oracle, {-STEPS[0]} doublings to either side of the best LR; the schedule is shortened to the",
        "trial. The last two columns multiply all LRs by the factor that suits these very tasks best. Curve regrets:",
        "",
        f"| half, tasks | length of a trial | one seed | {len(SEEDS)} seeds | one seed, with a factor: mean | median |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name_of_half in ("design", "report"):
        for limit in limits(name_of_half, trials).values():
            fitted = f"{limit.fitted:.2f} (x {limit.factor:.2g})"
            cells = [
                f"{name_of_half}, {limit.tasks}",
                f"{100 * limit.share:.0f} % of the run",
                f"{limit.single:.2f}",
                f"{limit.averaged:.2f}",
            ]
            lines.append("| " + " | ".join([*cells, fitted, f"{limit.median:.2f}"]) + " |")
    return [*lines, ""]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        for name in pool.map(record_task, names()):
            print(name, flush=True)
    for name_of_half in ("design", "report"):
        print(name_of_half, limits(name_of_half, read()))


if __name__ == "__main__":
    main()
