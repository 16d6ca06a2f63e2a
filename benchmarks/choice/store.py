"""Records on disk: one file a task, one line a training or a choice, written as soon as it is known.

A file is appended to and never rewritten, so that a run that is stopped loses the training under way and no more. A line
that begins a stretch says what the lines after it were made with: hardware, versions, and a hash of the task's source.
Trainings of another source count as not made.
"""

import ast
import fcntl
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.choice.training import Run
from benchmarks.measure import processor

HERE = Path(__file__).parent
RESULTS = HERE.parent / "results" / "choice"

COMMON = ("data.py", "task.py", "training.py")
"""What every task's trainings follow from, beside its own file."""


class RecordError(Exception):
    """A file of records cannot be used."""


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other runs out of a folder: both would make the same trainings.

    Raises:
        RecordError: if one is at work there, or it is no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RecordError(f"{folder} must be a folder that can be written to: {error.strerror}") from error
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)  # given up when this process ends, however it ends
        except BlockingIOError:
            raise RecordError(f"another run is at work in {folder}: wait for it, or give another --folder") from None
        yield
    finally:
        os.close(held)


@dataclass(frozen=True)
class Choice:
    """What a method chose.

    Attributes:
        method: Its name.
        seed: What weights, data order and the method's own random numbers followed from.
        lr: The LR; None where it gave no answer.
        spent: Updates that it made to choose.
        version: Of the method: a package's version, or a hash of our source.
        note: What it said, where that explains the choice.
        interval: The lowest and the highest LR that it takes to be nearly as good; None where it tells none.
    """

    method: str
    seed: int
    lr: float | None
    spent: int
    version: str
    note: str = ""
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class FreeRun(Run):
    """A training by an optimizer that finds its own LR; `lr` is its default, a factor.

    It is no part of training.py, whose hash every record of the oracle bears.

    Attributes:
        optimizer: Its name.
        version: Of its package and of the code that calls it.
    """

    optimizer: str
    version: str


@dataclass
class Records:
    """The trainings and choices of one task."""

    task: str
    folder: Path = RESULTS
    runs: dict[tuple[float, int, int], Run] = field(default_factory=dict)
    choices: dict[tuple[str, int], Choice] = field(default_factory=dict)
    free: dict[tuple[str, int], FreeRun] = field(default_factory=dict)
    headers: list[dict[str, Any]] = field(default_factory=list)
    _began: bool = False

    def __post_init__(self) -> None:
        now = source(self.task)
        valid = False
        if not self.path.is_file():
            return
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError:
                # A line that was being written when the machine stopped: its training counts as not made.
                continue
            try:
                if "header" in entry:
                    valid = entry["header"]["source"] == now
                    self.headers += [entry["header"]] if valid else []
                elif valid:
                    self._read(entry)
            except (TypeError, KeyError, AttributeError) as error:
                raise RecordError(f"{self.path}, line {number}, is no record: {error}: move the file away") from error

    @property
    def path(self) -> Path:
        """Where they are kept."""
        return self.folder / f"{self.task}.jsonl"

    def add(self, entry: Run | Choice) -> None:
        """Keep a training or a choice, on disk before anything else is done."""
        content = asdict(entry)
        if isinstance(entry, Run):
            self._hold(entry)
            del content["task"]
            self._write({"run": content})
        else:
            self.choices[entry.method, entry.seed] = entry
            self._write({"choice": content})

    def _read(self, entry: dict[str, Any]) -> None:
        if "run" in entry:
            kind = FreeRun if "optimizer" in entry["run"] else Run
            self._hold(kind(task=self.task, **entry["run"]))
        elif "choice" in entry:
            interval = entry["choice"].pop("interval", None)
            choice = Choice(**entry["choice"], interval=interval and tuple(interval))
            self.choices[choice.method, choice.seed] = choice

    def _hold(self, run: Run) -> None:
        if isinstance(run, FreeRun):
            self.free[run.optimizer, run.seed] = run
        else:
            self.runs[run.lr, run.seed, run.updates] = run

    def _write(self, content: dict[str, Any]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                if not self._began:
                    # A line of its own, even where the last one was cut short.
                    file.write("\n" * (file.tell() > 0) + json.dumps({"header": header(self.task)}) + "\n")
                    self._began = True
                file.write(json.dumps(content) + "\n")
        except OSError as error:
            raise RecordError(f"{self.path} cannot be written: {error.strerror}") from error


def header(task: str) -> dict[str, Any]:
    """What the lines that follow were made with."""
    return {
        "source": source(task),
        "processor": processor(),
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in ("torch", "numpy", "scikit-learn")},
    }


def source(task: str) -> str:
    """Hash of the code that a task's trainings follow from."""
    return digest([HERE / "tasks" / f"{task}.py", *(HERE / name for name in COMMON)])


def digest(files: Iterable[Path]) -> str:
    """Hash of what Python files do: comments, docstrings and layout do not count."""
    found = hashlib.sha256()
    for path in files:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [entry for entry in body if not _is_text(entry)]  # type: ignore[attr-defined]
        found.update(_text(tree).encode())
    return found.hexdigest()[:12]


def _text(tree: ast.AST) -> str:
    """A tree as Python 3.11 prints it: 3.12 added a field, 3.13 left out what is empty, and records outlive both."""
    shown: dict[str, Any] = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(tree, **shown).replace(", type_params=[]", "")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
