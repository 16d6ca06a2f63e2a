"""What one update costs in the scheduler: learnrate.torch.Scheduler.step() against torch's CyclicLR.step().

Both drive the same kind of optimizer along the same triangular2 schedule. Each round times every contender, one after the
other, so that a drift of the machine's speed meets all alike; the ratio is taken within a round. One warm-up round is not
counted. Beside them stands the least that any scheduler can do: a bare loop that assigns a float to every group.

    python benchmarks/scheduler_step.py [--rounds 9]
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import learnrate as lr

GROUPS = (1, 10, 100)
CALLS = 20_000
RESULTS = Path(__file__).parent / "results" / "scheduler_step.json"


def optimizer_with(groups: int) -> torch.optim.Optimizer:
    """Plain SGD over so many parameter groups."""
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(groups)]
    return torch.optim.SGD([{"params": [parameter]} for parameter in parameters], lr=1e-3)


def ours(groups: int) -> Callable[[], None]:
    """`learnrate.torch.Scheduler.step`."""
    return lr.torch.Scheduler(optimizer_with(groups), lr.triangular2(1e-3, 6e-3, step_size=2000)).step


def cyclic(groups: int) -> Callable[[], None]:
    """`torch.optim.lr_scheduler.CyclicLR.step`, without its momentum."""
    optimizer = optimizer_with(groups)
    scheduler = torch.optim.lr_scheduler.CyclicLR(
        optimizer, 1e-3, 6e-3, step_size_up=2000, mode="triangular2", cycle_momentum=False
    )
    optimizer.step()
    return scheduler.step


def bare(groups: int) -> Callable[[], None]:
    """A bare loop of assignments."""
    optimizer = optimizer_with(groups)

    def step() -> None:
        for group in optimizer.param_groups:
            group["lr"] = 1e-3

    return step


CONTENDERS = {"learnrate Scheduler": ours, "torch CyclicLR": cyclic, "bare loop": bare}


def seconds(step: Callable[[], None]) -> float:
    """Mean time of a call."""
    calls = range(CALLS)
    begun = time.perf_counter()
    for _ in calls:
        step()
    return (time.perf_counter() - begun) / CALLS


def spread(values: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure(rounds: int) -> dict[str, object]:
    """All rounds, summarised."""
    torch.set_num_threads(1)
    table: dict[str, object] = {}
    for groups in GROUPS:
        steps = {name: make(groups) for name, make in CONTENDERS.items()}
        timed: list[dict[str, float]] = []
        for _ in range(rounds + 1):
            timed.append({name: seconds(step) for name, step in steps.items()})
        counted = timed[1:]
        table[str(groups)] = {
            "seconds": {name: spread([one[name] for one in counted]) for name in CONTENDERS},
            "torch CyclicLR / learnrate": spread([one["torch CyclicLR"] / one["learnrate Scheduler"] for one in counted]),
            "learnrate / bare loop": spread([one["learnrate Scheduler"] / one["bare loop"] for one in counted]),
        }
    return table


def main() -> None:
    """Measure, print a table, and keep the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="counted rounds, at least 5")
    rounds = max(5, parser.parse_args().rounds)
    table = measure(rounds)
    record = {
        "benchmark": "scheduler_step",
        "rounds": rounds,
        "calls_a_round": CALLS,
        "hardware": {"processor": processor(), "cores": os.cpu_count()},
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "learnrate": lr.__version__,
        },
        "groups": table,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    print(f"{'groups':>6}  {'learnrate':>10}  {'CyclicLR':>10}  {'bare loop':>10}  {'CyclicLR / learnrate':>24}")
    for groups, row in table.items():
        times = [f"{row['seconds'][name]['median'] * 1e6:7.3f} us" for name in CONTENDERS]  # type: ignore[index]
        ratio = row["torch CyclicLR / learnrate"]  # type: ignore[index]
        print(f"{groups:>6}  {'  '.join(times)}  {ratio['median']:8.1f} ({ratio['min']:.1f} to {ratio['max']:.1f})")
    print(f"kept in {RESULTS}")


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
