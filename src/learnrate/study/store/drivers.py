"""Which processes work on a study: each changes the content of a file of its own, and the others check whether it does."""

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

BEAT = 5.0
"""Seconds between two changes of the file of a living driver."""

DEAD_AFTER = 120.0
"""Seconds without a change after which a driver counts as dead: two minutes, twice as long as clients of NFS keep attributes
of files, and much longer than a library keeps Python from running another thread."""

ENDING = ".beat"


class Heartbeat:
    """Changes the content of a file until it is stopped, or its process ends in any way.

    The file is written in place, and its length never changes. A new file under the same name, as for other records, would
    be seen late by other machines: NFS keeps what a name stands for, but asks for new content whenever a file is opened. And
    on a full disk it can still be written.

    Args:
        path: The file.

    Raises:
        OSError: if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._count = path, 0
        self._stopped = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._beat, name="learnrate heartbeat", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and remove the file."""
        self._stopped.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stopped.wait(BEAT):
            self._count += 1
            # A server that does not answer now may do so at the next beat. If it does not, others take the work over.
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.write(file, f"{self._count:012d} {_place()} {os.getpid():012d}\n".encode())
            os.fsync(file)
        finally:
            os.close(file)


class Observer:
    """Says whether drivers are alive, from the changes of their files. It uses only the clock of its own process.

    Args:
        folder: The files of the drivers.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last: dict[str, tuple[str, float]] = {}

    def is_alive(self, driver: str) -> bool:
        """Whether the file of a driver has changed lately.

        A driver that is checked for the first time counts as alive, unless it is a process of this machine that has ended.
        """
        try:
            content = (self._folder / f"{driver}{ENDING}").read_text(errors="replace")
        except FileNotFoundError:
            content = ""
        if _has_ended(content):
            return False
        now = time.monotonic()
        before, since = self._last.get(driver, (None, now))
        if content != before:
            self._last[driver] = content, now
            return True
        return now - since < DEAD_AFTER


def _place() -> str:
    """What tells the processes of this machine, since it was started, from all others; of one length on a machine.

    The name of the machine would not do: two containers may share it, with processes of the same numbers.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # another system than Linux
        return "-"


def _has_ended(content: str) -> bool:
    """Whether this is the file of a process of this machine that does not exist any more."""
    match content.split():
        case [_, place, number] if place == _place() != "-" and number.isdigit():
            try:
                os.kill(int(number), 0)
            except ProcessLookupError:
                return True
            except OSError:  # it belongs to another user
                return False
    return False
