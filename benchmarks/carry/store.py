"""Records on disk, a line each: a run is not made again."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.carry.setups import SetUp
from benchmarks.measure import RESULTS, hardware, versions

PATH = RESULTS / "carry.jsonl"


@dataclass
class Records:
    """What was measured.

    Attributes:
        path: The file; lines are added at its end.
        runs: The metric in points by set-up, log2 of the peak LR, and seed; None where the run diverged.
        noise: The noise scales in examples by set-up and seed, by the share of a training after which they were measured.
        headers: The machines and versions.
    """

    path: Path = PATH
    runs: dict[tuple[SetUp, int, int], float | None] = field(default_factory=dict)
    noise: dict[tuple[SetUp, int], dict[str, float | None]] = field(default_factory=dict)
    headers: list[dict[str, Any]] = field(default_factory=list)
    _begun: bool = False

    def __post_init__(self) -> None:
        for entry in _lines(self.path):
            if "header" in entry:
                self.headers.append(entry["header"])
                continue
            setup = SetUp(**entry["setup"])
            if "noise" in entry:
                self.noise[setup, entry["seed"]] = entry["noise"]
            else:
                self.runs[setup, entry["log2_lr"], entry["seed"]] = entry["points"]

    def add_run(self, setup: SetUp, log2_lr: int, seed: int, points: float | None) -> None:
        """Add a training run."""
        self.runs[setup, log2_lr, seed] = points
        self._write({"setup": asdict(setup), "log2_lr": log2_lr, "seed": seed, "points": points})

    def add_noise(self, setup: SetUp, seed: int, noise: dict[str, float | None]) -> None:
        """Add the noise scales of a training."""
        self.noise[setup, seed] = noise
        self._write({"setup": asdict(setup), "seed": seed, "noise": noise})

    def _write(self, entry: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            if not self._begun:
                header = {**hardware(), **versions(("torch", "numpy"))}
                # On a new line, even if the last one is incomplete because the machine stopped.
                file.write("\n" * (file.tell() > 0) + json.dumps({"header": header}) + "\n")
                self._begun = True
            file.write(json.dumps(entry) + "\n")


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    for line in path.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue  # empty, or incomplete because the machine stopped
