"""The folder of a training that a trainer makes, and the checkpoints in it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from learnrate.study.running.checkpoint import CheckpointFile, trainer_folder
from learnrate.study.running.course_listener import CourseListener
from learnrate.study.running.training import Course
from learnrate.user_code import own_line


class FolderCheckpoints:
    """Checkpoints in the folder of a trainer; see `learnrate.trainer_runs.TrainerCheckpoints`.

    The file beside the folder says which one is the last, and has what was measured before it.

    Args:
        file: That file.
        listener: What is told of the training. It knows what was measured before the last checkpoint.

    Attributes:
        run_folder: The folder of the trainer.
        last: The path of the last checkpoint.

    Raises:
        OSError: if the folder cannot be made.
    """

    def __init__(self, file: CheckpointFile, listener: CourseListener) -> None:
        self.run_folder = trainer_folder(file.path)
        self.last: str | None = None
        self._folder = self.run_folder / "learnrate"
        self._file, self._listener = file, listener
        self._is_complete = False
        course = file.resumed(self, Course)
        if course is None:
            shutil.rmtree(self.run_folder, ignore_errors=True)
        elif not self._is_complete:
            self.start_again("the checkpoint of its trainer is not complete")
        else:
            listener.course = course
            file.note(f"went on from a checkpoint of its trainer after {course.updates} updates")
        self._folder.mkdir(parents=True, exist_ok=True)
        self._remove_others()

    def start_again(self, reason: str) -> None:
        """Forget the last checkpoint, from which the training cannot go on."""
        self.last = None
        self._listener.start_again()
        with suppress(OSError):
            self._file.path.unlink(missing_ok=True)
        shutil.rmtree(self.run_folder, ignore_errors=True)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._file.notes.clear()  # those of the attempt to go on
        self._file.note(f"started again, because {reason}")

    def checkpoint(self) -> tuple[str, dict[str, int]]:
        """What the file has of the last checkpoint: its name, because the folder may be elsewhere on another machine.

        And the sizes of its files: a trainer may go on silently where one is missing.
        """
        assert self.last is not None
        return Path(self.last).name, _sizes(Path(self.last))

    def resume(self, checkpoint: tuple[str, dict[str, int]]) -> None:
        """Go on from what the file has."""
        name, sizes = checkpoint
        path = self._folder / name
        self.last, self._is_complete = str(path), sizes == _sizes(path)

    def is_due(self) -> bool:
        """See `TrainerCheckpoints.is_due`."""
        return self._file.is_due()

    def write(self, name: str, save: Callable[[str], object]) -> None:
        """See `TrainerCheckpoints.write`."""
        before, path = self.last, str(self._folder / name)
        self._listener.pause()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            save(path)
            if not _sizes(Path(path)):  # Lightning is silent where it has no permission
                raise FileNotFoundError("the trainer has written nothing")
        except Exception as error:  # a trainer may raise anything, and torch a RuntimeError where the disk is full
            self._file.not_written(own_line(error))
        else:
            self.last = path
            if not self._file.write(self, self._listener.course):
                self.last = before
        self._remove_others()
        self._listener.go_on()

    def impossible(self, reason: str) -> None:
        """See `TrainerCheckpoints.impossible`."""
        self._file.end(reason)

    def _remove_others(self) -> None:
        """Remove all but the last checkpoint: older ones, and those that a process was writing when it was killed."""
        for path in self._folder.glob("*"):
            if str(path) != self.last:
                _remove(path)


def _sizes(checkpoint: Path) -> dict[str, int]:
    """The sizes of the files of a checkpoint, by their paths in it; empty if there is none."""
    paths = [path for path in (checkpoint, *checkpoint.rglob("*")) if path.is_file()]
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in paths}


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint, which is a file or a folder. One that cannot be removed goes with the folder of the run."""
    if checkpoint.is_dir():
        shutil.rmtree(checkpoint, ignore_errors=True)
    else:
        with suppress(OSError):
            checkpoint.unlink()


@contextmanager
def folder_of_run(file: CheckpointFile | None, listener: CourseListener) -> Iterator[tuple[str, FolderCheckpoints | None]]:
    """The folder of a trainer: one that is kept until the training has ended, if that is possible."""
    if file is not None:
        try:
            checkpoints = FolderCheckpoints(file, listener)
        except OSError as error:
            file.end(str(error))
        else:
            yield str(checkpoints.run_folder), checkpoints
            return
    with temporary_folder() as path:
        yield path, None


@contextmanager
def temporary_folder() -> Iterator[str]:
    """A folder for what a trainer writes, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="learnrate-trainer-") as path:
        yield path
