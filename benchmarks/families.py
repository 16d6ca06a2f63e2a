"""Which family of schedules is best, each at its own best LR? On three tasks of the benchmark of choices.

    python -m benchmarks.families                       # three tasks that need no data set, in minutes
    python -m benchmarks.families --tasks cifar_cnn     # another one; LEARNRATE_DATA names the folder of data sets

docs/families.md is made from the record. An interrupted run continues: the studies are in runs/families/.
"""

import argparse
import importlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch

import learnrate as lr
from benchmarks.choice.about import names
from benchmarks.choice.task import Task
from learnrate import records

ROOT = Path(__file__).parents[1]
STUDIES = ROOT / "runs" / "families"
"""Not in .cache, which the site empties when it is built."""

RESULTS = ROOT / "benchmarks" / "results" / "families"

TASKS = ("digits_mlp", "digits_cnn", "digits_adam")
"""They need only the data that scikit-learn ships."""

FAMILIES = {
    "one-cycle": "one_cycle",
    "warm-up and cosine": "warmup_cosine",
    "warm-up, stable, decay": "wsd",
    "triangular2": "triangular2",
}
"""Families of `learnrate.tune` by the name that the page gives them."""

SEEDS = 5


def recipe_of(name: str) -> "lr.torch.Recipe":
    """A task as a recipe, for example of `learnrate compare`."""
    task: Task = importlib.import_module(f"benchmarks.choice.tasks.{name}").task()
    return lr.torch.Recipe(
        model=task.model,
        optimizer=task.optimizer,
        batches=task.batches,
        loss=task.criterion,
        evaluate=task.validate,
        test=task.test,
        updates=task.updates,
        metric=task.metric,
        name=name,
        clip_norm=task.clip_norm,
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=names(), default=list(TASKS), metavar="TASK")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the records")
    options = parser.parse_args()
    torch.set_num_threads(1)  # nets this small lose more by the exchange between threads than they win
    for name in options.tasks:
        comparison = compared(name, options.seeds)
        print(f"\n{name}\n{comparison}")
        write(name, comparison, options.results)
    return 0


def compared(name: str, seeds: int) -> lr.Comparison:
    """The four families on a task."""
    STUDIES.mkdir(parents=True, exist_ok=True)
    arms = dict(FAMILIES)
    return lr.compare(arms, recipe_of(name), seeds=seeds, tune_each=True, study=STUDIES / f"{name}.sqlite")


def write(name: str, comparison: lr.Comparison, folder: Path) -> None:
    """Write the record of a task: all but the losses of each update."""
    folder.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = comparison.as_record()
    for arm in content["arms"].values():
        for training in arm["trainings"]:
            del training["losses"], training["losses_every"]
    for environment in content["environments"]:
        environment.pop("host", None)
    text = json.dumps({"task": name, **content}, indent=1, allow_nan=False) + "\n"
    records.write_atomically(folder / f"{name}.json", text.encode())


recipe = partial(recipe_of, TASKS[1])
"""What `learnrate compare benchmarks/families.py` trains."""

if __name__ == "__main__":
    sys.exit(main())
