"""What a study of 10,000 runs on 100 nodes costs its driver, simulated: the real driver and store, and no training.

    python benchmarks/study_scale.py [--runs 10000]

The executor completes its runs in the order of a simulated clock: none is trained, and no time passes between two of
them. What remains is the driver's own work, which is measured by the time of the processor.
Writes benchmarks/results/study_scale.json; `python docs/make.py` writes the tables of docs/scale.md from it.
"""

import argparse
import heapq
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from measure import keep

import learnrate as lr
from learnrate.study.results import comparison_of
from learnrate.study.running.run import EndedRun, Message, Run
from learnrate.study.running.training import Training
from learnrate.study.store.opened import opened
from learnrate.study.store.sqlite import SqliteStore

RUNS, NODES, WORKERS_OF_A_NODE, MINUTES = 10_000, 100, 8, 10.0
ARMS = 20
LOSSES, EVALUATIONS = 2_000, 20
MESSAGES_A_SECOND = 2.0
"""What each worker sends at most; see `learnrate.study.running.run.REPORT_EVERY`."""


class Simulated:
    """An executor whose runs take simulated minutes: each look at its messages moves its clock to the next end."""

    attempts, report = 3, None

    def __init__(self, workers: int, on_end: Callable[[], object]) -> None:
        self.workers, self.on_end = workers, on_end
        self.random = random.Random(0)
        self.clock = 0.0
        self.ends: list[tuple[float, int, SimulatedFuture]] = []
        self.submitted = 0
        self.ended: SimulatedFuture | None = None

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> "SimulatedFuture":
        """Begin a run."""
        future = SimulatedFuture(arguments[0], self.random)
        self.submitted += 1
        heapq.heappush(self.ends, (self.clock + self.random.uniform(0.8, 1.2) * MINUTES * 60, self.submitted, future))
        return future

    def messages(self) -> Sequence[Message]:
        """Move the clock."""
        if self.ended is not None:
            self.on_end()
            self.ended = None
        if self.ends:
            self.clock, _, future = heapq.heappop(self.ends)
            future.has_ended = True
            self.ended = future
        return ()

    def close(self) -> None:
        """Nothing is open."""


class SimulatedFuture:
    """A run that ends at a simulated time."""

    def __init__(self, task: Run, chance: random.Random) -> None:
        self.task, self.random, self.has_ended = task, chance, False

    def done(self) -> bool:
        """Whether the clock has reached its end."""
        return self.has_ended

    def result(self) -> EndedRun:
        """A record of the usual size, different for each run."""
        random_number, run = self.random.random, self.task
        scores = tuple(random_number() for _ in range(EVALUATIONS))
        training = Training(
            seed=run.key.seed,
            score=scores[-1],
            losses=tuple(random_number() for _ in range(LOSSES)),
            checkpoints=tuple(range(1, EVALUATIONS + 1)),
            scores=scores,
            metric="accuracy",
            seconds=600.0,
            times=scores,
            more={"held-out loss": scores},
            updates=run.updates,
            first_loss=1.0,
            start=f"{run.key.seed:016x}",
            end="0123456789abcdef",
            schedule=repr(run.schedule),
        )
        return EndedRun(run.key, training, ENVIRONMENT)

    def cancel(self) -> None:
        """Nothing runs."""


ENVIRONMENT = {"host": "node", "Python": "3", "torch": "2", "processor": "a processor", "cores": "96", "gpu": "a GPU"}


class Nothing(lr.Trainable):
    """A training that is never made."""

    def update(self, lr: float) -> float:
        """One update."""
        return 1.0

    def save(self) -> None:
        """Nothing."""

    def restore(self, state: object) -> None:
        """Nothing."""


class Clocks:
    """Processor time of the calls of some methods, in order."""

    def __init__(self) -> None:
        self.calls: dict[str, list[float]] = {}

    def time(self, owner: Any, name: str) -> None:
        """Measure a method from now on."""
        method, calls = getattr(owner, name), self.calls.setdefault(name, [])

        def call(*arguments: Any) -> Any:
            begin = time.process_time()
            try:
                return method(*arguments)
            finally:
                calls.append(time.process_time() - begin)

        setattr(owner, name, call)

    def taken(self) -> dict[str, list[float]]:
        """The times since the last call of this."""
        calls = {name: list(times) for name, times in self.calls.items()}
        for times in self.calls.values():
            times.clear()
        return calls


def resident() -> float:
    """Memory of this process now, in MB, as Linux says it."""
    text = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1e3 for line in text.splitlines() if line.startswith("VmRSS:"))


def size(path: Path) -> float:
    """Megabytes of a study, with what sqlite has beside its file."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*") if file.is_file()) / 1e6


class Fifths:
    """What each fifth of the study has cost: called after every run."""

    def __init__(self, path: Path, runs: int, clocks: Clocks) -> None:
        self.path, self.runs, self.clocks = path, runs, clocks
        self.memory, self.ended, self.since = resident(), 0, time.process_time()
        self.rows: list[dict[str, float]] = []

    def __call__(self) -> None:
        """One more run has ended."""
        self.ended += 1
        fifth = self.runs // 5
        if self.ended % fifth:
            return
        calls = self.clocks.taken()
        # The records are made by the simulation, not by a driver.
        seconds = time.process_time() - self.since - sum(calls["result"])
        row = {"runs": self.ended, "a run": 1e3 * seconds / fifth, "megabytes": size(self.path)}
        row |= {name: 1e3 * statistics.fmean(calls[name] or [0.0]) for name in ("claim", "finish")}
        row |= {"memory": resident() - self.memory}
        print({name: round(value, 3) for name, value in row.items()}, file=sys.stderr, flush=True)
        self.rows.append(row)
        self.since = time.process_time()


def study(runs: int, folder: Path, watched: bool) -> dict[str, Any]:
    """Make a study; with `watched`, the comparison is asked for after every run."""
    clocks, path, looks = Clocks(), folder / "study.sqlite", []
    clocks.time(SqliteStore, "claim")
    clocks.time(SqliteStore, "finish")
    clocks.time(SimulatedFuture, "result")
    fifths = Fifths(path, runs, clocks)
    executor = Simulated(NODES * WORKERS_OF_A_NODE, on_end=fifths)
    arms = {f"arm {n}": lr.constant(0.1 * (n + 1)) for n in range(ARMS)}
    recipe = lr.Recipe(lambda seed: Nothing(), updates=LOSSES)
    look = (lambda comparison: looks.append(len(comparison.arms))) if watched else None
    seeds = runs // ARMS
    comparison = lr.compare(arms, recipe, seeds=seeds, executor=executor, study=path, on_result=look)
    assert sum(len(arm.trainings) for arm in comparison) == runs
    peak, submitted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - fifths.memory, executor.submitted
    begin = time.process_time()
    with opened(path, to_read=True) as store:
        again = comparison_of(store.contents())
    reading = time.process_time() - begin
    assert again == comparison
    del again, comparison
    begin = time.process_time()
    lr.compare(arms, recipe, seeds=seeds, executor=executor, study=path)
    return {
        "runs": runs,
        "watched": watched,
        "looks": len(looks),
        "rows": fifths.rows,
        "reading": reading,
        "starting again": time.process_time() - begin,
        "peak": peak,
        "hours": executor.clock / 3600,
        "submitted": submitted,
    }


def in_a_process(runs: int, watched: bool) -> dict[str, Any]:
    """The same in a process of its own, whose memory is its own."""
    command = [sys.executable, __file__, "--runs", str(runs), "--only", "watched" if watched else "unwatched"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="runs of the study")
    parser.add_argument("--only", choices=("watched", "unwatched"), help="print one study as JSON, and write nothing")
    arguments = parser.parse_args()
    if arguments.only:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(study(arguments.runs, Path(folder), arguments.only == "watched")))
        return
    studies = [in_a_process(arguments.runs, watched) for watched in (False, True)]
    setting = {"nodes": NODES, "workers of a node": WORKERS_OF_A_NODE, "minutes": MINUTES, "arms": ARMS}
    setting |= {"losses": LOSSES, "evaluations": EVALUATIONS, "messages a second": MESSAGES_A_SECOND}
    print(keep("study_scale", ("learnrate", "numpy"), setting=setting, studies=studies))


if __name__ == "__main__":
    main()
