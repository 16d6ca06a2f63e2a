"""Measured on a GPU: the GPU tests, the cost of a step and of a range test, memory, CUDA graphs, trials as one batch.

    benchmarks/gpu.sh [--out FILE] [--rounds 5]         see there
    benchmarks/gpu.sh --device cpu --small              to see whether it runs

The record is written after each part, so that an interrupted run leaves what it has measured. A part that cannot run here
has the status "skipped" and a reason; a part that raised an error has the status "failed", and the others still run.
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpu_parts
import torch
from gpu_parts import Setting, SkippedError
from measure import RESULTS, hardware, versions

ROOT = Path(__file__).parents[1]
TEST_PACKAGES = ("pytest", "hypothesis", "matplotlib")

LIMIT = 400.0
"""Seconds after which no further part starts, nor a further workload of the trials, to end within 8 minutes."""


@dataclass(frozen=True)
class Part:
    """A part of the record.

    Attributes:
        name: Its key in the record.
        measure: Measures it. Yields its content, again whenever there is more of it.
    """

    name: str
    measure: Callable[[Setting], Iterator[dict[str, Any]]]


def tests(setting: Setting) -> Iterator[dict[str, Any]]:
    """Run tests/torch/test_gpu.py by pytest."""
    if setting.device.type != "cuda":
        raise SkippedError("the GPU tests need a CUDA device")
    missing = [package for package in TEST_PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise SkippedError(f"the GPU tests need {', '.join(missing)}, which cannot be installed here")
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # Without the project's own options, which need pytest-xdist; and a warning of a version that is not pinned here does
        # not fail a test.
        options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "filterwarnings=default"]
        files = ["--import-mode=importlib", f"--junitxml={report}", "tests/torch/test_gpu.py"]
        command = [sys.executable, "-m", "pytest", *options, *files]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
        if not report.exists():
            raise RuntimeError(f"pytest ended with {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")
        yield summary(report)


def summary(report: Path) -> dict[str, Any]:
    """Counts, and the failures by name with their first line."""
    cases = ET.parse(report).getroot().iter("testcase")
    counts: dict[str, Any] = {"passed": 0, "skipped": 0, "failures": {}}
    for case in cases:
        failure = next((child for child in case if child.tag in ("failure", "error")), None)
        if failure is not None:
            counts["failures"][case.get("name")] = str(failure.get("message")).splitlines()[0][:300]
        elif any(child.tag == "skipped" for child in case):
            counts["skipped"] += 1
        else:
            counts["passed"] += 1
    return counts


PARTS = (
    Part("tests", tests),
    Part("step", gpu_parts.step),
    Part("range_test", gpu_parts.range_test),
    Part("memory", gpu_parts.memory),
    Part("cuda_graph", gpu_parts.cuda_graph),
    Part("trials", gpu_parts.trials),
)


def described(setting: Setting) -> dict[str, Any]:
    """The machine and the versions."""
    machine = hardware()
    if setting.device.type == "cuda":
        properties = torch.cuda.get_device_properties(setting.device)
        machine |= {"accelerator": properties.name, "accelerator_gib": round(properties.total_memory / 2**30, 1)}
    numbers = versions(("learnrate", "torch", "numpy")) | {"torch": torch.__version__, "CUDA": torch.version.cuda or "none"}
    numbers["learnrate"] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    return {"hardware": machine, "versions": numbers}


def run(part: Part, setting: Setting, write: Callable[[dict[str, Any]], None]) -> None:
    """Measure a part; `write` takes its present content."""
    start = time.monotonic()

    def put(**content: Any) -> None:
        write({**content, "took_s": round(time.monotonic() - start, 1)})

    content: dict[str, Any] = {}
    try:
        if setting.late():
            raise SkippedError(f"{LIMIT:.0f} s were over")
        for content in part.measure(setting):
            put(status="measured", **content)
    except SkippedError as reason:
        put(status="skipped", reason=str(reason), **content)
    except Exception as error:
        traceback.print_exc()
        put(status="failed", reason=f"{type(error).__name__}: {error}"[:1000], **content)


def main() -> int:
    """Measure part after part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json", help="where the record goes")
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--small", action="store_true", help="tiny sizes, one round: only a check that it runs")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds, at least 5")
    arguments = parser.parse_args()
    if arguments.rounds < 5:
        parser.error(f"--rounds must be at least 5, received {arguments.rounds}")
    if arguments.device == "cuda" and not torch.cuda.is_available():
        parser.error(f"torch {torch.__version__} sees no GPU: --device cpu --small checks that it runs without one")
    if arguments.device == "cpu" and not arguments.small:
        parser.error("--device cpu needs --small: the CPU is measured by make bench, bench-range-test and bench-trials")
    if arguments.device == "cpu":
        torch.set_num_threads(1)
    rounds = 1 if arguments.small else arguments.rounds
    setting = Setting(torch.device(arguments.device), arguments.small, rounds, time.monotonic() + LIMIT)
    record: dict[str, Any] = {"benchmark": "gpu", **described(setting), "small": arguments.small, "rounds": rounds}
    record["parts"] = {}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    for part in PARTS:

        def write(content: dict[str, Any], name: str = part.name) -> None:
            record["parts"][name] = content
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")

        run(part, setting, write)
        content = record["parts"][part.name]
        print(f"{part.name}: {content['status']} in {content['took_s']} s {content.get('reason', '')}", flush=True)
    print(f"written: {arguments.out}")
    failed = any(content["status"] == "failed" for content in record["parts"].values())
    return 1 if failed or record["parts"]["tests"].get("failures") else 0


if __name__ == "__main__":
    sys.exit(main())
