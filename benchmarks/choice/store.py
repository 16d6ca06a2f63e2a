"""Records on disk: a file for each task, a line for each training run or choice, written as soon as it is complete.

Files are appended to and never rewritten, so that an interrupted run loses only its present training run. Header lines say
how the lines after them were made: hardware, versions, and a hash of the task's source. Training runs of another source are
ignored.
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
"""Code that the training runs of every task depend on, beside the file of the task and what it imports."""

PACKAGE = "benchmarks.choice."
"""Modules of a task whose names begin with this are ours, and may change."""


class RecordError(Exception):
    """A file of records that cannot be used."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a folder: two runs would make the same training runs.

    Raises:
        RecordError: if another run has locked it, or it is not a folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise RecordError(f"{folder} must be a folder that can be written to: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when this process ends, however it ends
        except BlockingIOError:
            raise RecordError(f"another run uses {folder}: wait until it ends, or give another --folder") from None
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class Choice:
    """The choice of a method.

    Attributes:
        method: Name of the method.
        seed: Seed of the weights, the order of the data and the random numbers of the method.
        lr: The LR; None for no answer.
        spent: Updates made to choose.
        version: Version of the method: that of its package, or a hash of our source.
        note: Explanation of the choice, if the method gives one.
        interval: The lowest and the highest LR that the method estimates to be nearly as good; None if it gives none.
        seconds: Processor time of the call, shared by the choices of the same updates; None in older records.
    """

    method: str
    seed: int
    lr: float | None
    spent: int
    version: str
    note: str = ""
    interval: tuple[float, float] | None = None
    seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class FreeRun(Run):
    """A training run of an optimizer that finds its own LR; `lr` is its default, a factor.

    It is not in training.py because the records of the oracle contain the hash of that file.

    Attributes:
        optimizer: Name of the optimizer.
        version: Version of its package, and a hash of the code that calls it.
    """

    optimizer: str
    version: str


@dataclass
class Records:
    """The training runs and choices of one task."""

    task: str
    folder: Path = RESULTS
    runs: dict[tuple[float, int, int], Run] = field(default_factory=dict)
    choices: dict[tuple[str, int], Choice] = field(default_factory=dict)
    free: dict[tuple[str, int], FreeRun] = field(default_factory=dict)
    headers: list[dict[str, Any]] = field(default_factory=list)
    _header_written: bool = False

    def __post_init__(self) -> None:
        current_source = source(self.task)
        valid = False
        if not self.path.is_file():
            return
        for number, line in enumerate(self.path.read_bytes().splitlines(), 1):
            try:
                entry = json.loads(line)
            except ValueError:
                # An incomplete line, because the machine stopped while it was written.
                continue
            try:
                if "header" in entry:
                    valid = entry["header"]["source"] == current_source
                    self.headers += [entry["header"]] if valid else []
                elif valid:
                    self._read(entry)
            except (TypeError, KeyError, AttributeError) as error:
                raise RecordError(f"{self.path}, line {number}, is not a record: {error}: move the file away") from error

    @property
    def path(self) -> Path:
        """The file of the records."""
        return self.folder / f"{self.task}.jsonl"

    def add(self, entry: Run | Choice) -> None:
        """Add a training run or a choice, on disk first."""
        content = asdict(entry)
        if isinstance(entry, Run):
            self._store(entry)
            del content["task"]
            self._write({"run": content})
        else:
            self.choices[entry.method, entry.seed] = entry
            self._write({"choice": content})

    def _read(self, entry: dict[str, Any]) -> None:
        if "run" in entry:
            kind = FreeRun if "optimizer" in entry["run"] else Run
            self._store(kind(task=self.task, **entry["run"]))
        elif "choice" in entry:
            interval = entry["choice"].pop("interval", None)
            choice = Choice(**entry["choice"], interval=interval and tuple(interval))
            self.choices[choice.method, choice.seed] = choice

    def _store(self, run: Run) -> None:
        if isinstance(run, FreeRun):
            self.free[run.optimizer, run.seed] = run
        else:
            self.runs[run.lr, run.seed, run.updates] = run

    def _write(self, content: dict[str, Any]) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                if not self._header_written:
                    # On a new line, even if the last one is incomplete.
                    file.write("\n" * (file.tell() > 0) + json.dumps({"header": header(self.task)}) + "\n")
                    self._header_written = True
                file.write(json.dumps(content) + "\n")
        except OSError as error:
            raise RecordError(f"{self.path} cannot be written: {error.strerror}") from error


def header(task: str) -> dict[str, Any]:
    """How the lines after it were made."""
    return {
        "source": source(task),
        "processor": processor(),
        "cores": os.cpu_count(),
        "Python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in ("torch", "numpy", "scikit-learn")},
    }


def source(task: str) -> str:
    """Hash of the code that the training runs of a task depend on."""
    common = [HERE / name for name in COMMON]
    own = HERE / "tasks" / f"{task}.py"
    return digest([own, *common, *sorted(imported(own) - {own, *common})])


def imported(path: Path) -> set[Path]:
    """The files of this benchmark that a file imports from, and those that they import from.

    A task may share code with other tasks outside of `COMMON`, which cannot grow without making every record stale.
    """
    files: set[Path] = set()
    names = {node.module or "" for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    for name in sorted(names):
        if name.startswith(PACKAGE):
            file = HERE.joinpath(*name.removeprefix(PACKAGE).split(".")).with_suffix(".py")
            if file not in files and file.name not in COMMON:
                files |= {file} | imported(file)
    return files


def digest(files: Iterable[Path]) -> str:
    """Hash of the code of Python files, without comments, docstrings and layout."""
    sha = hashlib.sha256()
    for path in files:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                node.body = [entry for entry in body if not _is_text(entry)]  # type: ignore[attr-defined]
        sha.update(_text(tree).encode())
    return sha.hexdigest()[:12]


def _text(tree: ast.AST) -> str:
    """A tree as Python 3.11 prints it, so that hashes are the same everywhere: 3.12 added a field, 3.13 omits empty ones."""
    options: dict[str, Any] = {"show_empty": True} if sys.version_info >= (3, 13) else {}
    return ast.dump(tree, **options).replace(", type_params=[]", "")


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
