"""The file from which a training continues after its process was killed."""

import pickle
import time
from pathlib import Path
from typing import Any, TypeVar

from learnrate import records
from learnrate.errors import OutputError
from learnrate.trainable import NotResumableError, Trainable

T = TypeVar("T")

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
        self._written_at = time.monotonic()
        self._works = True

    def resumed(self, trainable: Trainable, kind: type[T]) -> T | None:
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

    def prepare(self, trainable: Trainable) -> None:
        """Let a trainable store at its start what its checkpoints need later."""
        try:
            trainable.checkpoint()
        except NotResumableError as error:
            self._end(error)

    def is_due(self) -> bool:
        """Whether it is time for the next checkpoint."""
        return self._works and time.monotonic() - self._written_at >= self.every

    def write(self, trainable: Trainable, beside: Any) -> None:
        """Write a checkpoint. If the framework has none or the disk is full, the training goes on, and a note says so.

        A full disk is tried again with the next checkpoint.
        """
        try:
            content = pickle.dumps((VERSION, self._identity, trainable.checkpoint(), beside), pickle.HIGHEST_PROTOCOL)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            records.write_atomically(self.path, content)
        except (OutputError, OSError) as error:
            self._note(f"could not write a checkpoint: {error}")
        except (NotResumableError, pickle.PicklingError, TypeError, AttributeError) as error:
            self._end(error)
        self._written_at = time.monotonic()

    def _end(self, error: Exception) -> None:
        """The training goes on without further checkpoints."""
        self._works = False
        self._note(f"has no checkpoints: {error}")

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.append(note)


def remove(path: Path) -> None:
    """Remove the checkpoint of a training that has ended, and unfinished files of processes that were killed."""
    path.unlink(missing_ok=True)
    for part in path.parent.glob(f".{path.name}.*.part"):
        part.unlink(missing_ok=True)
