"""The cost of a record: in the training thread at each update, in a whole loop, on disk, and when it is read.

    python benchmarks/record.py [--rounds 7]

Writes benchmarks/results/record.json; `python docs/make.py` writes its section of docs/benchmarks.md from it.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from measure import in_rounds, keep, spread

import learnrate as lr
from learnrate.control import Observation
from learnrate.control.running import begin

UPDATES = 1_000
LONG = 1_000_000
FORMS = {"sqlite": "run.sqlite", "JSON Lines": "run.jsonl"}
LENGTHS = {"an update of 0.2 ms": 2e-4, "an update of 5 ms": 5e-3}
TARGETS = {"microseconds": 20.0}


def busy(seconds: float) -> None:
    """What an update of a model is to the thread that writes: Python that computes."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def loop(path: Path, seconds: float, calls: list[float]) -> float:
    """A loop of recorded updates. The time inside of each call of the listener, in microseconds, goes to `calls`.

    Returns:
        The processor time of the thread that writes, in microseconds an update.
    """
    control = begin([lr.constant(0.1)], record=path)
    updates = UPDATES if seconds < 1e-3 else UPDATES // 5
    (listener,) = control.listeners
    process, thread = time.process_time(), time.thread_time()
    for n in range(updates):
        busy(seconds)
        observation = Observation(n, lr=0.1, loss=1.5, gradient_norm=2.5)
        before = time.perf_counter()
        listener.on_update(observation)
        calls.append(1e6 * (time.perf_counter() - before))
    control.close()
    return 1e6 * (time.process_time() - process - (time.thread_time() - thread)) / updates


def written(rounds: int) -> list[dict[str, Any]]:
    """A row for each form of the file and length of an update."""
    rows = []
    for form, name in FORMS.items():
        for length, seconds in LENGTHS.items():
            calls: list[float] = []
            with tempfile.TemporaryDirectory() as folder:
                others = [loop(Path(folder) / f"{number}-{name}", seconds, calls) for number in range(rounds)]
            # Calls that another process interrupts take milliseconds: the median, and what nine of ten lie within.
            ordered = sorted(calls)
            few = len(ordered) // 20
            rows.append(
                {
                    "form": form,
                    "update": length,
                    "microseconds": {
                        "median": statistics.median(ordered),
                        "min": ordered[few],
                        "max": ordered[-few - 1],
                    },
                    "writer_microseconds": spread(others),
                    "reached": statistics.median(ordered) <= TARGETS["microseconds"],
                }
            )
    return rows


def long_run(rounds: int) -> dict[str, Any]:
    """A million updates: how large the file is, and how long it takes to read it and to draw it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.sqlite"
        control = begin([lr.linear(0.1, 0.0, LONG)], record=path)
        schedule = control.schedules[0]
        for n in range(LONG):
            control.observe(Observation(n, lr=schedule(n), loss=1 / (n + 1), gradient_norm=1.0))
        control.close()
        figures = in_rounds(
            rounds,
            load=lambda: timed(lambda: lr.Record.load(path)),
            schedule=lambda: timed(lr.Record.load(path).schedule),
            to_html=lambda: timed(lambda: lr.Record.load(path).to_html(Path(folder) / "run.html")),
        )
        megabytes = path.stat().st_size / 1e6
        page = (Path(folder) / "run.html").stat().st_size / 1e6
    return {"updates": LONG, "seconds": {name: spread(values) for name, values in figures.items()}} | {
        "megabytes": megabytes,
        "page_megabytes": page,
    }


def timed(work: Any) -> float:
    """Processor time, because reading shares the machine with the training that is watched."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measure, print, write the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted rounds")
    rounds = parser.parse_args().rounds
    rows = written(rounds)
    for row in rows:
        print(row)
    long = long_run(min(rounds, 3))
    print(long)
    print(keep("record", ("learnrate", "numpy"), rounds=rounds, updates=UPDATES, rows=rows, long=long, targets=TARGETS))


if __name__ == "__main__":
    main()
