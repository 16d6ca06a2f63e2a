"""Lines that are appended to a file while it is watched."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from learnrate.errors import OutputError

LARGEST = 1_000_000
"""The largest file in bytes. It is read at each change, and holds a few lines a day."""


class Lines:
    """Gives each line that is appended to a file once. What the file holds at the beginning is left out.

    A file that is replaced, with `>` or by an editor, is compared with what it was: if its beginning is the same, the
    rest is what was appended; otherwise nobody can say which lines are new, and none is taken.

    Args:
        path: The file, which need not exist.

    Attributes:
        path: The file.

    Raises:
        OutputError: if there is such a file, which cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stat = self._look()
        try:
            content = self._read() if self._stat is not None else b""
        except (OSError, ValueError) as error:
            raise OutputError(f"cannot read the commands in {path}: {error}") from error
        self._taken, self._hash = len(content), hashlib.sha256(content).digest()
        self._partial = False
        self._failure = ""

    def appended(self, complain: Callable[[str], None]) -> list[str]:
        """The lines that were appended since the last call. A last line without an end is taken if it stays so.

        Args:
            complain: Called with a sentence if lines cannot be taken.
        """
        stat = self._look()
        if stat is None or (stat == self._stat and not self._partial):
            return []
        unchanged, self._stat = stat == self._stat, stat
        try:
            content = self._read()
        except (OSError, ValueError) as error:
            self._complain(complain, f"{self.path.name} cannot be read: {error}")
            return []
        self._failure = ""
        if hashlib.sha256(content[: self._taken]).digest() != self._hash:
            complain(f"{self.path.name} was replaced, so which lines are new cannot be seen: append lines, with >>")
            self._take(content)
            return []
        fresh = content[self._taken :]
        whole = fresh if unchanged else fresh[: fresh.rfind(b"\n") + 1]
        self._partial = len(whole) < len(fresh)
        if not fresh and not unchanged and self._taken:
            complain(f"{self.path.name} was written again without a new line: append lines, with >>")
        self._take(content[: self._taken + len(whole)])
        return whole.decode("utf-8", "backslashreplace").splitlines()

    def _take(self, content: bytes) -> None:
        self._taken, self._hash = len(content), hashlib.sha256(content).digest()

    def _complain(self, complain: Callable[[str], None], failure: str) -> None:
        if failure != self._failure:
            complain(failure)
        self._failure = failure

    def _look(self) -> tuple[int, ...] | None:
        """What changes when the file does; None if there is none."""
        try:
            stat = self.path.stat()
        except (OSError, ValueError):
            return None
        return stat.st_ino, stat.st_size, stat.st_mtime_ns

    def _read(self) -> bytes:
        with self.path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise ValueError(f"it is larger than {LARGEST:,} bytes")
        return content
