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
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children, get_context
from pathlib import Path

from benchmarks.choice.about import names
from benchmarks.choice.data import CACHE
from benchmarks.choice.run import NAMES, Order, end_with_parent, wanted, work
from benchmarks.choice.score import SEEDS, summaries
from benchmarks.choice.store import RESULTS, RecordError, Records, claimed

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
    check(parser, given)
    if given.small:
        given.tasks, given.seeds, given.methods = list(SMALL), 2, ["learnrate", "usual"]
    given.folder = given.folder or (CACHE / "small" if given.small else RESULTS)
    seeds = tuple(range(given.seeds))
    orders = [Order(name, tuple(given.methods), seeds, given.folder) for name in given.tasks]
    try:
        with claimed(given.folder):
            run(orders, given.processes)
        report(given.tasks, seeds, given.folder)
    except KeyboardInterrupt:
        print(f"interrupted: what was trained so far is in {given.folder}", file=sys.stderr)
        sys.exit(130)
    except RecordError as error:
        sys.exit(f"error: {error}")


def run(orders: Sequence[Order], processes: int) -> None:
    """All orders, a process each."""
    # Fresh processes: a fork would inherit threads of torch.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=end_with_parent) as pool:
        try:
            for done in as_completed([pool.submit(work, order) for order in orders]):
                print(done.result(), flush=True)
        except BaseException:
            # The pool would go on with what is under way, for minutes, and with what is queued, for hours.
            for worker in active_children():
                worker.terminate()
            raise


def check(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Refuse now what would else be found out after hours, or never."""
    for name in ("seeds", "processes"):
        if getattr(given, name) < 1:
            parser.error(f"--{name} must be at least 1, received {getattr(given, name)}")
    for method in given.methods:
        if not any(wanted(name, [method]) for name in NAMES):
            parser.error(f"--methods must be names, or their first words, of {', '.join(NAMES)}; received {method!r}")


def report(chosen: Sequence[str], seeds: Sequence[int], folder: Path) -> None:
    """One line a method."""
    held = {name: records for name in chosen if (records := Records(name, folder)).runs}
    print(f"\n{'points below the best of a grid':34} {'mean':>6} {'median':>6} {'worst':>6}  disasters   cost")
    for one in summaries(held, seeds):
        share = f"{one.disasters} of {len(one.outcomes)}"
        print(f"{one.method:34} {one.mean:6.2f} {one.median:6.2f} {one.worst:6.1f}  {share:>9}  {one.cost:5.2f}")


if __name__ == "__main__":
    main()
