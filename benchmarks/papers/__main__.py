"""Run an experiment of a paper again.

    make paper NAME=clr-table-1                      # whole, in hours
    make paper NAME=clr-table-1 SCALE=0.1            # every length a tenth
    python -m benchmarks.papers clr-table-1 --scale 0.1 --seeds 3 --executor 2

LEARNRATE_DATA names the folder of the data sets. An experiment may be stopped and started again at any time, and several
processes may work on it. The study is in runs/papers/. Its record in benchmarks/results/papers/ is written after every
training and keeps the other arms and seeds that it has, so that machines that share no study may each make a part:

    python -m benchmarks.papers clr-table-1 --seeds 1 --first-seed 2 --arms fixed exp
"""

import argparse
import sys
import time
from pathlib import Path

import learnrate as lr
from benchmarks.papers import records
from benchmarks.papers.data import MissingDataError
from benchmarks.papers.experiment import Experiment
from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.range_tests import RANGE_TESTS
from benchmarks.papers.range_tests import run as run_range_tests
from learnrate.study.running.run import Message

STUDIES = Path(__file__).parents[2] / "runs" / "papers"
"""Not in .cache, which the site empties when it is built."""

SAY_EVERY = 60.0
"""Seconds between two lines about the progress."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=sorted([*EXPERIMENTS, *RANGE_TESTS]))
    parser.add_argument("--scale", type=_scale, default=1.0, help="factor on every length, up to 1")
    parser.add_argument("--seeds", type=_number, help="trainings of each arm; by default the number of the experiment")
    parser.add_argument(
        "--first-seed", type=_seed, default=0, help="the first seed; the record keeps trainings with other seeds"
    )
    parser.add_argument("--arms", nargs="+", help="only these arms")
    parser.add_argument(
        "--executor", type=_number, help="number of processes; by default one training after the other, here"
    )
    parser.add_argument("--study", type=Path, help="file of the study")
    parser.add_argument("--results", type=Path, default=records.RESULTS, help="folder of the record")
    options = parser.parse_args()
    try:
        if options.name in RANGE_TESTS:
            return range_tests(options)
        comparison = run(options.name, EXPERIMENTS[options.name], options.scale, options)
    except MissingDataError as error:
        print(f"skipped: {error}")
        return 0
    except KeyboardInterrupt:
        print("interrupted: the same command goes on", file=sys.stderr)
        return 130
    except lr.errors.LearnrateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(comparison)
    for note in comparison.notes:
        print(f"  {note}")
    return 0


def range_tests(options: argparse.Namespace) -> int:
    """Make what is left of range tests by accuracy.

    Raises:
        MissingDataError: if the data is not there.
    """
    for option in ("arms", "executor", "study", "first_seed"):
        if getattr(options, option):
            value = getattr(options, option)
            raise lr.errors.ArgumentError(
                f"--{option.replace('_', '-')} must be left out with a range test, received {value}"
            )
    run_range_tests(options.name, options.scale, options.seeds, options.results, print)
    return 0


def run(name: str, experiment: Experiment, scale: float, options: argparse.Namespace) -> lr.Comparison:
    """Make what is left of an experiment.

    Raises:
        MissingDataError: if the data is not there.
    """
    rows = experiment.by_name(scale)
    unknown = sorted(set(options.arms or ()) - set(rows))
    if unknown:
        raise lr.errors.ArgumentError(f"--arms must be some of {', '.join(rows)}, received {unknown[0]}")
    study = options.study or STUDIES / f"{name}-{scale:g}.sqlite"
    study.parent.mkdir(parents=True, exist_ok=True)
    said_at = 0.0

    def say(message: Message) -> None:
        nonlocal said_at
        if time.monotonic() - said_at > SAY_EVERY:
            said_at = time.monotonic()
            done = f"update {message.updates:,} of {message.planned:,}, loss {message.loss:.4f}"
            print(f"{time.strftime('%H:%M:%S')} {message.key}: {done}", flush=True)

    def store(comparison: lr.Comparison) -> None:
        records.write(name, scale, comparison, options.results)
        print(f"{time.strftime('%H:%M:%S')} {sum(len(arm.trainings) for arm in comparison)} trainings", flush=True)

    return lr.compare(
        {name: entry.arm() for name, entry in rows.items() if not options.arms or name in options.arms},
        experiment.recipe(),
        seeds=range(options.first_seed, options.first_seed + (options.seeds or experiment.seeds)),
        updates=max(entry.row.updates for entry in rows.values()),
        evaluate_every=experiment.evaluations_every(scale),
        tune_each=experiment.tune_each,
        executor=options.executor,
        study=study,
        progress=say,
        on_result=store,
    )


def _scale(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be a number above 0 and at most 1, received {text}")
    return value


def _number(text: str) -> int:
    return _whole(text, at_least=1)


def _seed(text: str) -> int:
    return _whole(text, at_least=0)


def _whole(text: str, at_least: int) -> int:
    value = int(text) if text.isascii() and text.isdigit() else -1
    if value < at_least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {at_least}, received {text}")
    return value


if __name__ == "__main__":
    sys.exit(main())
