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

from measure import in_rounds, keep, ratios, spread

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


def loop(record: Path | None, seconds: float, calls: list[float]) -> float:
    """The time of a loop of updates; the time inside of the listener's call, in microseconds, goes to `calls`."""
    control = begin([lr.constant(0.1)], record=record)
    updates = UPDATES if seconds < 1e-3 else UPDATES // 5
    listeners = control.listeners
    start = time.perf_counter()
    for n in range(updates):
        busy(seconds)
        observation = Observation(n, lr=0.1, loss=1.5, gradient_norm=2.5)
        before = time.perf_counter()
        for listener in listeners:
            listener.on_update(observation)
        calls.append(1e6 * (time.perf_counter() - before))
    spent = time.perf_counter() - start
    control.close()
    return spent / updates


def written(rounds: int) -> list[dict[str, Any]]:
    """A row for each form of the file and length of an update."""
    rows = []
    for form, name in FORMS.items():
        for length, seconds in LENGTHS.items():
            calls: list[float] = []
            with tempfile.TemporaryDirectory() as folder:
                number = iter(range(100))
                figures = in_rounds(
                    rounds,
                    recorded=lambda: loop(Path(folder) / f"{next(number)}-{name}", seconds, calls),  # noqa: B023
                    plain=lambda: loop(None, seconds, []),  # noqa: B023
                )
            # Calls that another process interrupts take milliseconds: the median, and what nineteen of twenty keep within.
            ordered = sorted(calls)
            rows.append(
                {
                    "form": form,
                    "update": length,
                    "microseconds": {
                        "median": statistics.median(ordered),
                        "min": ordered[len(ordered) // 20],
                        "max": ordered[len(ordered) - len(ordered) // 20 - 1],
                    },
                    "ratio": spread(ratios(figures, "recorded", "plain")),
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
