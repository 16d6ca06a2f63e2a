"""Tuning in place against the trainer's own default LR, and the time that an adapter adds to an update.

    python -m benchmarks.adapters [--frameworks jax keras-torch ...] [--seeds 3] [--rounds 5]

Each framework runs in a process of its own, because two backends of Keras cannot share one. Writes
benchmarks/results/adapters.json, with every run; records of frameworks that are not measured again stay.
"""

import argparse
import dataclasses
import importlib
import json
import os
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.measure import RESULTS, hardware, versions

FRAMEWORKS = {
    "jax": ("jax", "optax"),
    "keras-torch": ("keras", "torch"),
    "keras-jax": ("keras", "jax"),
    "lightning": ("lightning", "torch"),
    "transformers": ("transformers", "torch"),
}
"""The packages whose versions belong to the record of a framework."""

RECORDS = RESULTS / "adapters.json"


def module_of(framework: str) -> str:
    """The module that measures a framework: `tuned(seed)`, `default(seed)` and `overhead()`."""
    return f"benchmarks.adapters.with_{framework.split('-')[0]}"


def measure(framework: str, seeds: int, rounds: int) -> dict[str, Any]:
    """The record of one framework, measured in this process."""
    module = importlib.import_module(module_of(framework))
    module.overhead()  # compiles, and fills caches
    overheads = [module.overhead() for _ in range(rounds)]
    ratios = [overhead.ours / overhead.plain for overhead in overheads]
    return {
        "default": [dataclasses.asdict(module.default(seed)) for seed in range(seeds)],
        "tuned": [dataclasses.asdict(module.tuned(seed)) for seed in range(seeds)],
        "overhead": {
            "plain_seconds": [overhead.plain for overhead in overheads],
            "ours_seconds": [overhead.ours for overhead in overheads],
            "ratio": statistics.median(ratios),
            "lowest_ratio": min(ratios),
            "highest_ratio": max(ratios),
        },
        "versions": versions(FRAMEWORKS[framework]),
        "hardware": hardware(),
    }


def main() -> None:
    """Measure, a process for each framework, and write the records."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frameworks", nargs="+", choices=FRAMEWORKS, default=list(FRAMEWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--here", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(json.dumps(measure(options.here, options.seeds, options.rounds)))
        return
    for framework in options.frameworks:
        backend = framework.partition("-")[2]
        command = [sys.executable, "-m", "benchmarks.adapters", "--here", framework]
        command += ["--seeds", str(options.seeds), "--rounds", str(options.rounds)]
        environment = os.environ | ({"KERAS_BACKEND": backend} if backend else {})
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
        records = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
        records[framework] = json.loads(done.stdout.splitlines()[-1])
        RECORDS.write_text(json.dumps(records, indent=1) + "\n")
        print(framework, records[framework]["overhead"]["ratio"])


if __name__ == "__main__":
    main()
