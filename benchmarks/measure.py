"""What the benchmarks share: rounds, ratios within a round, the description of the machine, the record on disk."""

import importlib.metadata
import json
import os
import platform
import statistics
import timeit
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
Work = Callable[[], object]


def seconds(work: Work, calls: int = 1) -> float:
    """Mean time of a call, with the garbage collector on.

    `timeit` compiles a loop for each measurement. In one loop for all, the interpreter adapts the call to the work of one
    contender, and the calls of the other are slower then: by up to 70 ns, which depends on the order of the contenders.
    """
    return timeit.timeit(work, "import gc; gc.enable()", number=calls) / calls


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def in_rounds(rounds: int, **contenders: Callable[[], float]) -> dict[str, list[float]]:
    """Figures of each contender, round by round; the first round warms up and is not counted.

    A round measures every contender, one after the other, so that a drift of the machine's speed affects all equally.
    """
    table: dict[str, list[float]] = {name: [] for name in contenders}
    for counted in range(rounds + 1):
        for name, measure in contenders.items():
            value = measure()
            if counted:
                table[name].append(value)
    return table


def ratios(figures: dict[str, list[float]], over: str, under: str) -> list[float]:
    """One contender's figure as a multiple of another's, within each round."""
    return [a / b for a, b in zip(figures[over], figures[under], strict=True)]


def keep(name: str, packages: tuple[str, ...], **content: Any) -> Path:
    """Write the record of a benchmark, with hardware and versions."""
    record = {"benchmark": name, "hardware": hardware(), "versions": versions(packages), **content}
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n")
    return path


def hardware() -> dict[str, Any]:
    """The machine."""
    return {"processor": processor(), "cores": os.cpu_count()}


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python and of packages; "not installed" for those that are imported from a folder, or missing."""
    numbers = {"Python": platform.python_version()}
    for package in packages:
        try:
            numbers[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            numbers[package] = "not installed"
    return numbers


def processor() -> str:
    """The processor's name, if the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
