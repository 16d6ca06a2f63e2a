"""What each executor costs a run on the driver's side: studies of runs that do nothing.

    python benchmarks/executors.py [--rounds 3]

Writes benchmarks/results/executors.json; `python docs/make.py` writes its section of docs/benchmarks.md from it.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

from measure import keep, spread

import learnrate as lr
from learnrate.study.executors import Dask, Executor, Here, Processes, Ray

WORKERS = 2
SEEDS = (5, 50, 500)
ARMS = {"constant": lr.constant(0.1), "lower": lr.constant(0.01)}
EXECUTORS: dict[str, Callable[[], Executor]] = {
    "here": Here,
    "processes": lambda: Processes(WORKERS),
    "dask": lambda: Dask(workers=WORKERS),
    "ray": Ray,
}


class Nothing(lr.Trainable):
    """A training that does nothing."""

    def __init__(self, seed: int) -> None:
        pass

    def update(self, lr: float) -> float:
        """One update."""
        return 1.0

    def save(self) -> None:
        """Nothing."""

    def restore(self, state: object) -> None:
        """Nothing."""


def study(executor: Executor, seeds: int) -> dict[str, float]:
    """Milliseconds of a run: by the clock, and of the processor in the driver's process."""
    clock, processor = time.perf_counter(), time.process_time()
    comparison = lr.compare(ARMS, lr.Recipe(Nothing, updates=1), seeds=seeds, executor=executor)
    clock, processor = time.perf_counter() - clock, time.process_time() - processor
    runs = len(ARMS) * seeds
    assert sum(len(arm.trainings) for arm in comparison) == runs
    return {"clock": 1e3 * clock / runs, "driver": 1e3 * processor / runs}


def measured(name: str, rounds: int) -> dict[str, Any]:
    """The studies of one executor."""
    begin = time.perf_counter()
    executor = EXECUTORS[name]()
    study(executor, 2)
    starting = time.perf_counter() - begin
    rows = []
    try:
        for seeds in SEEDS:
            # The many runs of the longest study are its own rounds.
            figures = [study(executor, seeds) for _ in range(1 if seeds == SEEDS[-1] else rounds)]
            values = {key: spread([measurement[key] for measurement in figures]) for key in ("clock", "driver")}
            rows.append({"runs": seeds * len(ARMS), **values})
            print(name, rows[-1], flush=True)
    finally:
        executor.close()
    return {"executor": name, "starting": starting, "rows": rows}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds")
    rounds = parser.parse_args().rounds
    executors = [measured(name, rounds) for name in EXECUTORS]
    versions = ("learnrate", "numpy", "ray", "distributed")
    print(keep("executors", versions, rounds=rounds, workers=WORKERS, executors=executors))


if __name__ == "__main__":
    main()
