"""Run the tests of schedules and frameworks with the oldest versions that learnrate supports: `make test-oldest`.

What is left out has a reason here. Warnings are no errors: old libraries use what newer ones have deprecated.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SCHEDULES = ("arrays", "counts", "durations", "empty_parts", "golden", "text")
ROOMS = ("torch/driving", "torch/training", "torch/control", "jax", "keras", "lightning", "transformers", "accelerate")

LEFT_OUT = {
    "tests/schedules/test_counts.py::test_periods_can_be_compiled": "torch.compile of a schedule needs torch above 2.10",
    "tests/schedules/test_counts.py::test_a_compiled_count_out_of_range_has_the_value_at_0": "the same",
    "tests/lightning/test_callbacks.py::test_a_run_with_averaging_is_resumed_before_and_after_it_begins": (
        "Lightning 2.6.0 cannot load its own checkpoint of averaging: the function of its schedule is no weight"
    ),
    "tests/accelerate/test_processes.py::test_a_trainer_in_two_processes_follows_and_resumes": (
        "Transformers 5.0 asks torch 2.9 for a device cpu:0, which it does not know"
    ),
}


def main() -> int:
    """Run the tests; returns the exit code of pytest."""
    files = [f"tests/schedules/test_{name}.py" for name in SCHEDULES]
    files += [f"tests/{room}" for room in ROOMS if (ROOT / "tests" / room).is_dir()]
    deselected = [option for test in LEFT_OUT for option in ("--deselect", test)]
    options = ["-p", "no:cacheprovider", "-o", "filterwarnings=default", *deselected, *files]
    return subprocess.run([sys.executable, "-m", "pytest", *options], cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
