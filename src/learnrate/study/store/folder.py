"""A study in a folder of JSON Lines, for file systems of a network, on which sqlite cannot trust locks.

It needs two things of the file system: of several processes that create a file exclusively (O_EXCL) only one succeeds, and
renaming a file replaces another one at once.
"""

import time
import uuid
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from learnrate import records
from learnrate.errors import OutputError, RecordWarning
from learnrate.study.definition import Definition
from learnrate.study.running.run import EndedRun, Failure, Key
from learnrate.study.store import drivers, run_files
from learnrate.study.store.claims import Claims, last_numbers
from learnrate.study.store.store import Contents, Stored

T = TypeVar("T")

DEFINITION = "definition"
"""The name of the file of the definition, and of the claim of the process that changes it."""

FOLDERS = ("checkpoints", "drivers", "runs")

WAIT = 0.05
"""Seconds between two attempts to change the definition."""


class FolderStore:
    """See `Store`.

    Each run has a file of its own, which is written whole under another name and renamed. Claims are in the same folder as
    the files of runs: creating a claim brings what a client of NFS knows of that folder up to date, so that a run that
    another machine has just ended is seen before it is made a second time.

    Args:
        path: The folder; it is made if there is none.
        to_read: Whether nothing is to be made or changed.

    Raises:
        OutputError: if it cannot be written, or is something else than a study of this version.
    """

    def __init__(self, path: Path, *, to_read: bool = False) -> None:
        self.path = path
        self.checkpoints, self._drivers, self._runs = (path / name for name in FOLDERS)
        self._driver = uuid.uuid4().hex[:12]
        self._claims = Claims(self._runs, self._driver, drivers.Observer(self._drivers))
        self._heartbeat: drivers.Heartbeat | None = None
        self._ended: set[str] = set()
        self._contents: dict[str, tuple[Key, Stored]] = {}
        self._before: dict[str, run_files.Attempt] = {}
        self._broken: set[str] = set()
        with self._errors("read" if to_read else "write"):
            if not to_read:
                path.mkdir(exist_ok=True)
            self._check()

    def _check(self) -> None:
        """Refuse a folder that is no study, before anything is written into it."""
        if self._definition() is not None:
            return
        names = {name for name in _files(self.path) if not name.endswith(".part")}
        # A driver that has not yet written the definition, or was killed before that, has made its own folder first.
        begun = "drivers" in names and all(name.endswith(drivers.ENDING) for name in _files(self._drivers))
        if names and not (begun and names <= set(FOLDERS)):
            raise OutputError(f"{self.path} is a folder of something else. Nothing was changed; give the study another name")

    def _definition(self) -> dict[str, Any] | None:
        """The content of the file of the definition; None if there is none."""
        file = self.path / f"{DEFINITION}.json"
        if not file.exists():
            return None
        return records.load(file, "study", lambda record: {name: record[name] for name in ("uid", "definition")})

    def begin(self, definition: Definition) -> str:
        """See `Store.begin`."""
        with self._errors("write"):
            if self._heartbeat is None:
                self._drivers.mkdir(exist_ok=True)
                self._heartbeat = drivers.Heartbeat(self._drivers / f"{self._driver}{drivers.ENDING}")
                self._runs.mkdir(exist_ok=True)
                self.checkpoints.mkdir(exist_ok=True)
                attempts = {name: self._attempt(name) for name in _names(_files(self._runs))}
                self._before = {name: attempt for name, attempt in attempts.items() if attempt and attempt.failed}
            while not self._claims.take(DEFINITION, last_numbers(_files(self._runs))):
                time.sleep(WAIT)
            try:
                stored = self._definition()
                merged = definition if stored is None else definition.added_to(stored["definition"], self.path)
                content = {"uid": uuid.uuid4().hex if stored is None else stored["uid"], "definition": merged.as_record()}
                if content != stored:
                    records.save(self.path / f"{DEFINITION}.json", "study", content)
            finally:
                self._claims.release(DEFINITION)
        return str(content["uid"])

    def claim(self, keys: Sequence[Key], most: int) -> list[Key]:
        """See `Store.claim`."""
        claimed: list[Key] = []
        with self._errors("write"):
            files = set(_files(self._runs))
            last = last_numbers(files)
            for key in keys:
                if len(claimed) == most:
                    break
                name = run_files.name_of(key)
                if self._has_ended(name, files) or not self._claims.take(name, last):
                    continue
                # Another process may have ended it since the folder was listed.
                if self._has_ended(name):
                    self._claims.release(name)
                else:
                    claimed.append(key)
        return claimed

    def _has_ended(self, name: str, files: set[str] | None = None) -> bool:
        """Whether a run has ended: well, or with an error since this process began."""
        if name in self._ended:
            return True
        if files is not None and f"{name}{run_files.ENDING}" not in files:
            return False
        attempt = self._attempt(name)
        return attempt is not None and self._before.get(name) != attempt

    def _attempt(self, name: str) -> run_files.Attempt | None:
        """The attempt that the file of a run is of; None if there is none, or it is damaged."""
        attempt = self._read(name, run_files.attempt_of)
        if attempt is not None and not attempt.failed:
            self._ended.add(name)
        return attempt

    def _stored(self, name: str) -> tuple[Key, Stored] | None:
        """The run of a file; None if there is none, or it is damaged. What has ended well is read once."""
        run = self._contents.get(name) or self._read(name, run_files.decode)
        if run is not None and not isinstance(run[1].result, Failure):
            self._contents[name] = run
        return run

    def _read(self, name: str, decode: Callable[[bytes, str], T | None]) -> T | None:
        file = self._runs / f"{name}{run_files.ENDING}"
        try:
            content = decode(file.read_bytes(), str(file))
        except FileNotFoundError:
            return None
        if content is None and name not in self._broken:
            self._broken.add(name)
            warnings.warn(f"{file} is damaged: this run counts as not made", RecordWarning, stacklevel=2)
        return content

    def finish(self, ended: EndedRun) -> None:
        """See `Store.finish`."""
        name = run_files.name_of(ended.key)
        with self._errors("write"):
            # If this process was suspended for minutes, another one may have made the run.
            self._attempt(name)
            if name not in self._ended:
                content = run_files.encode(ended, self._driver, time.time())
                records.write_atomically(self._runs / f"{name}{run_files.ENDING}", content)
            self._claims.release(name)

    def release(self, key: Key) -> None:
        """See `Store.release`."""
        with self._errors("write"):
            self._claims.release(run_files.name_of(key))

    def contents(self) -> Contents:
        """See `Store.contents`."""
        with self._errors("read"):
            stored = self._definition()
            if stored is None:
                raise OutputError(f"{self.path} has no study: it was made, but no training was begun")
            runs: dict[Key, Stored] = {}
            files = _files(self._runs) if self._runs.exists() else []
            for name in _names(files):
                run = self._stored(name)
                if run is not None:
                    runs[run[0]] = run[1]
            # For those who only read: a driver asks after each run, and each claim is a file of the network.
            in_progress = tuple(self._in_progress(stored["definition"]["arms"], files)) if self._heartbeat is None else ()
        in_order = sorted(runs.items(), key=lambda item: (item[1].finished, item[0].arm, item[0].seed))
        return Contents(stored["definition"], dict(in_order), in_progress)

    def _in_progress(self, arms: Iterable[str], files: Sequence[str]) -> Iterator[Key]:
        """The runs that living processes have claimed and not ended."""
        last, names = last_numbers(files), set(files)
        for arm in arms:
            for seed, name in run_files.seeds_of(arm, last).items():
                if not self._has_ended(name, names) and self._claims.is_taken(name, last):
                    yield Key(arm, seed)

    def others_work(self) -> bool:
        """See `Store.others_work`."""
        with self._errors("read"):
            last = last_numbers(_files(self._runs))
            return any(self._claims.is_taken_by_others(name, last) for name in last if name not in self._ended)

    def close(self) -> None:
        """See `Store.close`."""
        if self._heartbeat is None:
            return
        try:
            self._claims.release_all()
        except OSError:  # the server does not answer; without a heartbeat the claims become void
            pass
        finally:
            self._heartbeat.stop()

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OutputError:
            raise
        except OSError as error:
            raise OutputError(f"cannot {what} the study {self.path}: {error.strerror or error}") from error


def _files(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def _names(files: Iterable[str]) -> list[str]:
    """The names of the runs that have ended, from the files of their folder."""
    ended = (file for file in files if file.endswith(run_files.ENDING) and not file.startswith("."))
    return [file.removesuffix(run_files.ENDING) for file in ended]
