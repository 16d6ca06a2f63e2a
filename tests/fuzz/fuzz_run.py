"""Tries many odd inputs, and prints what went wrong: `make fuzz SECONDS=3600`.

Each case follows from a kind, a seed and a number. `python tests/fuzz/fuzz_run.py --kind records --seed 0 --case 17` repeats one.
"""

import argparse
import contextlib
import importlib.util
import random
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

if __name__ == "__main__":  # pytest has these folders in its path
    tests = Path(__file__).parent.parent
    sys.path[:0] = [str(tests / folder) for folder in ("fuzz", "support", "tuner", ".")]

import fuzz_arguments
import fuzz_give_back
import fuzz_interrupts
import fuzz_records
import fuzz_schedules
import fuzz_texts
import torch
from fuzz_findings import Case, Finding, in_time
from fuzz_values import folder

KINDS: dict[str, Case] = {
    "texts": fuzz_texts.case,
    "records": fuzz_records.case,
    "schedules": fuzz_schedules.case,
    "arguments": fuzz_arguments.case,
    "give-back": fuzz_give_back.case,
}

if importlib.util.find_spec("interrupting"):
    KINDS["interrupts"] = fuzz_interrupts.case


def run_case(kind: str, seed: int, number: int) -> Finding | None:
    """One case, which is the same each time. An odd name of a file, such as "nan", writes into a folder of its own."""
    with contextlib.chdir(folder()):
        return KINDS[kind](random.Random(f"{kind} {seed} {number}"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="time, divided equally between the kinds")
    parser.add_argument("--kind", choices=tuple(KINDS), action="append", help="one or several kinds; all by default")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="by default the time, for new cases at each run")
    parser.add_argument("--case", type=int, help="run this case alone")
    options = parser.parse_args()
    kinds = options.kind or list(KINDS)
    if options.case is not None:
        results = [run_case(kind, options.seed, options.case) for kind in kinds]
        print("\n".join(result.what if result else "nothing found" for result in results))
        return int(any(results))
    torch.set_num_threads(1)
    cases: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    for kind in kinds:
        end = time.monotonic() + options.seconds / len(kinds)
        while time.monotonic() < end:
            result = in_time(partial(run_case, kind, options.seed, cases[kind]))
            if result:
                findings[result.place] += 1
                if findings[result.place] == 1:  # a fault is found again and again
                    print(f"--kind {kind} --seed {options.seed} --case {cases[kind]}: {result.what[:1500]}", flush=True)
            cases[kind] += 1
        print(f"{kind}: {cases[kind]} cases", flush=True)
    print(f"seed {options.seed}: {sum(cases.values())} cases, {sum(findings.values())} findings at {len(findings)} places")
    return int(bool(findings))


if __name__ == "__main__":
    sys.exit(main())
