"""The file from which a training continues after its process was killed."""

import pickle
import shutil
import time
from pathlib import Path
from typing import Any, Protocol, TypeVar

from learnrate import records
from learnrate.errors import OutputError
from learnrate.trainable import NotResumableError

T = TypeVar("T")


class Resumes(Protocol):
    """What has checkpoints, such as a `Trainable`."""

    def checkpoint(self) -> Any:
        """All that a new process needs to go on, in a form that can be pickled."""

    def resume(self, checkpoint: Any) -> None:
        """Go on from a checkpoint."""


EVERY = 60.0
"""Seconds between two checkpoints: a killed process loses about as much time at most."""

VERSION = 1


class CheckpointFile:
    """The checkpoint of a training in progress, if its framework has checkpoints.

    Args:
        path: The file; its folder is made when it is written.
        identity: What the training is: a checkpoint with another identity is not used.
        every: Seconds between two checkpoints.

    Attributes:
        notes: Sentences about what did not work, for the record. Without checkpoints a training starts again after an
            interruption.
    """

    def __init__(self, path: Path, identity: object, every: float = EVERY) -> None:
        self.path, self.every = path, every
        self.notes: list[str] = []
        self._identity = identity
        self._tried_at = time.monotonic()
        self._works, self._has_failed = True, False

    def resumed(self, trainable: Resumes, kind: type[T]) -> T | None:
        """Restore the trainable from its checkpoint.

        Args:
            trainable: The training, at its start.
            kind: Type of what `write` stored beside the trainable.

        Returns:
            What was stored beside the trainable; None if there is no usable checkpoint, and then a note says why.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            self.notes.append(f"started again, because its checkpoint cannot be read: {error.strerror}")
            return None
        try:
            version, identity, checkpoint, beside = pickle.loads(content)
        except Exception as error:  # unpickling other bytes may raise anything
            self.notes.append(f"started again, because its checkpoint is broken: {type(error).__name__}")
            return None
        if version != VERSION or identity != self._identity or not isinstance(beside, kind):
            self.notes.append("started again, because its checkpoint is of another training")
            return None
        trainable.resume(checkpoint)
        return beside

    def prepare(self, trainable: Resumes) -> None:
        """Let a trainable store at its start what its checkpoints need later."""
        try:
            trainable.checkpoint()
        except NotResumableError as error:
            self.end(str(error))

    def is_due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return self._works and time.monotonic() - self._tried_at >= self.every

    def write(self, trainable: Resumes, beside: Any) -> bool:
        """Write a checkpoint. If the framework has none or the disk is full, the training goes on, and a note says so.

        A full disk is tried again with the next checkpoint.

        Returns:
            Whether it was written.
        """
        try:
            content = pickle.dumps((VERSION, self._identity, trainable.checkpoint(), beside), pickle.HIGHEST_PROTOCOL)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            records.write_atomically(self.path, content)
        except (OutputError, OSError) as error:
            self.not_written(str(error))
            return False
        except (NotResumableError, pickle.PicklingError, TypeError, AttributeError) as error:
            self.end(str(error))
            return False
        self._tried_at = time.monotonic()
        return True

    def not_written(self, reason: str) -> None:
        """A checkpoint could not be written; the next one is tried when it is due. The first reason is noted."""
        self._tried_at = time.monotonic()
        if not self._has_failed:
            self.note(f"could not write a checkpoint: {reason}")
        self._has_failed = True

    def end(self, reason: str) -> None:
        """The training goes on without further checkpoints."""
        self._works = False
        self.note(f"has no checkpoints: {reason}")

    def note(self, note: str) -> None:
        """Add a note, once."""
        if note not in self.notes:
            self.notes.append(note)


def trainer_folder(path: Path) -> Path:
    """The folder of the trainer of a training, beside its checkpoint."""
    return path.with_suffix(".trainer")


def remove(path: Path) -> None:
    """Remove the checkpoint of a training that has ended, and what trainers and processes that were killed have left."""
    shutil.rmtree(trainer_folder(path), ignore_errors=True)
    path.unlink(missing_ok=True)
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)
