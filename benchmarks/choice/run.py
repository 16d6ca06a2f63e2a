"""The work of one process: the oracle of a task, the choices of each method, and a training run at each choice."""

import importlib
import math
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread

import numpy as np
import torch

from benchmarks.choice.data import MissingDataError
from benchmarks.choice.methods import finders, ours, search
from benchmarks.choice.methods.method import Method
from benchmarks.choice.methods.peers import FREE
from benchmarks.choice.oracle import explore, training_run
from benchmarks.choice.store import Records
from benchmarks.choice.task import Task


@dataclass(frozen=True)
class Job:
    """The work of one process: some methods and seeds on one task."""

    task: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path


def end_with_parent() -> None:
    """End this worker when its parent ends, even if the parent was killed; otherwise it would continue for hours."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def load(name: str) -> Task:
    """Build a task.

    Raises:
        MissingDataError: if its data is missing.
    """
    task: Task = importlib.import_module(f"benchmarks.choice.tasks.{name}").task()
    return task


def whole_budget(updates: int) -> int:
    """The budget of the searches: all of a run of up to 1,200 updates, a quarter of 5,000, a tenth of 20,000."""
    lengths, budgets = (1200, 5000, 20_000, 100_000), (1200, 1250, 2000, 3500)
    if updates <= lengths[0]:
        return updates
    return int(np.exp(np.interp(math.log(updates), np.log(lengths), np.log(budgets))) + 1e-9)


def methods(task: Task) -> list[Method]:
    """All methods that choose an LR for a task."""
    budget = whole_budget(task.updates)
    makers: list[Callable[[], Method]] = [finders.usual, finders.fastai, finders.pytorch_lr_finder, finders.lightning]
    return [
        *(make() for make in makers),
        search.random_search(budget),
        search.successive_halving(budget),
        *(ours.learnrate(name) for name in ours.BUDGETS),
        ours.probe(),
    ]


NAMES = (
    "usual",
    *(f"fastai {name}" for name in finders.FASTAI),
    *("pytorch-lr-finder", "Lightning", "Optuna random", "Optuna successive halving"),
    *ours.BUDGETS,
    ours.PROBE,
    *FREE,
)
"""The names of all methods."""


def is_selected(name: str, selection: Sequence[str]) -> bool:
    """Whether a selection contains a method, by its name or the first words of it. An empty selection contains all."""
    return not selection or any(f"{name} ".startswith(f"{words} ") for words in selection)


def run_job(job: Job) -> str:
    """The oracle, the choices and the training runs of one task; returns a line for the terminal."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        task = load(job.task)
    except MissingDataError as error:
        return f"{job.task}: skipped, {error}"
    records = Records(job.task, job.folder)
    oracle = explore(records, task)
    for seed in job.seeds:
        for method in methods(task):
            if any(is_selected(name, job.methods) for name in method.names):
                choose(records, task, method, seed)
        for kind, (train, version) in FREE.items():
            run = records.free.get((kind, seed))
            if is_selected(kind, job.methods) and (run is None or run.version != version(kind)):
                records.add(train(job.task, task, seed, kind))
    return f"{job.task}: best {oracle.best:.1f} points at LR {oracle.best_lr:.2g}"


def choose(records: Records, task: Task, method: Method, seed: int) -> None:
    """The choices of a method with one seed and the training runs at them, unless the records have them already."""
    version = method.version()
    choices = [records.choices.get((name, seed)) for name in method.names]
    if any(choice is None or choice.version != version for choice in choices):
        for choice in method.choose(task, seed):
            records.add(choice)
    for name in method.names:
        lr = records.choices[name, seed].lr
        if lr is not None:
            training_run(records, task, lr, seed)
