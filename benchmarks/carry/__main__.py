"""Measure how the best LR changes with the set-up; write benchmarks/results/carry.jsonl.

    python -m benchmarks.carry                  # needs the data sets in the folder that LEARNRATE_DATA names

One process, one thread. What is recorded is not made again, so it may be stopped and restarted at any time.
"""

import argparse

import torch

from benchmarks.carry.noise import noise_scales
from benchmarks.carry.oracle import FIRST, SEEDS, measure, top_log2_lr
from benchmarks.carry.setups import SetUp, bases, variations
from benchmarks.carry.store import Records


def main() -> None:
    """The command line."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    records = Records()
    best = {base: measured(records, base, FIRST[base.optimizer]) for base in bases()}
    for base, log2_lr in best.items():
        for seed in range(SEEDS):
            if (base, seed) not in records.noise:
                records.add_noise(base, seed, noise_scales(base, 2.0**log2_lr, seed))
    for setup in variations():
        measured(records, setup, round(best[setup.base]))


def measured(records: Records, setup: SetUp, first: int) -> float:
    """Measure a set-up, and print what its best LR is."""
    curve = measure(records, setup, first)
    best = top_log2_lr(curve)
    shown = ", ".join(f"{log2_lr}: {value:.1f}" for log2_lr, value in curve.items())
    print(f"{setup} best 2^{best:.2f} ({shown})", flush=True)
    return best


if __name__ == "__main__":
    main()
