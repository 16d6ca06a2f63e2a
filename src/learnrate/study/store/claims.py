"""Claims of the runs of a study by files that only one process can create."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from learnrate.study.store.drivers import Observer

ENDING = ".claim"


class Claims:
    """Claims by name, each the file NAME.NUMBER.claim with the driver as its content.

    A process that takes the claim of a dead driver over creates the file of the next number, which succeeds in one process
    only. The file of the dead driver is not removed or renamed for that: between a look at it and its removal it could have
    become that of another process.

    Args:
        folder: The files.
        driver: The name of this process.
        observer: Says which other drivers live.
    """

    def __init__(self, folder: Path, driver: str, observer: Observer) -> None:
        self._folder, self._driver, self._observer = folder, driver, observer
        self._mine: dict[str, Path] = {}

    def take(self, name: str, last: Mapping[str, int]) -> bool:
        """Claim something that no living process has claimed.

        Args:
            name: What is claimed.
            last: The highest number of each name; see `last_numbers`.

        Returns:
            Whether it was claimed.

        Raises:
            OSError: if the file cannot be written.
        """
        if self.is_taken(name, last):
            return False
        path = self._path(name, last.get(name, 0) + 1)
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(file, self._driver.encode())
            os.fsync(file)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(file)
        self._mine[name] = path
        return True

    def is_taken(self, name: str, last: Mapping[str, int]) -> bool:
        """Whether a living process, this one among them, has claimed this."""
        return name in self._mine or self.is_taken_by_others(name, last)

    def is_taken_by_others(self, name: str, last: Mapping[str, int]) -> bool:
        """Whether another living process has claimed this."""
        if name in self._mine or name not in last:
            return False
        path = self._path(name, last[name])
        try:
            driver = path.read_text(errors="replace")
        except FileNotFoundError:  # it was given back meanwhile
            return False
        # Its driver may have ended before it wrote its name. Then there is no driver of this name, and it counts as dead.
        return self._observer.is_alive(driver or path.name)

    def release(self, name: str) -> None:
        """Release the claim of this process, and remove the claims of dead drivers from which it was taken over."""
        own = self._mine.pop(name, None)
        if own is not None:
            # The own file last, so that the highest number is never that of a dead driver. Higher numbers belong to a
            # process that has taken this one for dead.
            for number in range(1, _number(own) + 1):
                self._path(name, number).unlink(missing_ok=True)

    def release_all(self) -> None:
        """Release all claims of this process."""
        for name in list(self._mine):
            self.release(name)

    def _path(self, name: str, number: int) -> Path:
        return self._folder / f"{name}.{number}{ENDING}"


def _number(path: Path) -> int:
    return int(path.name.removesuffix(ENDING).rpartition(".")[2])


def last_numbers(files: Iterable[str]) -> dict[str, int]:
    """The highest number of the claims of each name, from the names of the files of a folder."""
    last: dict[str, int] = {}
    for file in files:
        if file.endswith(ENDING):
            name, _, number = file.removesuffix(ENDING).rpartition(".")
            if number.isdigit():
                last[name] = max(last.get(name, 0), int(number))
    return last
