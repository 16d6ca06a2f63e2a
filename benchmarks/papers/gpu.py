"""Tables 1 to 3 of the CLR paper on one GPU, many trainings side by side, in one command of under 10 minutes.

    benchmarks/gpu.sh --papers                            on a machine with a GPU; LEARNRATE_DATA names the data's folder
    benchmarks/gpu.sh --papers --limit 300 --seeds 1      in less time
    python -m benchmarks.papers.gpu --device cpu --scale 0.0002      to see whether it runs

All trainings of a table are one batch: a member of it is one training with its own seed, order of images, optimizer and LRs.
The records are those of `python -m benchmarks.papers`, in files of their own. What does not fit into the limit is not
begun, and the command says so: first seeds are left out, then tables.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.papers import records
from benchmarks.papers.data import MissingDataError
from benchmarks.papers.experiments import EXPERIMENTS
from benchmarks.papers.together.members import Member, members
from benchmarks.papers.together.net import CONVOLUTIONS
from benchmarks.papers.together.training import Setting, Together, expected_seconds, seconds_an_update
from learnrate.errors import LearnrateError
from learnrate.study import Comparison, Outcome, Training
from learnrate.study.running.environment import environment

TABLES = {"1": "clr-table-1", "3": "clr-table-3"}
"""Table 2 is the schedule of triangular2 in Table 1."""

MULTIPLICATIONS = 34.4e6
"""Of an image in an update: 12.3 million forward (2.46 + 6.55 + 3.28 in the convolutions), as many for the gradients of the
weights, and 9.8 for those of the images of the second and third convolution. Two operations each."""

RESERVE = 20.0
"""Seconds before the limit after which no update begins: the last evaluation and the records need time."""

SHARE = 0.9
"""Share of the remaining time that the expected time of a table may take."""


def operations(wanted: Iterable[Member], batch: int = 100) -> float:
    """Floating-point operations of all updates of these members."""
    return 2 * MULTIPLICATIONS * batch * sum(member.row.updates for member in wanted)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    options = _options(arguments)
    start = time.monotonic()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(
            f"error: torch {torch.__version__} sees no GPU: on a CPU, make paper NAME=clr-table-1 makes the same trainings "
            "one by one; --device cpu --scale 0.0002 checks that this command runs",
            file=sys.stderr,
        )
        return 1
    _set_up(device, options.precision)
    failed = False
    try:
        for table in options.tables:
            failed |= not _table(table, options, device, start + options.limit - RESERVE)
    except MissingDataError as error:
        print(f"skipped: {error}")
        return 0
    except LearnrateError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: what has ended is in the records", file=sys.stderr)
        return 130
    print(f"{time.monotonic() - start:.0f} s in all")
    return 1 if failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each row")
    parser.add_argument("--scale", type=float, default=1.0, help="factor on every length, up to 1")
    parser.add_argument("--limit", type=float, default=580.0, help="seconds for everything")
    parser.add_argument("--precision", choices=("tf32", "float32"), default="tf32", help="of products on a GPU")
    parser.add_argument("--convolutions", choices=(*CONVOLUTIONS, "fastest"), default="fastest")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--results", type=Path, default=records.RESULTS, help="folder of the records")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        parser.error(f"--seeds must be at least 1, received {options.seeds}")
    if not 0 < options.scale <= 1:
        parser.error(f"--scale must be above 0 and at most 1, received {options.scale:g}")
    if not options.limit > RESERVE:
        parser.error(f"--limit must be above {RESERVE:g} seconds, received {options.limit:g}")
    return options


def _set_up(device: torch.device, precision: str) -> None:
    if device.type != "cuda":
        return
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = True
    torch.zeros(1, device=device)  # so that the environment names the GPU


def _table(table: str, options: argparse.Namespace, device: torch.device, deadline: float) -> bool:
    """Make the trainings of a table; returns whether all that were wanted have ended."""
    name = TABLES[table]
    every = EXPERIMENTS[name].evaluations_every(options.scale)
    kinds = list(CONVOLUTIONS) if options.convolutions == "fastest" else [options.convolutions]
    wanted = members(name, options.scale, range(options.seeds))
    print(f"{name}: {len(wanted)} trainings, {operations(wanted) / 1e15:.2g} x 10^15 operations", flush=True)
    graphs = device.type == "cuda"
    times, settings = {}, {}
    for kind in kinds:
        settings[kind] = Setting(device, CONVOLUTIONS[kind], 100, every, graphs, deadline)
        times[kind] = _timed(wanted, settings[kind], kind)
    kind = min(times, key=lambda kind: times[kind])
    if math.isinf(times[kind]):
        print(f"{name}: not run: no form of convolutions runs here", file=sys.stderr)
        return False
    left = deadline - time.monotonic()
    needed = {n: expected_seconds(wanted, times[kind]) * n / options.seeds for n in range(1, options.seeds + 1)}
    seeds = max((n for n, seconds in needed.items() if seconds <= SHARE * left), default=0)
    rate = operations(wanted) / expected_seconds(wanted, times[kind]) / 1e12
    print(f"  {kind} convolutions: {times[kind] * 1e3:.2f} ms an update of all, {rate:.1f} TFLOP/s", flush=True)
    if seeds < options.seeds:
        every_seed = f"{options.seeds} seeds would take {needed[options.seeds]:.0f} s, {left:.0f} s are left"
        print(f"  {every_seed}: " + (f"{seeds} of them" if seeds else "not run"), flush=True)
    if not seeds:
        return False
    chosen = members(name, options.scale, range(seeds))
    note = f"trained side by side with {len(chosen) - 1} others, {kind} convolutions, {options.precision}"
    ended = _trained(name, options, chosen, replace(settings[kind], notes=(note,)))
    return ended == len(wanted)


def _timed(wanted: Sequence[Member], setting: Setting, kind: str) -> float:
    """Seconds of an update; infinite where this form of convolutions does not run."""
    try:
        return seconds_an_update(wanted, setting, _say)
    except RuntimeError as error:  # memory, or an operation that this GPU lacks
        if setting.device.type == "cuda":
            torch.cuda.empty_cache()
        _say(f"{kind} convolutions do not run here: {str(error).splitlines()[0]}")
        return math.inf


def _trained(name: str, options: argparse.Namespace, chosen: Sequence[Member], setting: Setting) -> int:
    """Train, and write the record whenever a member has ended; returns how many have."""
    together, done = Together(chosen, setting, _say), dict[Member, Training]()
    for member, training in together.run():
        done[member] = training
        records.write(name, options.scale, _comparison(name, options.scale, done), options.results, on_gpu=True)
        _say(f"{member.arm}, seed {member.seed}: {training.score:.2f} % after {training.updates:,} updates")
    if len(done) < len(chosen):
        _say(f"the limit is reached: {len(chosen) - len(done)} trainings were left unfinished and are in no record")
    return len(done)


def _comparison(name: str, scale: float, done: dict[Member, Training]) -> Comparison:
    rows = EXPERIMENTS[name].by_name(scale)
    outcomes = []
    for arm, entry in rows.items():
        trainings = sorted(
            (training for member, training in done.items() if member.arm == arm), key=lambda training: training.seed
        )
        outcomes.append(Outcome(arm, repr(entry.row.schedule), entry.row.updates, tuple(trainings)))
    longest = max(entry.row.updates for entry in rows.values())
    machine: dict[str, Any] = environment()
    return Comparison(longest, tuple(outcomes), environments=(machine,))


def _say(text: str) -> None:
    print(f"  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
