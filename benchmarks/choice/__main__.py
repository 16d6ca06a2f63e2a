"""Run the benchmark: the oracle of each task, what each method chooses, and a whole training at each choice.

    make bench-choice                                 # a small version, in minutes
    make bench-choice-all                             # all of it: hours
    python -m benchmarks.choice                       # the same, where everything is installed
    python -m benchmarks.choice --tasks digits_mlp fashion_cnn --methods learnrate --seeds 2

What is in benchmarks/results/choice/ is not run again, so it may be stopped and started anew at any time. The small version
keeps its records in .cache/, so that it measures on this machine, and never mixes with those.
"""

import argparse
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from benchmarks.choice.about import names
from benchmarks.choice.data import CACHE
from benchmarks.choice.run import Order, end_with_parent, work
from benchmarks.choice.score import SEEDS, summaries
from benchmarks.choice.store import RESULTS, Records

SMALL = ("digits_mlp", "digits_cnn")
"""Tasks that need no data but scikit-learn's, and seconds a training."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=names(), default=names(), metavar="TASK")
    parser.add_argument("--methods", nargs="+", default=[], help="names, or beginnings of names; all by default")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many, from 0 on")
    parser.add_argument("--small", action="store_true", help=f"{' and '.join(SMALL)}, two seeds, learnrate and the usual LR")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="where the records are")
    given = parser.parse_args()
    if given.small:
        given.tasks, given.seeds, given.methods = list(SMALL), 2, ["learnrate", "usual"]
    given.folder = given.folder or (CACHE / "small" if given.small else RESULTS)
    seeds = tuple(range(given.seeds))
    orders = [Order(name, tuple(given.methods), seeds, given.folder) for name in given.tasks]
    # Fresh processes: a fork would inherit threads of torch.
    with ProcessPoolExecutor(given.processes, get_context("spawn"), initializer=end_with_parent) as pool:
        for done in as_completed([pool.submit(work, order) for order in orders]):
            print(done.result(), flush=True)
    report(given.tasks, seeds, given.folder)


def report(chosen: Sequence[str], seeds: Sequence[int], folder: Path) -> None:
    """One line a method."""
    held = {name: records for name in chosen if (records := Records(name, folder)).runs}
    print(f"\n{'points below the best of a grid':34} {'mean':>6} {'median':>6} {'worst':>6}  disasters   cost")
    for one in summaries(held, seeds):
        share = f"{one.disasters} of {len(one.outcomes)}"
        print(f"{one.method:34} {one.mean:6.2f} {one.median:6.2f} {one.worst:6.1f}  {share:>9}  {one.cost:5.2f}")


if __name__ == "__main__":
    main()
