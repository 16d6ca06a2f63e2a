"""One task, whole: its oracle, what each method chooses, and a training at each choice. What one process does."""

import importlib
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread

import torch

from benchmarks.choice.data import MissingDataError
from benchmarks.choice.methods import finders, ours, search, tuning_free
from benchmarks.choice.methods.method import Method
from benchmarks.choice.oracle import explore, trained
from benchmarks.choice.store import Records
from benchmarks.choice.task import Task


@dataclass(frozen=True)
class Order:
    """What one worker does: a task, whole."""

    task: str
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    folder: Path


def end_with_parent() -> None:
    """Let this worker end when its parent does, also where that is killed: it would go on for hours, for nobody."""
    parent = parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def load(name: str) -> Task:
    """A task.

    Raises:
        MissingDataError: if its data is not there.
    """
    task: Task = importlib.import_module(f"benchmarks.choice.tasks.{name}").task()
    return task


def methods(task: Task) -> list[Method]:
    """All that choose an LR for a task."""
    budget = ours.budget(task)
    found: list[Callable[[], Method]] = [finders.usual, finders.fastai, finders.pytorch_lr_finder, finders.lightning]
    return [
        *(make() for make in found),
        search.random_search(budget),
        search.successive_halving(budget),
        *(ours.learnrate(name) for name in ours.BUDGETS),
    ]


NAMES = (
    "usual",
    *(f"fastai {name}" for name in finders.FASTAI),
    *("pytorch-lr-finder", "Lightning", "Optuna random", "Optuna successive halving"),
    *ours.BUDGETS,
    *tuning_free.KINDS,
)
"""Of all methods."""


def wanted(name: str, chosen: Sequence[str]) -> bool:
    """Whether a method is asked for, by its name or the first words of it."""
    return not chosen or any(f"{name} ".startswith(f"{one} ") for one in chosen)


def work(order: Order) -> str:
    """The oracle, the choices and the trainings of one task."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    try:
        task = load(order.task)
    except MissingDataError as error:
        return f"{order.task}: skipped, {error}"
    records = Records(order.task, order.folder)
    oracle = explore(records, task)
    for seed in order.seeds:
        for method in methods(task):
            if any(wanted(name, order.methods) for name in method.names):
                choose(records, task, method, seed)
        for kind in tuning_free.KINDS:
            run = records.free.get((kind, seed))
            if wanted(kind, order.methods) and (run is None or run.version != tuning_free.version(kind)):
                records.add(tuning_free.train(order.task, task, seed, kind))
    return f"{order.task}: best {oracle.best:.1f} points at LR {oracle.best_lr:.2g}"


def choose(records: Records, task: Task, method: Method, seed: int) -> None:
    """A method's choices with one seed, from the records or made now, and the trainings at them."""
    version = method.version()
    held = [records.choices.get((name, seed)) for name in method.names]
    if any(choice is None or choice.version != version for choice in held):
        for choice in method.choose(task, seed):
            records.add(choice)
    for name in method.names:
        lr = records.choices[name, seed].lr
        if lr is not None:
            trained(records, task, lr, seed)
