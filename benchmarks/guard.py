"""What a guard saves: real trainings with injected faults, with and without it, beside the same trainings without faults.

python -m benchmarks.guard [--tasks digits_cnn ...] [--again]

Tasks are those of `benchmarks/choice`, at their best LR there, over 1,000 updates in two cycles with a warm-up each. Each
training run is a line of benchmarks/results/guard.jsonl, written as soon as it is complete, and not made again.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import learnrate as lr
from benchmarks.choice.about import about
from benchmarks.choice.oracle import recorded_oracle
from benchmarks.choice.run import load
from benchmarks.choice.store import RESULTS as CHOICES
from benchmarks.choice.store import Records
from benchmarks.choice.task import Task
from benchmarks.choice.training import built, endless
from benchmarks.measure import RESULTS, hardware, versions
from learnrate.control import guard

TASKS = (
    *("adult_mlp", "california_mlp", "digits_adam", "mnist_autoencoder"),
    *("fashion_mlp", "digits_cnn", "fashion_cnn", "mnist_vit"),
)
UPDATES, CYCLE, WARMUP = 1000, 500, 50
AT = 640
"""The update of a fault in the data: in the second cycle, far from its ends."""
RUN_OF = 20
"""Batches in a row that are corrupted."""
SEEDS = (0, 1, 2)
CLEAN_SEEDS = (0, 1, 2, 3, 4, 5)
"""Without faults, because the noise between seeds is what the others are measured by."""

PATH = RESULTS / "guard.jsonl"

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Run:
    """A training run and how it ended.

    Attributes:
        task: Name of the task.
        fault: What was injected; "none" for nothing.
        guarded: Whether a guard was at work.
        seed: What weights and order of the data follow from.
        lr: Peak of the schedule.
        test: Points on test data.
        updates: Updates that were made.
        skips: Batches that the guard left out.
        rollbacks: How often it put a snapshot back.
        stopped: Whether it gave the run up.
        report: What it did.
    """

    task: str
    fault: str
    guarded: bool
    seed: int
    lr: float
    test: float
    updates: int
    skips: int = 0
    rollbacks: int = 0
    stopped: bool = False
    report: str = ""

    @property
    def key(self) -> tuple[str, str, bool, int]:
        """Tells it from others."""
        return self.task, self.fault, self.guarded, self.seed


def nan_batch(n: int, x: Tensor, y: Tensor) -> Batch:
    """One batch has a NaN."""
    if n == AT:
        x = x.clone()
        x.view(-1)[0] = float("nan")
    return x, y


def corrupted_run(n: int, x: Tensor, y: Tensor) -> Batch:
    """A run of batches has not been scaled (pixels of 0 to 255, not of 0 to 1), and its targets are in another order."""
    return (255 * x, y.roll(1, 0)) if AT <= n < AT + RUN_OF else (x, y)


def intact(n: int, x: Tensor, y: Tensor) -> Batch:
    """Nothing is wrong with the data."""
    return x, y


SPIKE = "the loss of a batch times 10,000"
RESTART = "an LR 10 times too high at the restart"
DATA: dict[str, Callable[[int, Tensor, Tensor], Batch]] = {
    "a NaN in a batch": nan_batch,
    f"{RUN_OF} corrupted batches in a row": corrupted_run,
}
FAULTS = (*DATA, SPIKE, RESTART)
"""What is injected."""


def schedule(max_lr: float, fault: str) -> lr.Schedule:
    """Two cycles; the second one is ten times as high, and without a warm-up, if that is the fault."""
    if fault != RESTART:
        return lr.warm_restarts(max_lr, period=CYCLE, warmup=WARMUP, cycles=2)
    first = lr.warm_restarts(max_lr, period=CYCLE, warmup=WARMUP, cycles=1)
    return first >> lr.warm_restarts(10 * max_lr, period=CYCLE, cycles=1)


def train(name: str, task: Task, max_lr: float, fault: str, guarded: bool, seed: int) -> Run:
    """One training run. It uses as many batches as the schedule has updates, also if some are left out."""
    model, optimizer = built(task, seed)
    control = guard() if guarded else None
    attachment = lr.torch.attach(optimizer, schedule(max_lr, fault), control=control, model=model)
    corrupt, stopped = DATA.get(fault, intact), False
    model.train()
    for n, (x, y) in enumerate(islice(endless(task.batches()), UPDATES)):
        loss = task.criterion(model(corrupt(n, x, y)[0]), corrupt(n, x, y)[1])
        if fault == SPIKE and n == AT:
            loss = 10_000 * loss
        optimizer.zero_grad()
        loss.backward()
        if task.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), task.clip_norm)
        if guarded:
            attachment.observe(loss.item())
        try:
            optimizer.step()
        except lr.errors.GaveUpError:
            stopped = True
            break
    events = attachment.control.events
    counts = {kind: sum(event.kind == kind for event in events) for kind in ("skip", "rollback")}
    text = lr.control.report(events)
    points = task.test(model)
    return Run(
        *(name, fault, guarded, seed, max_lr, points if np.isfinite(points) else 0.0, attachment.updates),
        *(counts["skip"], counts["rollback"], stopped, text),
    )


def wanted() -> Iterator[tuple[str, bool, int]]:
    """Fault, guarded, seed of every training run of a task."""
    yield from (("none", False, seed) for seed in CLEAN_SEEDS)
    yield from (("none", True, seed) for seed in SEEDS)
    yield from ((fault, guarded, seed) for fault in FAULTS for guarded in (False, True) for seed in SEEDS)


def recorded(path: Path = PATH) -> dict[tuple[str, str, bool, int], Run]:
    """The training runs on record, the last one of each kind."""
    lines = path.read_text().splitlines() if path.is_file() else []
    runs = [Run(**entry["run"]) for entry in map(json.loads, lines) if "run" in entry]
    return {run.key: run for run in runs}


def main() -> None:
    """Make the training runs that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--again", action="store_true", help="make those with a guard again that are on record")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    runs = recorded()
    with PATH.open("a") as file:
        header = {"hardware": hardware(), "versions": versions(("torch", "numpy", "learnrate")), "guard": repr(guard())}
        file.write(json.dumps({"header": header}) + "\n")
        for name in arguments.tasks:
            task, started = load(name), time.monotonic()
            best = recorded_oracle(Records(name, CHOICES), about(name)).best_lr
            for fault, guarded, seed in wanted():
                if (name, fault, guarded, seed) not in runs or (arguments.again and guarded):
                    file.write(json.dumps({"run": asdict(train(name, task, best, fault, guarded, seed))}) + "\n")
                    file.flush()
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
