"""Makes a study in a process of its own: driver_script.py STUDY [EXECUTOR]."""

import sys
from pathlib import Path

import learnrate as lr

ARMS = {"constant": lr.constant(0.1), "cosine": "cosine(0.2, 0)", "linear": "linear(0.2, 0, '50%')"}
RECIPE = Path(__file__).with_name("slow_recipe.py")


def make(study, executor=None, **changes):
    options = {"seeds": 4, "evaluate_every": 7, "checkpoint_every": 0.05, **changes}
    return lr.compare(ARMS, RECIPE, study=study, executor=executor, **options)


if __name__ == "__main__":
    make(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None)
