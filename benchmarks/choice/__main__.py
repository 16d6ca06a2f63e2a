"""Run the benchmark: the oracle of each task, the choices of each method, and a training run at each choice.

    make bench-choice                                 # two tasks, in minutes
    make bench-choice-all                             # everything, in hours
    python -m benchmarks.choice                       # the same, if everything is installed
    python -m benchmarks.choice --tasks digits_mlp fashion_cnn --methods learnrate --seeds 2

Records in benchmarks/results/choice/ are not made again, so the benchmark may be stopped and restarted at any time. The
small version keeps its records apart from those, in .cache/, so that it always measures on this machine.
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
from benchmarks.choice.halves import half
from benchmarks.choice.run import NAMES, Job, end_with_parent, is_selected, run_job
from benchmarks.choice.score import SEEDS, finished, floor
from benchmarks.choice.store import RESULTS, RecordError, Records, locked

SMALL = ("digits_mlp", "digits_cnn")
"""Tasks that need only scikit-learn's data, and seconds for a training run."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", choices=names(), default=names(), metavar="TASK")
    parser.add_argument("--half", choices=("design", "report"), help="only the tasks of one half")
    parser.add_argument("--methods", nargs="+", default=[], help="names, or their first words; all by default")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="number of seeds, from 0")
    parser.add_argument("--small", action="store_true", help=f"{' and '.join(SMALL)}, two seeds, learnrate and the usual LR")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--folder", type=Path, help="folder of the records")
    options = parser.parse_args()
    check(parser, options)
    if options.small:
        options.tasks, options.seeds, options.methods = list(SMALL), 2, ["learnrate", "usual"]
    options.tasks = [name for name in options.tasks if options.half in (None, half(name))]
    options.folder = options.folder or (CACHE / "small" if options.small else RESULTS)
    seeds = tuple(range(options.seeds))
    jobs = [Job(name, tuple(options.methods), seeds, options.folder) for name in options.tasks]
    try:
        with locked(options.folder):
            run(jobs, options.processes)
        report(options.tasks, seeds, options.folder)
    except KeyboardInterrupt:
        print(f"interrupted: the records so far are in {options.folder}", file=sys.stderr)
        sys.exit(130)
    except RecordError as error:
        sys.exit(f"error: {error}")


def run(jobs: Sequence[Job], processes: int) -> None:
    """Run all jobs, one in each process."""
    # New processes, because a fork would inherit threads of torch.
    with ProcessPoolExecutor(processes, get_context("spawn"), initializer=end_with_parent) as pool:
        try:
            for future in as_completed([pool.submit(run_job, job) for job in jobs]):
                print(future.result(), flush=True)
        except BaseException:
            # Otherwise the pool completes the present jobs, which takes minutes, and the queued ones, which takes hours.
            for worker in active_children():
                worker.terminate()
            raise


def check(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Refuse bad options before the first job starts."""
    for name in ("seeds", "processes"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} must be at least 1, received {getattr(options, name)}")
    for method in options.methods:
        if not any(is_selected(name, [method]) for name in NAMES):
            parser.error(f"--methods must be names, or their first words, of {', '.join(NAMES)}; received {method!r}")


def report(tasks: Sequence[str], seeds: Sequence[int], folder: Path) -> None:
    """Print one line for each method."""
    records_of = {name: records for name in tasks if (records := Records(name, folder)).runs}
    print(f"\n{'points below the best of a grid':34} {'mean':>6} {'median':>6} {'worst':>6} {'curve':>6}  disasters   cost")
    lowest = floor(records_of)
    for summary in [*finished(records_of, seeds), *([lowest] if lowest else [])]:
        share = f"{summary.disasters} of {len(summary.outcomes)}"
        regrets = f"{summary.mean:6.2f} {summary.median:6.2f} {summary.worst:6.1f} {summary.curve:6.2f}"
        print(f"{summary.method:34} {regrets}  {share:>9}  {summary.cost:5.2f}")


if __name__ == "__main__":
    main()
